//! Input and verdict of a rule.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Metric, Observation, RateLimit, Status, UnixMillis};

/// Counts of the runs in a window. Missed runs, and those whose check broke, are left out: they are
/// no evidence about the service.
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
    pub fn add(&mut self, status: Status, runs: u64) {
        self.count += runs;
        match status {
            Status::Healthy => self.healthy += runs,
            Status::Degraded => self.degraded += runs,
            Status::Unhealthy => self.unhealthy += runs,
            Status::Error => self.errors += runs,
        }
    }

    /// Percent of runs that were healthy or degraded; none without a run.
    pub fn availability(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.healthy + self.degraded) as f64 * 100.0 / self.count as f64)
    }

    /// Percent of runs that were neither healthy nor degraded; none without a run.
    pub fn error_rate(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.unhealthy + self.errors) as f64 * 100.0 / self.count as f64)
    }
}

/// Part of the history cut into steps. Both ends count back from the evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    pub from: Duration,
    pub to: Duration,
    pub step: Duration,
    /// Quantile of the latency, 0 to 1.
    pub quantile: f64,
}

/// One step of a [`Span`]. Its beginning is not part of it, its end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    pub start_ms: UnixMillis,
    pub end_ms: UnixMillis,
    /// Summary without what is covered.
    pub summary: Summary,
    /// Latency of available runs, to 2 %.
    pub latency_us: Option<u64>,
}

/// Rate limit as a probe last read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitReading {
    pub probe: Arc<str>,
    pub limit: RateLimit,
}

/// Runs that count in a question about the history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Names of probes and webhooks; empty: all.
    pub probes: Vec<String>,
    /// Empty: all.
    pub locations: Vec<String>,
}

impl Selection {
    pub fn contains(&self, probe: &str, location: &str) -> bool {
        let is_one = |names: &[String], name: &str| {
            names.is_empty() || names.iter().any(|known| known == name)
        };
        is_one(&self.probes, probe) && is_one(&self.locations, location)
    }
}

/// Usage and cost of a service in one period, to date.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageToDate {
    /// What is counted, e.g. `requests`.
    pub meter: String,
    pub period_start_ms: UnixMillis,
    pub period_end_ms: UnixMillis,
    pub used: f64,
    pub quota: Option<f64>,
    /// Millionths of the currency.
    pub cost_micros: Option<i64>,
    /// Millionths of the currency.
    pub budget_micros: Option<i64>,
    /// ISO 4217; empty without a price and a budget.
    pub currency: String,
    /// More about the budget, if it is one's.
    pub budget: Option<BudgetUsage>,
    /// The invoice that it is compared with, if it is one's.
    pub invoice: Option<InvoiceUsage>,
}

/// An invoice beside what we counted. Amounts are millionths of its currency.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InvoiceUsage {
    pub billed_micros: i64,
    /// Above zero: more is billed than we counted.
    pub drift_micros: i64,
    /// Percent of what is billed; none where nothing is.
    pub drift_percent: Option<f64>,
    /// What may explain it, for people.
    pub reasons: String,
}

/// What is known of a budget beside what is used. Amounts are millionths of its currency.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BudgetUsage {
    /// Name for people.
    pub name: String,
    /// Why there are no figures.
    pub missing: Option<String>,
    /// Likely, low and high cost at the end of the period.
    pub forecast_micros: Option<[i64; 3]>,
    /// Why there is no forecast.
    pub forecast_missing: Option<String>,
    /// When it will be used up, if that is within the period.
    pub used_up_ms: Option<UnixMillis>,
}

/// Returns the budgets of a subject at a moment: its own, or those that calls of a service count for.
/// It is asked for each evaluation of a rule, and must not wait.
pub type UsageReader = Arc<dyn Fn(&str, UnixMillis) -> Vec<UsageToDate> + Send + Sync>;

/// The history of one service as it stood when one observation arrived. Missed runs, and those
/// whose check broke, are left out.
pub trait History: Send + Sync {
    /// The observation being judged.
    fn latest(&self) -> Option<Arc<Observation>>;
    /// The last ones, oldest first.
    fn samples(&self, last: usize) -> Vec<Arc<Observation>>;
    /// Summarizes the window that ends with the evaluation.
    fn summary(&self, window: Duration) -> Summary;
    /// Quantile 0 to 1 of the latency of available runs, in microseconds.
    fn latency(&self, window: Duration, quantile: f64) -> Option<u64>;
    /// Runs in a row, up to the latest, that were not available.
    fn consecutive_failures(&self) -> u32;
    /// The last one of each probe and webhook in each location, by their names, as long as it is not
    /// too old to matter.
    fn latest_by_probe(&self) -> Vec<Arc<Observation>>;
    /// Oldest first; the steps end where the span ends, so the first may be shorter. None for a
    /// span without a step, or with more than a thousand.
    fn buckets(&self, span: Span) -> Vec<Bucket>;
    /// The last readings of each limit, oldest first.
    fn rate_limits(&self) -> Vec<RateLimitReading>;
    /// Returns usage and cost to date by meter. Empty: none known.
    fn usage(&self) -> Vec<UsageToDate> {
        Vec::new()
    }
    /// Returns for how long the program has been watching without a break.
    fn watched(&self) -> Duration;
    /// The same history with the selected runs alone.
    fn select(&self, selection: &Selection) -> Arc<dyn History>;
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Text for people: the value found beside the value wanted.
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
