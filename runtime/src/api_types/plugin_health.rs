//! Health of a plugin: its runs, and how they ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::RunOutcome;

/// How the active version of a plugin does. The same for all versions and any time: the SQL view
/// `plugin_health`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthBody {
    /// Begin of `total`, RFC 3339: when the version became active, or a day before the program
    /// started.
    pub since: String,
    pub total: FiguresBody,
    /// The last 55 to 60 minutes.
    pub last_hour: FiguresBody,
    /// Counts of the last 20 runs.
    pub recent: RecentBody,
    /// Null while it is well.
    pub failing: Option<FailingBody>,
    /// The last run that broke, null without one.
    pub last_broken: Option<BrokenBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FiguresBody {
    pub runs: u64,
    pub ok: u64,
    /// Runs that answered with an error of their own.
    pub errors: u64,
    pub traps: u64,
    pub timeouts: u64,
    /// Runs that were cut off at a limit.
    pub limits: u64,
    /// Calls that were refused for want of a grant.
    pub denials: u64,
    /// CPU time of all runs together.
    pub cpu_us: u64,
    /// High-water mark of linear memory, bytes.
    pub memory_bytes: u64,
    /// Wall clock of a run, null without one.
    pub duration: Option<DurationBody>,
}

/// Microseconds, within a tenth; the longest is exact.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DurationBody {
    pub p50_us: u64,
    pub p95_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecentBody {
    pub runs: u32,
    pub broken: u32,
    /// Broken runs in a row, up to the latest.
    pub broken_in_a_row: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailingBody {
    /// RFC 3339.
    pub since: String,
    pub reason: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokenBody {
    /// RFC 3339.
    pub at: String,
    /// The exported function, e.g. `check`.
    pub function: String,
    pub outcome: RunOutcome,
    pub reason: String,
}
