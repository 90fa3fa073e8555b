//! Heartbeats: a job of the service calls us, and is late or down when it does not. Pure: what a
//! ping or the time makes of the state, and when the state changes next.

mod record;
mod signal;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::UnixMillis;
use super::mute::CronSchedule;

pub use record::{DownCause, HeartbeatRecord, HeartbeatState};
pub use signal::{Ping, Signal};

/// Name of the probe under which a service's heartbeat is observed, and location of these
/// observations: they are calls to us, not measurements of ours.
pub const HEARTBEAT: &str = "heartbeat";

/// A job that ends a little before the moment of its schedule was meant for that moment: its clock is
/// not ours.
const CLOCK_SKEW_MS: i64 = 5_000;

/// What is expected of a job.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    pub cadence: Cadence,
    /// How late a ping may be before the job counts as down.
    pub grace: Duration,
    /// How long a run that reported its start may take; none: as long as the grace.
    pub max_duration: Option<Duration>,
}

/// When pings are expected.
#[derive(Debug, Clone)]
pub enum Cadence {
    /// So long after the one before.
    Every(Duration),
    /// At the moments of a schedule.
    Cron {
        /// The schedule as it was written.
        text: String,
        schedule: CronSchedule,
    },
}

impl Heartbeat {
    /// How long a run that reported its start may take.
    pub fn run_limit(&self) -> Duration {
        self.max_duration.unwrap_or(self.grace)
    }

    /// Returns when the ping after one that came at a moment is due; none: never.
    pub fn due_after(&self, last_ms: UnixMillis) -> Option<UnixMillis> {
        match &self.cadence {
            Cadence::Every(period) => Some(later(last_ms, *period)),
            Cadence::Cron { schedule, .. } => schedule
                .next_after(last_ms.saturating_add(CLOCK_SKEW_MS).div_euclid(1_000))?
                .checked_mul(1_000),
        }
    }
}

/// Returns a moment so long after another one.
fn later(at_ms: UnixMillis, by: Duration) -> UnixMillis {
    at_ms.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}
