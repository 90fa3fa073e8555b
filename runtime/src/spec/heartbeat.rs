//! The heartbeat of a service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationSpec;

/// Pings by which a job says that it ran, e.g. `{every: 1h}` or `{cron: "0 3 * * *", timezone:
/// Europe/Berlin}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeartbeatSpec {
    /// Longest time from one ping to the next: seconds, or text such as `1h`. This or `cron`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<DurationSpec>,
    /// When the job runs: minute, hour, day of the month, month, day of the week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// Time zone of `cron`, e.g. `Europe/Berlin`. Default: `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// How late a ping may be before the job counts as down: seconds, or text such as `10m`.
    /// Default: `5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<DurationSpec>,
    /// How long a run may take that reported its start: seconds, or text such as `2h`. Default: as
    /// long as `grace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<DurationSpec>,
}
