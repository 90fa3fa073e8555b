//! Plain types and pure functions: what travels between the parts. Knows no other module.

pub mod alert;
pub mod catalog;
pub mod duration;
pub mod message;
pub mod observation;
pub mod plugin;
pub mod plugin_policy;
pub mod plugin_version;
pub mod rule;
pub mod shadow;
pub mod size;
pub mod slug;

pub use alert::{
    Alert, AlertEvent, AlertId, AlertState, Notification, NotificationState, NotificationStatus, Severity,
};
pub use catalog::{AlertRule, Catalog, Channel, ChannelId, Credential, CredentialKind, Origin, Probe, Service};
pub use message::{DeliveryError, Message, Receipt};
pub use observation::{ErrorKind, Failure, LOCAL, Metric, MetricValue, Observation, Phases, Status};
pub use plugin::{PluginInfo, PluginKind, PluginRun, RunOutcome, Want};
pub use plugin_policy::{Budget, BudgetChanges, BudgetKey, Capability, Grants, PluginPolicy};
pub use plugin_version::{
    ActivationReason, PluginActivation, PluginChange, PluginRecord, PluginShadow, PluginStep, PluginVersion,
};
pub use rule::{Finding, History, Summary, Verdict};
pub use shadow::{Quantiles, ShadowRun, ShadowSide, ShadowSummary, SideCost};
pub use slug::slug;

/// Milliseconds since 1970, UTC: the one representation of a moment between the parts.
pub type UnixMillis = i64;

/// The wall clock.
pub fn now_ms() -> UnixMillis {
    jiff::Timestamp::now().as_millisecond()
}
