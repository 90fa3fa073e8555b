//! What a rule sees and what it says.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Metric, Observation};

/// Counts of the runs in a window. Missed runs, and those whose check broke, are not in it: they say nothing about the service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    pub count: u64,
    pub healthy: u64,
    pub degraded: u64,
    pub unhealthy: u64,
    pub errors: u64,
    /// Milliseconds of the window that runs cover; less than the window after a start.
    pub covered_ms: u64,
}

impl Summary {
    /// Percent of runs that were healthy or degraded; none without a run.
    pub fn availability(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.healthy + self.degraded) as f64 * 100.0 / self.count as f64)
    }

    /// Percent of runs that were neither healthy nor degraded; none without a run.
    pub fn error_rate(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.unhealthy + self.errors) as f64 * 100.0 / self.count as f64)
    }
}

/// The history of one service as it stood when one observation arrived. Missed runs, and those whose check broke, are left
/// out.
pub trait History: Send + Sync {
    /// The observation being judged.
    fn latest(&self) -> Option<Arc<Observation>>;
    /// The last ones, oldest first.
    fn samples(&self, last: usize) -> Vec<Arc<Observation>>;
    /// Over the window that ends with the evaluation.
    fn summary(&self, window: Duration) -> Summary;
    /// Quantile 0 to 1 of the latency of available runs, in microseconds.
    fn latency(&self, window: Duration, quantile: f64) -> Option<u64>;
    /// Runs in a row, up to the latest, that were not available.
    fn consecutive_failures(&self) -> u32;
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// For people: the value found beside the value wanted.
    pub summary: String,
    pub value: Option<f64>,
    pub wanted: Option<f64>,
    pub details: Vec<Metric>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    Ok(Finding),
    Breached(Finding),
    /// Changes nothing.
    NoOpinion(String),
}
