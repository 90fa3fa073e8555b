//! The history of the service that a rule evaluates. Lists are oldest first.
//!
//! The functions of this module count all runs; those of a [`Selection`] count the runs of some
//! probes or locations.

use std::time::Duration;

use crate::time::millis;
pub use crate::wit::history::{Bucket, RateLimit, Sample, Selection, Usage, WindowSummary};

/// The selection of all runs.
const ALL: Option<&Selection> = None;

/// Returns the observation that is evaluated.
pub fn latest() -> Option<Sample> {
    ask_latest(ALL)
}

/// Returns the last observations, at most 1,000.
pub fn samples(last: u32) -> Vec<Sample> {
    ask_samples(last, ALL)
}

/// Counts the runs in a window that ends now.
pub fn summary(window: Duration) -> WindowSummary {
    ask_summary(window, ALL)
}

/// Returns a quantile, 0 to 1, of the latency in the window.
pub fn latency(window: Duration, quantile: f64) -> Option<Duration> {
    ask_latency(window, quantile, ALL)
}

/// Counts the runs in a row, up to the latest, that were neither healthy nor degraded.
pub fn consecutive_failures() -> u32 {
    ask_consecutive_failures(ALL)
}

/// Returns the latest observation of each probe in each location, by their names; without those
/// that have not run for two intervals and the look-back.
pub fn latest_by_probe() -> Vec<Sample> {
    ask_latest_by_probe(ALL)
}

/// Returns the time between two moments before the evaluation, in steps that end where it ends,
/// each with this quantile of the latency. At most 1,000 steps, else none.
pub fn buckets(from_ago: Duration, to_ago: Duration, step: Duration, quantile: f64) -> Vec<Bucket> {
    ask_buckets((from_ago, to_ago), step, quantile, ALL)
}

impl Selection {
    /// Selects the runs of one probe or webhook.
    pub fn probe(name: impl Into<String>) -> Self {
        Self {
            probes: vec![name.into()],
            ..Self::all()
        }
    }

    /// Selects the runs in one location.
    pub fn location(name: impl Into<String>) -> Self {
        Self {
            locations: vec![name.into()],
            ..Self::all()
        }
    }

    /// Selects all runs.
    pub fn all() -> Self {
        Self {
            probes: Vec::new(),
            locations: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// Limits the selection to one location.
    pub fn in_location(mut self, name: impl Into<String>) -> Self {
        self.locations = vec![name.into()];
        self
    }

    /// Returns whether a run is in the selection.
    pub fn contains(&self, sample: &Sample) -> bool {
        let is_one = |names: &[String], name| names.is_empty() || names.contains(name);
        is_one(&self.probes, &sample.probe) && is_one(&self.locations, &sample.location)
    }

    /// Returns the last observation in the selection.
    pub fn latest(&self) -> Option<Sample> {
        ask_latest(Some(self))
    }

    /// Returns the last observations, as [`samples`] does.
    pub fn samples(&self, last: u32) -> Vec<Sample> {
        ask_samples(last, Some(self))
    }

    /// Counts the runs in a window that ends now.
    pub fn summary(&self, window: Duration) -> WindowSummary {
        ask_summary(window, Some(self))
    }

    /// Returns a quantile of the latency, as [`latency`] does.
    pub fn latency(&self, window: Duration, quantile: f64) -> Option<Duration> {
        ask_latency(window, quantile, Some(self))
    }

    /// Counts failures in a row, as [`consecutive_failures`] does.
    pub fn consecutive_failures(&self) -> u32 {
        ask_consecutive_failures(Some(self))
    }

    /// Returns the latest observations, as [`latest_by_probe`] does.
    pub fn latest_by_probe(&self) -> Vec<Sample> {
        ask_latest_by_probe(Some(self))
    }

    /// Returns steps of a longer window, as [`buckets`] does.
    pub fn buckets(
        &self,
        from_ago: Duration,
        to_ago: Duration,
        step: Duration,
        quantile: f64,
    ) -> Vec<Bucket> {
        ask_buckets((from_ago, to_ago), step, quantile, Some(self))
    }
}

fn ask_latest(only: Option<&Selection>) -> Option<Sample> {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::history::latest(only);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.history_latest(only))
}

fn ask_samples(last: u32, only: Option<&Selection>) -> Vec<Sample> {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::history::samples(last, only);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.history_samples(last, only))
}

fn ask_summary(window: Duration, only: Option<&Selection>) -> WindowSummary {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::history::summary(millis(window), only);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.history_summary(millis(window), only))
}

fn ask_latency(window: Duration, quantile: f64, only: Option<&Selection>) -> Option<Duration> {
    #[cfg(target_arch = "wasm32")]
    let found = crate::wit::history::latency(millis(window), quantile, only);
    #[cfg(not(target_arch = "wasm32"))]
    let found = crate::fake::with(|host| host.history_latency(millis(window), quantile, only));
    found.map(Duration::from_micros)
}

fn ask_consecutive_failures(only: Option<&Selection>) -> u32 {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::history::consecutive_failures(only);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.history_consecutive_failures(only))
}

fn ask_latest_by_probe(only: Option<&Selection>) -> Vec<Sample> {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::history::latest_by_probe(only);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.history_latest_by_probe(only))
}

fn ask_buckets(
    (from_ago, to_ago): (Duration, Duration),
    step: Duration,
    quantile: f64,
    only: Option<&Selection>,
) -> Vec<Bucket> {
    let (from_ms, to_ms, step_ms) = (millis(from_ago), millis(to_ago), millis(step));
    #[cfg(target_arch = "wasm32")]
    return crate::wit::history::buckets(from_ms, to_ms, step_ms, quantile, only);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.history_buckets((from_ms, to_ms), step_ms, quantile, only))
}

/// Returns the last readings of each rate limit of the last day.
pub fn rate_limits() -> Vec<RateLimit> {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::history::rate_limits();
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.history_rate_limits())
}

/// Returns usage and cost to date of each meter in its present period; empty where none is known.
pub fn usage() -> Vec<Usage> {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::history::usage_to_date();
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.history_usage())
}

/// Returns how long the program has been watching the service without a break.
pub fn watched() -> Duration {
    #[cfg(target_arch = "wasm32")]
    let watched_ms = crate::wit::history::watched_ms();
    #[cfg(not(target_arch = "wasm32"))]
    let watched_ms = crate::fake::with(|host| host.history_watched_ms());
    Duration::from_millis(watched_ms)
}

impl WindowSummary {
    /// Returns the percentage of runs that were healthy or degraded; none without a run.
    pub fn availability(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.healthy + self.degraded) as f64 * 100.0 / self.count as f64)
    }

    /// Returns the percentage of runs that were neither; none without a run.
    pub fn error_rate(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.unhealthy + self.errors) as f64 * 100.0 / self.count as f64)
    }
}
