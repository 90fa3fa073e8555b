//! Runs that no longer fit among the samples: counts and latencies of each probe, by five minutes
//! of the clock, and by the hour once they are three days old. A probe takes about 130 KB for
//! thirty days, however often it runs.

use std::collections::BTreeMap;

use crate::domain::{
    COARSE_MS, FINE_MS, LATENCY_BINS, RunSlot, Status, Summary, UnixMillis, fine_from_ms,
    latency_bin, latency_bin_estimate_us,
};

/// A position in the history's list of probes.
pub(super) type ProbeIndex = u16;

#[derive(Debug, Clone, Default)]
pub(super) struct Older {
    /// Slots by their beginning. Those before `fine_from_ms` are hours.
    slots: BTreeMap<(UnixMillis, ProbeIndex), Slot>,
    fine_from_ms: UnixMillis,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Slot {
    /// Runs in the order of [`Status::ALL`].
    counts: [u32; 4],
    covered_ms: u32,
    /// Bin and runs, by bin; a handful, because latencies of one hour are alike.
    latencies: Vec<(u16, u16)>,
}

/// Latencies by bin, to ask quantiles of.
#[derive(Clone)]
pub(super) struct Latencies {
    bins: Vec<u32>,
    total: u64,
}

impl Older {
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes in one run that covers the time until the next.
    pub(super) fn add(
        &mut self,
        ts_ms: UnixMillis,
        probe: ProbeIndex,
        status: Status,
        latency_us: Option<u64>,
        covered_ms: i64,
    ) {
        let bin = latency_us
            .filter(|_| status.is_available())
            .map(latency_bin);
        let start_ms = self.slot_of(ts_ms);
        self.slots
            .entry((start_ms, probe))
            .or_default()
            .add(status, bin, covered_ms.max(0) as u64);
    }

    /// Takes in runs that were counted elsewhere.
    pub(super) fn add_slot(&mut self, probe: ProbeIndex, counted: &RunSlot) {
        let start_ms = self.slot_of(counted.start_ms);
        let slot = self.slots.entry((start_ms, probe)).or_default();
        slot.add_counted(counted);
    }

    /// Takes in what was counted elsewhere, of other runs. `position`: of a probe there, the one
    /// here.
    pub(super) fn append(&mut self, later: &Older, position: impl Fn(ProbeIndex) -> ProbeIndex) {
        for ((start_ms, probe), slot) in &later.slots {
            let start_ms = self.slot_of(*start_ms);
            self.slots
                .entry((start_ms, position(*probe)))
                .or_default()
                .merge(slot.clone());
        }
    }

    fn slot_of(&self, ts_ms: UnixMillis) -> UnixMillis {
        let step_ms = if ts_ms < self.fine_from_ms {
            COARSE_MS
        } else {
            FINE_MS
        };
        ts_ms.div_euclid(step_ms) * step_ms
    }

    /// Makes hours of what is three days old, and forgets what ended before `oldest_ms`.
    pub(super) fn age(&mut self, now_ms: UnixMillis, oldest_ms: UnixMillis) {
        let fine_from_ms = fine_from_ms(now_ms);
        if fine_from_ms > self.fine_from_ms {
            let began_ms = std::mem::replace(&mut self.fine_from_ms, fine_from_ms);
            let later = self.slots.split_off(&(fine_from_ms, 0));
            let fine = self.slots.split_off(&(began_ms, 0));
            for ((start_ms, probe), slot) in fine {
                let start_ms = start_ms.div_euclid(COARSE_MS) * COARSE_MS;
                self.slots.entry((start_ms, probe)).or_default().merge(slot);
            }
            self.slots.extend(later);
        }
        while let Some(first) = self.slots.first_entry() {
            if first.key().0 >= oldest_ms.saturating_sub(COARSE_MS) {
                break;
            }
            first.remove();
        }
    }

    /// Slots whose middle lies behind `after_ms` and not behind `until_ms`, oldest first: the edges
    /// of a window are exact to half a slot.
    pub(super) fn between(
        &self,
        after_ms: UnixMillis,
        until_ms: UnixMillis,
    ) -> impl Iterator<Item = (UnixMillis, ProbeIndex, &Slot)> {
        let from_ms = after_ms.saturating_sub(COARSE_MS);
        self.slots
            .range((from_ms, 0)..)
            .map(|((start_ms, probe), slot)| {
                let step_ms = if *start_ms < self.fine_from_ms {
                    COARSE_MS
                } else {
                    FINE_MS
                };
                (start_ms + step_ms / 2, *probe, slot)
            })
            .filter(move |(middle_ms, ..)| *middle_ms > after_ms)
            .take_while(move |(middle_ms, ..)| *middle_ms <= until_ms)
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let slot = size_of::<((UnixMillis, ProbeIndex), Slot)>();
        self.slots
            .values()
            .map(|found| slot + found.latencies.capacity() * size_of::<(u16, u16)>())
            .sum()
    }
}

impl Slot {
    fn add(&mut self, status: Status, bin: Option<u16>, covered_ms: u64) {
        let count = &mut self.counts[status as usize];
        *count = count.saturating_add(1);
        self.cover(covered_ms);
        if let Some(bin) = bin {
            self.add_latency(bin, 1);
        }
    }

