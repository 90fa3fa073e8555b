//! A history of samples, counted as the real host counts.

use std::collections::BTreeMap;

use serde_json::json;

use super::State;
use crate::history::{Bucket, RateLimit, Sample, Selection, Usage, WindowSummary};
use crate::probe::Status;

/// Builds a run that ended at a moment, with a status and a latency.
pub fn sample(ts_ms: u64, status: Status, latency_ms: impl Into<Option<u64>>) -> Sample {
    Sample {
        ts_ms,
        probe: "http".to_owned(),
        location: "local".to_owned(),
        status,
        latency_us: latency_ms.into().map(|ms| ms * 1_000),
        http_status: None,
        failure: None,
        metrics: Vec::new(),
        attributes: None,
    }
}

/// Builds a reading of the limit `default` that ends at `reset_ms`.
pub fn rate_limit(
    ts_ms: u64,
    remaining: u64,
    quota: impl Into<Option<u64>>,
    reset_ms: impl Into<Option<u64>>,
) -> RateLimit {
    RateLimit {
        ts_ms,
        probe: "http".to_owned(),
        host: "api.example.com".to_owned(),
        name: "default".to_owned(),
        quota: quota.into(),
        remaining: Some(remaining),
        reset_ms: reset_ms.into(),
        window_ms: None,
        attributes: Vec::new(),
    }
}

fn is_available(sample: &Sample) -> bool {
    matches!(sample.status, Status::Healthy | Status::Degraded)
}

