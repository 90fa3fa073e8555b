//! The history as a rule sees it: windows that end with the moment of the evaluation.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::older::{self, Latencies, ProbeIndex};
use super::steps::Steps;
use super::{MAX_WHOLE, NO_LATENCY, REORDER_MS, Sample, ServiceHistory};
use crate::domain::{
    Bucket, History, Observation, RateLimitReading, Selection, Span, Summary, UnixMillis,
};

impl History for ServiceHistory {
    fn latest(&self) -> Option<Arc<Observation>> {
        self.whole.back().cloned()
    }

    fn samples(&self, last: usize) -> Vec<Arc<Observation>> {
        self.asked.fetch_max(last.min(MAX_WHOLE), Ordering::Relaxed);
        if last > self.whole.len() {
            self.note_beyond();
        }
        self.whole
            .iter()
            .skip(self.whole.len().saturating_sub(last))
            .cloned()
            .collect()
    }

    fn summary(&self, window: Duration) -> Summary {
        let mut summary = Summary {
            covered_ms: self.covered_ms(window),
            ..Summary::default()
        };
        for sample in self.window(window) {
            summary.add(sample.status, 1);
        }
        let start_ms = self.start_of(window);
        if self.reaches_older(start_ms) {
            self.older(start_ms, self.now_ms)
                .for_each(|(_, _, slot)| slot.count_into(&mut summary));
        }
        summary
    }

    /// Returns the quantile by nearest rank: the smallest latency that at least this share of the runs did not exceed.
    /// Exact as far as the samples reach, within 2 % beyond.
    fn latency(&self, window: Duration, quantile: f64) -> Option<u64> {
        let start_ms = self.start_of(window);
        if self.reaches_older(start_ms) {
            let mut latencies = Latencies::new();
            self.older(start_ms, self.now_ms)
                .for_each(|(_, _, slot)| slot.latencies_into(&mut latencies));
            self.window(window)
                .filter_map(Sample::bin)
                .for_each(|bin| latencies.add(bin, 1));
            return latencies.quantile_us(quantile);
        }
        let mut latencies: Vec<u32> = self
            .window(window)
            .filter(|sample| sample.status.is_available() && sample.latency_us != NO_LATENCY)
            .map(|sample| sample.latency_us)
            .collect();
        if latencies.is_empty() || !(0.0..=1.0).contains(&quantile) {
            return None;
        }
        let rank = (quantile * latencies.len() as f64).ceil() as usize;
        let index = rank.saturating_sub(1).min(latencies.len() - 1);
        let (_, latency_us, _) = latencies.select_nth_unstable(index);
        Some(u64::from(*latency_us))
    }

    fn consecutive_failures(&self) -> u32 {
        let failures = self
            .samples
            .iter()
            .rev()
            .take_while(|sample| !sample.status.is_available())
            .count();
        if failures == self.samples.len() {
            self.note_beyond();
        }
        failures as u32
    }

    fn latest_by_probe(&self) -> Vec<Arc<Observation>> {
        self.note_beyond();
        let mut latest: Vec<_> = self.latest_ones().cloned().collect();
        latest.sort_by(|one, other| {
            (&one.probe, &one.location).cmp(&(&other.probe, &other.location))
        });
        latest
    }

    fn buckets(&self, span: Span) -> Vec<Bucket> {
        let Some(mut steps) = Steps::new(self.now_ms, span) else {
            return Vec::new();
        };
        if self.reaches_older(steps.from_ms) {
            for (middle_ms, _, slot) in self.older(steps.from_ms, steps.to_ms) {
                if let Some((summary, latencies)) = steps.at(middle_ms) {
                    slot.count_into(summary);
                    slot.latencies_into(latencies);
                }
            }
        }
        for sample in self.window(Duration::from_millis(
            (self.now_ms - steps.from_ms).unsigned_abs(),
        )) {
            if let Some((summary, latencies)) = steps.at(sample.ts_ms) {
                summary.add(sample.status, 1);
                sample
                    .bin()
                    .into_iter()
                    .for_each(|bin| latencies.add(bin, 1));
            }
        }
        steps.into_buckets(span.quantile)
    }

