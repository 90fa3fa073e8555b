//! How a plugin does, as JSON.

use crate::api::http::moment::rfc3339;
use crate::api_types::plugin_health::{
    BrokenBody, DurationBody, FailingBody, FiguresBody, HealthBody, RecentBody,
};
use crate::domain::{DurationQuantiles, Failing, PluginHealth, RunFigures};

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
