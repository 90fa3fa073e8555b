//! The history of the service that a rule looks at. Oldest first where there are several.

use std::time::Duration;

use crate::time::millis;
pub use crate::wit::history::{Bucket, RateLimit, Sample, WindowSummary};

/// The observation being judged.
pub fn latest() -> Option<Sample> {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::history::latest();
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.history_latest())
}

/// The last ones, at most 1,000.
pub fn samples(last: u32) -> Vec<Sample> {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::history::samples(last);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.history_samples(last))
}

/// Counts of the runs in a window that ends now.
pub fn summary(window: Duration) -> WindowSummary {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::history::summary(millis(window));
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.history_summary(millis(window)))
}

/// Quantile 0 to 1 of the latency in the window.
pub fn latency(window: Duration, quantile: f64) -> Option<Duration> {
    #[cfg(target_arch = "wasm32")]
    let found = crate::wit::history::latency(millis(window), quantile);
    #[cfg(not(target_arch = "wasm32"))]
    let found = crate::fake::with(|host| host.history_latency(millis(window), quantile));
    found.map(Duration::from_micros)
}

/// Runs in a row, up to the latest, that were neither healthy nor degraded.
pub fn consecutive_failures() -> u32 {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::history::consecutive_failures();
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.history_consecutive_failures())
}

/// The latest observation of each probe, by name; without those that have not run for two intervals
/// and the look-back.
pub fn latest_by_probe() -> Vec<Sample> {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::history::latest_by_probe();
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.history_latest_by_probe())
}

/// From so long before the evaluation to so long before it, in steps that end where this ends,
/// oldest first, each with this quantile of the latency. At most 1,000 steps, else none.
pub fn buckets(from_ago: Duration, to_ago: Duration, step: Duration, quantile: f64) -> Vec<Bucket> {
    let (from_ms, to_ms, step_ms) = (millis(from_ago), millis(to_ago), millis(step));
    #[cfg(target_arch = "wasm32")]
    return crate::wit::history::buckets(from_ms, to_ms, step_ms, quantile);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.history_buckets(from_ms, to_ms, step_ms, quantile))
}

/// The last readings of each rate limit of the last day, oldest first.
pub fn rate_limits() -> Vec<RateLimit> {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::history::rate_limits();
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.history_rate_limits())
}

/// For how long the program has been watching the service without a break.
pub fn watched() -> Duration {
    #[cfg(target_arch = "wasm32")]
    let watched_ms = crate::wit::history::watched_ms();
    #[cfg(not(target_arch = "wasm32"))]
    let watched_ms = crate::fake::with(|host| host.history_watched_ms());
    Duration::from_millis(watched_ms)
}

impl WindowSummary {
    /// Percent of runs that were healthy or degraded; none without a run.
    pub fn availability(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.healthy + self.degraded) as f64 * 100.0 / self.count as f64)
    }

    /// Percent of runs that were neither; none without a run.
    pub fn error_rate(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.unhealthy + self.errors) as f64 * 100.0 / self.count as f64)
    }
}