    fn rate_limits(&self) -> Vec<RateLimitReading> {
        let is_wanted = |reading: &&RateLimitReading| match &self.only {
            Some(only) => self
                .sources
                .iter()
                .zip(only)
                .any(|(source, only)| *only && *source.probe == *reading.probe),
            None => true,
        };
        self.rate_limits
            .readings()
            .filter(is_wanted)
            .cloned()
            .collect()
    }

    fn watched(&self) -> Duration {
        let since_ms = self
            .watched_since_ms
            .or_else(|| self.samples.front().map(|first| first.ts_ms));
        let watched_ms = since_ms.map_or(0, |since_ms| self.now_ms.saturating_sub(since_ms).max(0));
        Duration::from_millis(watched_ms.unsigned_abs())
    }

    fn select(&self, selection: &Selection) -> Arc<dyn History> {
        Arc::new(self.selected(selection))
    }
}

impl ServiceHistory {
    fn note_beyond(&self) {
        if let Some(beyond) = &self.beyond {
            beyond.store(true, Ordering::Relaxed);
        }
    }

    /// Slots of the probes looked at, in a part of the time; their middles, oldest first.
    fn older(
        &self,
        after_ms: UnixMillis,
        until_ms: UnixMillis,
    ) -> impl Iterator<Item = (UnixMillis, ProbeIndex, &older::Slot)> {
        self.older
            .between(after_ms, until_ms)
            .filter(|(_, probe, _)| self.is_in(usize::from(*probe)))
    }

    /// Whether the source at this position is one of those looked at.
    pub(super) fn is_in(&self, position: usize) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| only.get(position).copied().unwrap_or_default())
    }

    /// Whether a window that begins then reaches beyond the samples.
    fn reaches_older(&self, start_ms: UnixMillis) -> bool {
        !self.older.is_empty()
            && self
                .samples
                .front()
                .is_none_or(|first| first.ts_ms > start_ms)
    }

    /// Samples in the window that ends with the evaluation, newest first. Its beginning is not part
    /// of it.
    fn window(&self, window: Duration) -> impl Iterator<Item = &Sample> {
        let start_ms = self.start_of(window);
        self.samples
            .iter()
            .rev()
            .take_while(move |sample| sample.ts_ms > start_ms.saturating_sub(REORDER_MS))
            .filter(move |sample| sample.ts_ms > start_ms && sample.ts_ms <= self.now_ms)
    }

    fn start_of(&self, window: Duration) -> UnixMillis {
        self.now_ms
            .saturating_sub(i64::try_from(window.as_millis()).unwrap_or(i64::MAX))
    }

    fn covered_ms(&self, window: Duration) -> u64 {
        let start_ms = self.start_of(window);
        let most_ms =
            i64::try_from(self.reach.covered_by_one_run().as_millis()).unwrap_or(i64::MAX);
        let mut covered_ms = 0;
        let mut until_ms = self.now_ms;
        for sample in self.samples.iter().rev() {
            if sample.ts_ms > until_ms {
                continue;
            }
            let from_ms = sample.ts_ms.max(start_ms);
            let end_ms = until_ms.min(sample.ts_ms.saturating_add(most_ms));
            covered_ms += end_ms.saturating_sub(from_ms).max(0);
            until_ms = sample.ts_ms;
            if until_ms <= start_ms {
                break;
            }
        }
        let covered_ms = covered_ms as u64;
        if !self.reaches_older(start_ms) {
            return covered_ms;
        }
        // Probes beside each other cover the same time: of each slot the one that covers most
        // counts.
        let (mut older_ms, mut slot_ms, mut most_ms) = (0, None, 0);
        for (middle_ms, _, slot) in self.older(start_ms, self.now_ms) {
            if slot_ms != Some(middle_ms) {
                older_ms += std::mem::take(&mut most_ms);
                slot_ms = Some(middle_ms);
            }
            most_ms = most_ms.max(slot.covered_ms());
        }
        (covered_ms + older_ms + most_ms).min(u64::try_from(window.as_millis()).unwrap_or(u64::MAX))
    }

    fn latest_ones(&self) -> impl Iterator<Item = &Arc<Observation>> {
        let oldest_ms = self.now_ms.saturating_sub(self.reach.kept_ms());
        self.latest
            .iter()
            .flatten()
            .filter(move |latest| latest.ts_ms >= oldest_ms)
    }
}
