//! Plain types and pure functions: what travels between the parts. Knows no other module.

pub mod access_log;
pub mod alert;
pub mod alert_group;
pub mod alert_options;
mod alert_step;
mod archive;
pub mod call;
pub mod catalog;
mod channel;
pub mod check_job;
mod clear_secret;
mod clock_jumps;
mod configuration;
pub mod cost;
mod credential_expiry;
mod delivery;
mod digest;
pub mod duration;
mod error_chain;
pub mod escalation;
pub mod event;
pub mod fault;
mod field_change;
pub mod gateway;
mod heartbeat;
pub mod incident;
mod invoice;
pub mod labels;
mod latency_bin;
mod marks;
pub mod matcher;
pub mod message;
mod message_template;
pub mod mute;
pub mod observation;
pub mod past_runs;
mod pause;
mod percentage;
pub mod plugin;
pub mod plugin_health;
pub mod plugin_policy;
mod plugin_trust;
pub mod plugin_version;
mod private_reach;
pub mod rate_limit;
mod report;
pub mod route;
pub mod route_template;
pub mod rule;
pub mod run_id;
mod schema_change;
mod service;
mod service_profile;
mod severity;
pub mod shadow;
pub mod signing;
pub mod size;
pub mod slug;
mod status_page;
mod storage;
mod table_retention;
mod tier;
mod time_zone;
mod trusted_proxies;
pub mod units;
mod usage;
mod vendor_claim;
mod vendor_meter;

