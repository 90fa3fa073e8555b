//! How a version of a plugin is doing: what its runs came to and cost, and whether it is failing.

use super::{PluginRun, RunOutcome, UnixMillis};

/// So many broken runs in a row make a plugin failing; so many good ones in a row make it well
/// again.
pub const RUNS_THAT_DECIDE: u32 = 5;

/// Runs that are looked back at: with more than half of them broken a plugin is failing too.
pub const RUNS_REMEMBERED: u32 = 20;

/// Figures of the runs in a span of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFigures {
    pub runs: u64,
    pub ok: u64,
    pub errors: u64,
    pub traps: u64,
    pub timeouts: u64,
    pub limits: u64,
    /// Calls that were refused for want of a grant.
    pub denials: u64,
    /// CPU time of all runs together.
    pub cpu_us: u64,
    /// High-water mark over all runs.
    pub memory_bytes: u64,
    /// Wall clock of a run; none without one.
    pub duration: Option<DurationQuantiles>,
}

/// Durations in microseconds; within a tenth, but for the longest, which is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationQuantiles {
    pub p50_us: u64,
    pub p95_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

/// One version of a plugin as it is doing now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PluginHealth {
    /// `total` counts from here: from when this version became active, or from as far back as is
    /// remembered.
    pub since_ms: UnixMillis,
    pub total: RunFigures,
    /// The last 55 to 60 minutes.
    pub last_hour: RunFigures,
    pub recent: RecentRuns,
    /// Failure of the plugin; none while it is well.
    pub failing: Option<Failing>,
    /// The last run that broke.
    pub last_broken: Option<BrokenRun>,
}

/// Counts of the last [`RUNS_REMEMBERED`] runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecentRuns {
    pub runs: u32,
    pub broken: u32,
    /// Broken runs up to the latest.
    pub broken_in_a_row: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    pub since_ms: UnixMillis,
    /// Text for people, e.g. `the last 5 runs broke: trapped: …`.
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenRun {
    pub ts_ms: UnixMillis,
    /// The exported function, e.g. `check`.
    pub function: String,
    pub outcome: RunOutcome,
    pub reason: String,
}

impl PluginRun {
    /// True if the plugin itself is to blame, and not for what a service did to it: waiting for an
    /// answer until the end is the service's time-out, and a notifier that could not deliver has
    /// reported what the other side answered.
    pub fn is_broken(&self) -> bool {
        is_broken(&self.function, self.outcome, self.duration_us, self.cpu_us)
    }
}

/// Returns [`PluginRun::is_broken`] of a run as it was stored.
pub fn is_broken(function: &str, outcome: RunOutcome, duration_us: u64, cpu_us: u64) -> bool {
    match outcome {
        RunOutcome::Ok => false,
        RunOutcome::Error => function != "notify",
        RunOutcome::Trap | RunOutcome::Limit => true,
        // One that has not even begun waited for the program.
        RunOutcome::Timeout => duration_us > 0 && cpu_us * 2 >= duration_us,
    }
}

/// Runs that were stored before this start, of one version: those of one time, outcome and
/// duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRuns {
    /// Begin of the five minutes they fall into; 0 for all that are older than an hour.
    pub slot_ms: UnixMillis,
    pub outcome: RunOutcome,
    /// [`duration_bucket`]
    pub bucket: usize,
    pub runs: u64,
    pub denials: u64,
    pub cpu_us: u64,
    pub memory_bytes: u64,
    pub max_duration_us: u64,
}

/// One run that was stored before this start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRun {
    pub ts_ms: UnixMillis,
    pub function: String,
    pub outcome: RunOutcome,
    pub error: Option<String>,
    pub duration_us: u64,
    pub cpu_us: u64,
}

/// Four to an octave, from 1 µs to 71 minutes.
pub const DURATION_BUCKETS: usize = 128;

/// Each bucket ends at 1.19 times where it begins.
pub fn duration_bucket(duration_us: u64) -> usize {
    let bucket = (duration_us.max(1) as f64).log2() * 4.0;
    (bucket as usize).min(DURATION_BUCKETS - 1)
}

/// The geometric middle of a bucket.
pub fn bucket_middle_us(bucket: usize) -> u64 {
    ((bucket as f64 + 0.5) / 4.0).exp2().round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_within_a_tenth_of_what_falls_into_it() {
        for duration_us in (25..2_000).chain([40_000, 123_456, 5_000_000, 3_600_000_000]) {
            let shown = bucket_middle_us(duration_bucket(duration_us));
            let off = (shown as f64 / duration_us as f64 - 1.0).abs();
            assert!(off < 0.1, "{duration_us} µs is shown as {shown}");
        }
        assert_eq!(
            [
                duration_bucket(0),
                duration_bucket(1),
                duration_bucket(u64::MAX)
            ],
            [0, 0, DURATION_BUCKETS - 1]
        );
    }

    #[test]
    fn a_run_is_broken_when_the_plugin_is_to_blame() {
        use RunOutcome::*;
        for (function, outcome, duration_us, cpu_us, wanted) in [
            ("check", Ok, 100, 100, false),
            ("check", Error, 100, 100, true),
            ("notify", Error, 100, 100, false),
            ("notify", Trap, 100, 100, true),
            ("evaluate", Limit, 100, 100, true),
            ("check", Timeout, 1_000, 900, true),
            ("check", Timeout, 1_000, 100, false),
            ("check", Timeout, 0, 0, false),
        ] {
            assert_eq!(
                is_broken(function, outcome, duration_us, cpu_us),
                wanted,
                "{function} {outcome:?} {cpu_us}"
            );
        }
    }
}