impl State {
    fn selected<'a>(
        &'a self,
        only: Option<&'a Selection>,
    ) -> impl DoubleEndedIterator<Item = &'a Sample> {
        self.samples
            .iter()
            .filter(move |sample| only.is_none_or(|only| only.contains(sample)))
    }

    fn window<'a>(
        &'a self,
        window_ms: u64,
        only: Option<&'a Selection>,
    ) -> impl Iterator<Item = &'a Sample> {
        let start_ms = self.now_ms.saturating_sub(window_ms);
        self.selected(only)
            .filter(move |sample| sample.ts_ms > start_ms)
    }

    pub(crate) fn history_latest(&mut self, only: Option<&Selection>) -> Option<Sample> {
        match self.recorded("history.latest", &json!({"only": only})) {
            Some(latest) => latest,
            None => self.selected(only).next_back().cloned(),
        }
    }

    pub(crate) fn history_samples(&mut self, last: u32, only: Option<&Selection>) -> Vec<Sample> {
        let asked = json!({"last": last, "only": only});
        if let Some(samples) = self.recorded("history.samples", &asked) {
            return samples;
        }
        let count = last.min(1_000) as usize;
        let mut samples: Vec<Sample> = self.selected(only).rev().take(count).cloned().collect();
        samples.reverse();
        samples
    }

    pub(crate) fn history_summary(
        &mut self,
        window_ms: u64,
        only: Option<&Selection>,
    ) -> WindowSummary {
        let asked = json!({"window_ms": window_ms, "only": only});
        if let Some(summary) = self.recorded("history.summary", &asked) {
            return summary;
        }
        let mut summary = WindowSummary {
            count: 0,
            healthy: 0,
            degraded: 0,
            unhealthy: 0,
            errors: 0,
            covered_ms: 0,
            attributes: Vec::new(),
        };
        let mut first_ms = None;
        for sample in self.window(window_ms, only) {
            first_ms.get_or_insert(sample.ts_ms);
            summary.count += 1;
            match sample.status {
                Status::Healthy => summary.healthy += 1,
                Status::Degraded => summary.degraded += 1,
                Status::Unhealthy => summary.unhealthy += 1,
                Status::Error => summary.errors += 1,
            }
        }
        summary.covered_ms = first_ms.map_or(0, |first_ms| self.now_ms.saturating_sub(first_ms));
        summary
    }

    /// Returns a quantile of available runs, by nearest rank.
    pub(crate) fn history_latency(
        &mut self,
        window_ms: u64,
        quantile: f64,
        only: Option<&Selection>,
    ) -> Option<u64> {
        let asked = json!({"window_ms": window_ms, "quantile": quantile, "only": only});
        if let Some(latency) = self.recorded("history.latency", &asked) {
            return latency;
        }
        let mut latencies: Vec<u64> = self
            .window(window_ms, only)
            .filter(|sample| is_available(sample))
            .filter_map(|sample| sample.latency_us)
            .collect();
        latencies.sort_unstable();
        let rank = (quantile.clamp(0.0, 1.0) * latencies.len() as f64).ceil() as usize;
        latencies.get(rank.saturating_sub(1)).copied()
    }

    pub(crate) fn history_latest_by_probe(&mut self, only: Option<&Selection>) -> Vec<Sample> {
        if let Some(latest) = self.recorded("history.latest-by-probe", &json!({"only": only})) {
            return latest;
        }
        let by_probe: BTreeMap<(&str, &str), &Sample> = self
            .selected(only)
            .map(|sample| ((sample.probe.as_str(), sample.location.as_str()), sample))
            .collect();
        by_probe.into_values().cloned().collect()
    }

    /// Counts as the real host does, with exact latencies.
    pub(crate) fn history_buckets(
        &mut self,
        (from_ms_ago, to_ms_ago): (u64, u64),
        step_ms: u64,
        quantile: f64,
        only: Option<&Selection>,
    ) -> Vec<Bucket> {
        let asked = json!({
            "from_ms_ago": from_ms_ago, "to_ms_ago": to_ms_ago, "step_ms": step_ms, "quantile": quantile, "only": only,
        });
        if let Some(buckets) = self.recorded("history.buckets", &asked) {
            return buckets;
        }
        let (from_ms, to_ms) = (
            self.now_ms.saturating_sub(from_ms_ago),
            self.now_ms.saturating_sub(to_ms_ago),
        );
        if step_ms == 0 || to_ms <= from_ms || (to_ms - from_ms).div_ceil(step_ms) > 1_000 {
            return Vec::new();
        }
        let steps = (to_ms - from_ms).div_ceil(step_ms);
        let step = |index: u64| {
            let end_ms = to_ms - index * step_ms;
            let start_ms = end_ms.saturating_sub(step_ms).max(from_ms);
            let inside = || {
                self.selected(only)
                    .filter(|sample| sample.ts_ms > start_ms && sample.ts_ms <= end_ms)
            };
            let count = |status| inside().filter(|sample| sample.status == status).count() as u64;
            let mut latencies: Vec<u64> = inside()
                .filter(|sample| is_available(sample))
                .filter_map(|sample| sample.latency_us)
                .collect();
            latencies.sort_unstable();
            let rank = (quantile.clamp(0.0, 1.0) * latencies.len() as f64).ceil() as usize;
            Bucket {
                start_ms,
                end_ms,
                count: inside().count() as u64,
                healthy: count(Status::Healthy),
                degraded: count(Status::Degraded),
                unhealthy: count(Status::Unhealthy),
                errors: count(Status::Error),
                latency_us: latencies.get(rank.saturating_sub(1)).copied(),
                attributes: None,
            }
        };
        (0..steps).rev().map(step).collect()
    }

    pub(crate) fn history_rate_limits(&mut self) -> Vec<RateLimit> {
        self.recorded("history.rate-limits", &())
            .unwrap_or_else(|| self.rate_limits.clone())
    }

    pub(crate) fn history_usage(&mut self) -> Vec<Usage> {
        self.recorded("history.usage-to-date", &())
            .unwrap_or_else(|| self.usage.clone())
    }

    pub(crate) fn history_watched_ms(&mut self) -> u64 {
        let first_ms = self
            .samples
            .first()
            .map_or(self.now_ms, |first| first.ts_ms);
        let watched_ms = self
            .watched_ms
            .unwrap_or(self.now_ms.saturating_sub(first_ms));
        self.recorded("history.watched-ms", &())
            .unwrap_or(watched_ms)
    }

    pub(crate) fn history_consecutive_failures(&mut self, only: Option<&Selection>) -> u32 {
        let asked = json!({"only": only});
        if let Some(failures) = self.recorded("history.consecutive-failures", &asked) {
            return failures;
        }
        let failures = self
            .selected(only)
            .rev()
            .take_while(|sample| !is_available(sample))
            .count();
        u32::try_from(failures).unwrap_or(u32::MAX)
    }
}