pub use alert::{
    Alert, AlertEvent, AlertId, AlertState, Notification, NotificationReason, NotificationState,
    NotificationStatus,
};
pub use alert_group::{
    AlertGroup, GroupDraft, GroupFlush, GroupMember, NotificationDraft, NotifyState, Timing,
};
pub use alert_options::{
    Acknowledgement, AlertFlags, AlertOptions, Failures, FlappingThresholds, NoData, RuleMemory,
};
pub use alert_step::{AlertStep, MuteChange, start_of};
pub use archive::{ArchiveDay, ArchiveFile, ArchiveSettings, ArchiveState, ArchiveTable};
pub use call::{
    CacheUse, Call, CallCost, CallEnd, CallPath, CallPhases, CallPricing, CallSource, CallUnits,
};
pub use catalog::{
    ARCHIVE_SUBJECT, AlertRule, CREDENTIALS_SUBJECT, Catalog, MONITOR_SUBJECT, Watchdog,
    plugin_subject,
};
pub use channel::{Channel, ChannelId, ChannelOptions, Fallback, MessageRate};
pub use check_job::{CheckDone, CheckJob, ProbeKey};
pub use clock_jumps::ClockJumps;
pub use configuration::{AcceptRefusal, Configuration, ConfigurationStatus};
pub use credential_expiry::{
    EXPIRY_WARNING_DAYS, EndingCredential, credentials_ending, credentials_ending_text,
};
pub use delivery::{DeliveryDraft, DeliveryEntry, DeliveryOutcome, KeptDelivery};
pub use digest::merge_into_digest;
pub use error_chain::error_chain;
pub use escalation::{
    EscalationPolicy, EscalationProgress, EscalationStep, StepHours, StepRepeat, TakenStep,
};
pub use event::{
    Answer, AnswerType, Event, ReceivedEvent, Reception, Report, WEBHOOK, WebhookRequest,
};
pub use fault::{Fault, FaultPlace};
pub use field_change::FieldChange;
pub use gateway::{
    CacheSettings, Consumer, GatewaySettings, OnCancel, Quota, QuotaScope, QuotaWindow, VendorHttp,
};
pub use heartbeat::{
    Cadence, DownCause, HEARTBEAT, Heartbeat, HeartbeatRecord, HeartbeatState, Ping, Signal,
};
pub use incident::{Incident, IncidentFacts, IncidentKind, IncidentOutcome, IncidentSource};
pub use invoice::{InvoiceLine, InvoiceSum, TAX_CATEGORY, USAGE_CATEGORY, invoice_amount};
pub use labels::{LabelPairs, Labels};
pub use latency_bin::{LATENCY_BASE, LATENCY_BINS, latency_bin, latency_bin_estimate_us};
pub use marks::{Mark, Marked, mark_faults, visit_marked};
pub use matcher::Matcher;
pub use message::{DeliveryError, Message, MessageFile, Receipt};
pub use message_template::{MessageTemplate, MessageTexts, MessageView};
pub use mute::{
    CronSchedule, Dependencies, Firing, Inhibition, Maintenance, Mute, Mutes, MutesNow, Recurrence,
    Silence, SilenceState,
};
pub use observation::{
    CurrentStatus, ErrorKind, Exclusion, Failure, LOCAL, Metric, MetricValue, Observation, Phases,
    Status,
};
pub use past_runs::{
    COARSE_MS, FINE_MS, LEAST_SAMPLES, MAX_SAMPLES, PastRuns, RunSample, RunSlot, RunSource,
    fine_from_ms,
};
pub use pause::{Pause, PausedBy};
pub use percentage::percentage_hint;
pub use plugin::{PluginInfo, PluginKind, PluginRun, RunOutcome, Want};
pub use plugin_health::{
    BrokenRun, DURATION_BUCKETS, DurationQuantiles, Failing, PluginHealth, RUNS_REMEMBERED,
    RUNS_THAT_DECIDE, RecentRuns, RunFigures, StoredRun, StoredRuns, bucket_middle_us,
    duration_bucket, is_broken,
};
pub use plugin_policy::{Budget, BudgetChanges, BudgetKey, Capability, Grants, PluginPolicy};
pub use plugin_trust::{PluginTrust, RegistryAccess, RegistryLogin};
pub use plugin_version::{
    ActivationReason, PluginActivation, PluginChange, PluginRecord, PluginShadow, PluginStep,
    PluginTrial, PluginVersion, Withdrawn,
};
pub use private_reach::{FirstSeen, PrivateReach};
pub use rate_limit::{
    LimitAnswer, LimitKey, LimitOutlook, MAX_RATE_LIMITS, OutlookKind, RateLimit, RateLimitRules,
    keep_latest, outlook_of, read_rate_limits, read_rate_limits_by, rules_of_vendor, use_share,
};
pub use report::{
    ReportChart, ReportContent, ReportDefinition, ReportFormat, ReportNumber, ReportPeriod,
    ReportRunState, ReportSchedule, ReportSection, ReportSpan, ReportSql, ReportTable,
};
pub use route::{Destination, GroupBy, Route};
pub use route_template::RouteTemplates;
pub use rule::{
    Bucket, BudgetUsage, Finding, History, InvoiceUsage, RateLimitReading, Selection, Span,
    Summary, UsageReader, UsageToDate, Verdict,
};
pub use run_id::{RunIds, run_ids_within};
pub use schema_change::SchemaChange;
pub use service::{
    ClientAuth, Credential, CredentialExpiry, CredentialKind, ExpirySource, JwtBearer,
    MIN_HIDDEN_BYTES, OAuth2, OAuth2Grant, Origin, Probe, Retry, Service, ServiceFacts, Slo,
    Webhook,
};
pub use service_profile::{Contract, Criticality, ServiceProfile};
pub use severity::Severity;
pub use shadow::{Quantiles, ShadowRun, ShadowSide, ShadowSummary, SideCost};
pub use signing::{
    HmacSigning, SecretEncoding, SigV4, SignatureEncoding, SigningAlgorithm, SigningField,
    SigningPart, SigningTemplate, TimestampForm,
};
pub use slug::slug;
pub use status_page::{StatusGroup, StatusPage};
pub use storage::{BackupSettings, StorageSettings};
pub use table_retention::TableRetention;
pub use tier::{Tier, TierRetention};
pub use time_zone::time_zone;
pub use trusted_proxies::TrustedProxies;
pub use units::{UnitPath, UnitReader, UnitRules};
pub use usage::{
    CallBatch, CallRow, RowCost, TotalFigures, TotalKey, UsageDifference, UsageTotal, UsageTotals,
};
pub use vendor_claim::VendorClaim;
pub use vendor_meter::{MeterFigure, MeterSpan, VendorMeter, meter_lines, meter_spans};

/// Milliseconds since 1970, UTC: the one representation of a moment between the parts.
pub type UnixMillis = i64;

/// The wall clock.
pub fn now_ms() -> UnixMillis {
    jiff::Timestamp::now().as_millisecond()
}
