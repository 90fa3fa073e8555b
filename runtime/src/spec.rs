//! The vocabulary of the configuration: entries as people write them, the same in YAML and over
//! the API, with the schema check and the removal of faulty parts that both share. The doc
//! comments of the entries are the descriptions in the published schema. Whether values make
//! sense together is judged by `registry`.

mod files;
mod gateway;
mod service;
mod service_facts;

mod alert;
mod authentication;
mod channel;
mod cost;
mod cost_budget;
mod escalation;
mod heartbeat;
mod lifecycle;
mod message_template;
mod paused;
mod plugins;
mod rate_limits;
mod report;
mod routing;
mod status_pages;
mod storage;
mod template;
mod values;
mod vendor;

mod keys;
mod prune;
mod schema;

pub use alert::{AlertSpec, ServiceAlertSpec};
pub use authentication::{
    AuthenticationKind, AuthenticationPlace, AuthenticationSpec, ClientAuthSpec, OAuth2GrantSpec,
    SecretCommandSpec,
};
pub use channel::NotificationSpec;
pub use cost::{
    AllowanceCountsSpec, AmountSpec, CommitmentSpec, CostSpec, CycleSpec, PriceChangeSpec,
    PriceSpec, RoundSpec, StatusSpec, TierModeSpec, TierSpec,
};
pub use cost_budget::{BudgetPeriodSpec, CostBudgetSpec};
pub use escalation::{
    EscalationSpec, EscalationStepSpec, NotifySpec, StepHoursSpec, StepRepeatSpec, WatchdogSpec,
};
pub use files::{AlertsFile, ServicesFile};
pub use gateway::{CacheSpec, GatewaySpec, OnCancelSpec, QuotaSpec, QuotasSpec, UnitsSpec};
pub use heartbeat::HeartbeatSpec;
pub use lifecycle::{FailuresSpec, FlappingSpec, FlappingThresholdsSpec, LifecycleSpec};
pub use message_template::{MessageTemplateSpec, RateLimitSpec};
pub use paused::{PauseSpec, PausedDetailsSpec, PausedSpec};
pub use plugins::{
    BudgetSpec, DigestsSpec, GrantsSpec, PluginSpec, PluginsFile, PolicySpec, RegistrySpec,
    SizeSpec, TrustSpec,
};
pub use prune::prune_and_parse;
pub use rate_limits::RateLimitRulesSpec;
pub use report::{ReportSectionSpec, ReportSpec, ReportsFile};
pub use routing::{InhibitSpec, MaintenanceSpec, RouteSpec, Texts, WindowSpec};
pub use schema::{InvalidSchema, Schema};
pub use service::{MeterSpec, MonitoringSpec, ProbeSpec, ServiceSpec, SloSpec, WebhookSpec};
pub use service_facts::ContractSpec;
pub use status_pages::{PublicGroupSpec, PublicPageSpec, StatusPagesFile};
pub use storage::{ArchiveSpec, BackupsSpec, HistorySpec, KeepSpec, StorageFile, StorageSpec};
pub use template::{AlertTemplateSpec, ParameterSpec, TemplateUseSpec};
pub use values::{DurationSpec, PluginSettings};
pub use vendor::{
    StatusPageFormat, StatusPageSpec, VendorCredentialSpec, VendorHealthSpec, VendorParameterSpec,
    VendorSpec, VendorWebhookSpec,
};
