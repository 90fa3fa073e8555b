//! How a plugin does, as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use crate::api::moment::rfc3339;
use crate::domain::{DurationQuantiles, Failing, PluginHealth, RunFigures, RunOutcome};

/// How the active version of a plugin does. The same for all versions and any time: the SQL view
/// `plugin_health`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HealthBody {
    /// What `total` counts from, RFC 3339: since the version became active, or for as long as is
    /// remembered (a day before the program started).
    since: String,
    total: FiguresBody,
    /// The last 55 to 60 minutes.
    last_hour: FiguresBody,
    /// Of the last 20 runs.
    recent: RecentBody,
    /// Null while it is well.
    failing: Option<FailingBody>,
    /// The last run that broke, null without one.
    last_broken: Option<BrokenBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct FiguresBody {
    runs: u64,
    ok: u64,
    /// It answered with an error of its own.
    errors: u64,
    traps: u64,
    timeouts: u64,
    /// It was cut off at a cap.
    limits: u64,
    /// Calls that were refused for want of a grant.
    denials: u64,
    /// Of all runs together.
    cpu_us: u64,
    /// High-water mark of linear memory, bytes.
    memory_bytes: u64,
    /// Wall clock of a run, null without one.
    duration: Option<DurationBody>,
}

/// Microseconds, within a tenth; the longest is exact.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct DurationBody {
    p50_us: u64,
    p95_us: u64,
    p99_us: u64,
    max_us: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct RecentBody {
    runs: u32,
    broken: u32,
    /// Up to the latest.
    broken_in_a_row: u32,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct FailingBody {
    /// RFC 3339.
    since: String,
    reason: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct BrokenBody {
    /// RFC 3339.
    at: String,
    /// The exported function, e.g. `check`.
    function: String,
    outcome: RunOutcome,
    reason: String,
}

impl From<PluginHealth> for HealthBody {
    fn from(health: PluginHealth) -> Self {
        let PluginHealth {
            since_ms,
            total,
            last_hour,
            recent,
            failing,
            last_broken,
        } = health;
        Self {
            since: rfc3339(since_ms),
            total: total.into(),
            last_hour: last_hour.into(),
            recent: RecentBody {
                runs: recent.runs,
                broken: recent.broken,
                broken_in_a_row: recent.broken_in_a_row,
            },
            failing: failing.map(|Failing { since_ms, reason }| FailingBody {
                since: rfc3339(since_ms),
                reason,
            }),
            last_broken: last_broken.map(|run| BrokenBody {
                at: rfc3339(run.ts_ms),
                function: run.function,
                outcome: run.outcome,
                reason: run.reason,
            }),
        }
    }
}

impl From<RunFigures> for FiguresBody {
    fn from(figures: RunFigures) -> Self {
        let RunFigures {
            runs,
            ok,
            errors,
            traps,
            timeouts,
            limits,
            denials,
            cpu_us,
            memory_bytes,
            duration,
        } = figures;
        let duration = duration.map(
            |DurationQuantiles {
                 p50_us,
                 p95_us,
                 p99_us,
                 max_us,
             }| DurationBody {
                p50_us,
                p95_us,
                p99_us,
                max_us,
            },
        );
        Self {
            runs,
            ok,
            errors,
            traps,
            timeouts,
            limits,
            denials,
            cpu_us,
            memory_bytes,
            duration,
        }
    }
}
