//! What is read back of a service's past: the last runs whole, runs before them by what windows are
//! made of, and those before these counted by slots of time.

use super::{Observation, RateLimitReading, Status, UnixMillis};

/// Runs before this age are counted by the hour, later ones by five minutes of the clock.
pub const FINE_KEPT_MS: i64 = 3 * 86_400_000;
pub const FINE_MS: i64 = 5 * 60_000;
pub const COARSE_MS: i64 = 3_600_000;

/// Runs kept one by one at most: half a day at one run every 10 s. What is older is counted by
/// slots.
pub const MAX_SAMPLES: usize = 4_320;

/// Runs kept one by one however old they are, because a rule may count runs in a row, whatever its
/// windows are.
pub const LEAST_SAMPLES: usize = 64;

/// Returns where the slots of five minutes begin, on the hour.
pub fn fine_from_ms(now_ms: UnixMillis) -> UnixMillis {
    now_ms.saturating_sub(FINE_KEPT_MS).div_euclid(COARSE_MS) * COARSE_MS
}

/// A probe or webhook in one location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSource {
    pub probe: String,
    pub location: String,
}

/// A run by what windows are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunSample {
    /// Position in [`PastRuns::sources`].
    pub source: u16,
    pub ts_ms: UnixMillis,
    pub run_id: i64,
    pub status: Status,
    pub latency_us: Option<u64>,
    /// It was due while the service was worked on.
    pub is_excluded: bool,
}

/// Runs of one source in one slot of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSlot {
    /// Position in [`PastRuns::sources`].
    pub source: u16,
    pub start_ms: UnixMillis,
    /// In the order of [`Status::ALL`].
    pub runs: [u64; 4],
    /// [`latency_bin`](super::latency_bin) and runs that were available with such a latency, by bin.
    pub latencies: Vec<(u16, u64)>,
    /// Milliseconds that these runs speak for.
    pub covered_ms: u64,
}

/// What is read back of one service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PastRuns {
    /// Moment as of which slots are five minutes or hours, see [`fine_from_ms`].
    pub as_of_ms: UnixMillis,
    pub sources: Vec<RunSource>,
    /// Runs from before all others, without those that were missed, broken or excluded: by source,
    /// then by time.
    pub slots: Vec<RunSlot>,
    /// All later runs without those that were missed or broken, oldest first.
    pub samples: Vec<RunSample>,
    /// The last of these, whole, with what they read of rate limits.
    pub observations: Vec<Observation>,
    /// The last one of each source, whole, where it is none of those.
    pub latest: Vec<Observation>,
    /// What runs before the whole ones read of rate limits, oldest first.
    pub readings: Vec<RateLimitReading>,
}

impl PastRuns {
    /// Returns the position of a source, which may be a new one.
    pub fn source(&mut self, probe: &str, location: &str) -> u16 {
        let known = self
            .sources
            .iter()
            .position(|source| source.probe == probe && source.location == location);
        let position = known.unwrap_or_else(|| {
            self.sources.push(RunSource {
                probe: probe.to_owned(),
                location: location.to_owned(),
            });
            self.sources.len() - 1
        });
        u16::try_from(position).unwrap_or(u16::MAX)
    }

    /// Returns a past of whole runs alone.
    #[cfg(test)]
    pub(crate) fn of(observations: Vec<Observation>) -> Self {
        let mut past = Self::default();
        let known = observations.iter().filter(|run| !run.is_check_broken());
        let samples: Vec<RunSample> = known
            .map(|run| RunSample {
                source: past.source(&run.probe, &run.location),
                ts_ms: run.ts_ms,
                run_id: run.run_id,
                status: run.status,
                latency_us: run.latency_us,
                is_excluded: run.excluded.is_some(),
            })
            .collect();
        Self {
            samples,
            observations,
            ..past
        }
    }
}