    fn add_counted(&mut self, counted: &RunSlot) {
        for (count, more) in self.counts.iter_mut().zip(counted.runs) {
            *count = count.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        }
        self.cover(counted.covered_ms);
        self.latencies.reserve_exact(counted.latencies.len());
        for (bin, runs) in &counted.latencies {
            self.add_latency(*bin, u16::try_from(*runs).unwrap_or(u16::MAX));
        }
    }

    fn cover(&mut self, covered_ms: u64) {
        self.covered_ms = self
            .covered_ms
            .saturating_add(u32::try_from(covered_ms).unwrap_or(u32::MAX));
    }

    fn add_latency(&mut self, bin: u16, runs: u16) {
        match self.latencies.binary_search_by_key(&bin, |(bin, _)| *bin) {
            Ok(index) => self.latencies[index].1 = self.latencies[index].1.saturating_add(runs),
            Err(index) => self.latencies.insert(index, (bin, runs)),
        }
    }

    fn merge(&mut self, other: Slot) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.covered_ms = self.covered_ms.saturating_add(other.covered_ms);
        for (bin, runs) in other.latencies {
            self.add_latency(bin, runs);
        }
    }

    pub(super) fn count_into(&self, summary: &mut Summary) {
        for (status, count) in Status::ALL.into_iter().zip(self.counts) {
            summary.add(status, u64::from(count));
        }
    }

    pub(super) fn latencies_into(&self, latencies: &mut Latencies) {
        for (bin, runs) in &self.latencies {
            latencies.add(*bin, u32::from(*runs));
        }
    }

    pub(super) fn covered_ms(&self) -> u64 {
        u64::from(self.covered_ms)
    }
}

impl Latencies {
    pub(super) fn new() -> Self {
        Self {
            bins: vec![0; LATENCY_BINS],
            total: 0,
        }
    }

    pub(super) fn add(&mut self, bin: u16, runs: u32) {
        self.bins[usize::from(bin).min(LATENCY_BINS - 1)] += runs;
        self.total += u64::from(runs);
    }

    /// Returns the quantile by nearest rank, as the estimate of its bin.
    pub(super) fn quantile_us(&self, quantile: f64) -> Option<u64> {
        if self.total == 0 || !(0.0..=1.0).contains(&quantile) {
            return None;
        }
        let rank = ((quantile * self.total as f64).ceil() as u64).clamp(1, self.total);
        let mut seen = 0;
        let bin = self.bins.iter().position(|runs| {
            seen += u64::from(*runs);
            seen >= rank
        })?;
        Some(latency_bin_estimate_us(bin as u16).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = COARSE_MS;
    const DAY: i64 = 24 * HOUR;

    fn summary(older: &Older, after_ms: i64, until_ms: i64) -> Summary {
        let mut summary = Summary::default();
        older
            .between(after_ms, until_ms)
            .for_each(|(_, _, slot)| slot.count_into(&mut summary));
        summary
    }

    #[test]
    fn what_is_added_is_counted_before_and_after_it_becomes_hours() {
        let mut older = Older::default();
        older.age(10 * DAY, 0);
        for minute in 0..120 {
            let status = if minute % 4 == 0 {
                Status::Error
            } else {
                Status::Healthy
            };
            older.add(10 * DAY + minute * 60_000, 0, status, Some(1_000), 60_000);
        }
        let fine = older.slots.len();
        assert_eq!(fine, 24);
        let hour = summary(&older, 10 * DAY + HOUR, 10 * DAY + 2 * HOUR);
        assert_eq!((hour.count, hour.errors), (60, 15));
        older.age(13 * DAY + 2 * HOUR, 0);
        assert_eq!(older.slots.len(), 2);
        assert_eq!(summary(&older, 10 * DAY + HOUR, 10 * DAY + 2 * HOUR), hour);
        assert_eq!(summary(&older, 0, 20 * DAY).count, 120);
        older.age(13 * DAY + 2 * HOUR, 10 * DAY + 2 * HOUR);
        assert_eq!(
            summary(&older, 0, 20 * DAY).count,
            60,
            "the first hour ended too long ago"
        );
    }

    #[test]
    fn thirty_days_take_little_room() {
        let mut older = Older::default();
        for run in 0..30 * 8_640_i64 {
            let latency_us = 80_000 + (run * 7_919) % 40_000;
            older.age(run * 10_000, run * 10_000 - 30 * DAY);
            older.add(
                run * 10_000,
                0,
                Status::Healthy,
                Some(latency_us as u64),
                10_000,
            );
        }
        assert_eq!(summary(&older, -1, 30 * DAY).count, 30 * 8_640);
        assert!(older.bytes() < 200_000, "{}", older.bytes());
    }

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.quantile_us(0.5), None);
        for latency_us in (1..=100).map(|n| n * 1_000) {
            latencies.add(latency_bin(latency_us), 1);
        }
        for (quantile, wanted) in [
            (0.0, 1_000.0),
            (0.5, 50_000.0),
            (0.95, 95_000.0),
            (1.0, 100_000.0),
        ] {
            let found = latencies.quantile_us(quantile).unwrap() as f64;
            assert!((found / wanted - 1.0).abs() < 0.03, "{quantile}: {found}");
        }
        assert_eq!(latencies.quantile_us(1.1), None);
    }
}
