//! What rules may look at: the recent history of one service, in memory and bounded.
//!
//! Every run that took place is kept as a 16-byte sample for as long as the longest look-back of
//! the service's rules reaches and there is room; what no longer fits is counted by slots of time
//! (`older`). Whole observations, which are thirty times bigger, are kept only for the last few.

mod limits;
mod older;
mod steps;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::domain::{
    Bucket, History, Observation, RateLimitReading, RunGroup, Span, Status, Summary, UnixMillis,
    latency_bin,
};

use limits::RateLimits;
use older::{Latencies, Older, ProbeIndex};
use steps::Steps;

/// Half a day at one run every 10 s: 70 KB. What is older is counted by slots.
pub const MAX_SAMPLES: usize = 4_320;

/// Samples kept however old they are, because a rule may count runs in a row, whatever its windows
/// are: a kilobyte.
pub const LEAST_SAMPLES: usize = 64;

/// Steps of a span: six weeks by the hour.
pub const MAX_BUCKETS: usize = 1_000;

/// Whole observations kept although no rule has asked for any: about 4 KB.
const LEAST_WHOLE: usize = 8;

/// Whole observations kept as long as no rule has asked for more, if the look-back reaches that
/// far.
const WHOLE: usize = 64;

/// The most that `samples` ever answers with, as the contract with plugins says.
pub const MAX_WHOLE: usize = 1_000;

/// Runs of several probes end in another order than they began; no run takes longer than this. An
/// observation that is older still means that the clock was set back.
pub const REORDER_MS: i64 = 10 * 60 * 1_000;

/// A run speaks for the time until the next is due, and for one more interval because runs are
/// late.
const INTERVALS_COVERED: u64 = 2;

const NO_LATENCY: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Sample {
    ts_ms: UnixMillis,
    /// Cut at 71 minutes.
    latency_us: u32,
    /// Position in [`ServiceHistory::probes`].
    probe: ProbeIndex,
    status: Status,
}

impl Sample {
    fn of(observation: &Observation, probe: ProbeIndex) -> Self {
        let latency_us = observation
            .latency_us
            .map_or(NO_LATENCY, |us| us.min(u64::from(NO_LATENCY) - 1) as u32);
        Self {
            ts_ms: observation.ts_ms,
            latency_us,
            probe,
            status: observation.status,
        }
    }

    fn latency_us(&self) -> Option<u64> {
        (self.latency_us != NO_LATENCY).then(|| u64::from(self.latency_us))
    }

    /// Of the latency, if the run has a say in it.
    fn bin(&self) -> Option<u16> {
        self.latency_us()
            .filter(|_| self.status.is_available())
            .map(latency_bin)
    }
}

/// How long a service's history has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The longest look-back of the service's rules.
    pub look_back: Duration,
    /// The longest interval of its probes.
    pub interval: Duration,
}

impl Reach {
    /// How far before the evaluation samples are kept: the run that covers the beginning of the
    /// window is older than it.
    pub fn kept_ms(&self) -> i64 {
        let kept = self.look_back.saturating_add(self.covered_by_one_run());
        i64::try_from(kept.as_millis()).unwrap_or(i64::MAX)
    }

    /// A run speaks for no longer than this.
    pub fn covered_by_one_run(&self) -> Duration {
        self.interval.saturating_mul(INTERVALS_COVERED as u32)
    }
}

/// In the order in which the runs ended.
#[derive(Debug, Clone)]
pub struct ServiceHistory {
    reach: Reach,
    /// The moment of the evaluation: windows end here.
    now_ms: UnixMillis,
    samples: VecDeque<Sample>,
    /// Runs before those.
    older: Arc<Older>,
    /// Of which probes, where not of all.
    only: Option<Vec<bool>>,
    whole: VecDeque<Arc<Observation>>,
    /// Names of probes and webhooks, as they came; a service has few.
    probes: Vec<String>,
    /// The last one of each of them, by position.
    latest: Vec<Option<Arc<Observation>>>,
    rate_limits: RateLimits,
    /// Since when the program has been watching; none: since the first run in here.
    watched_since_ms: Option<UnixMillis>,
    /// The most observations a rule has asked for so far.
    asked: Arc<AtomicUsize>,
    /// By how much what is in here was moved back with the clock.
    set_back_ms: i64,
    /// What was before is not known: set once a rule has asked for it without a window.
    beyond: Option<Arc<AtomicBool>>,
}

impl ServiceHistory {
    pub fn new(reach: Reach) -> Self {
        Self {
            reach,
            now_ms: 0,
            samples: VecDeque::new(),
            older: Arc::default(),
            only: None,
            whole: VecDeque::new(),
            probes: Vec::new(),
            latest: Vec::new(),
            rate_limits: RateLimits::default(),
            watched_since_ms: None,
            asked: Arc::default(),
            set_back_ms: 0,
            beyond: None,
        }
    }

    pub fn now_ms(&self) -> UnixMillis {
        self.now_ms
    }

    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// A shorter reach takes effect with the next observation; for a longer one the history has to
    /// be loaded again.
    pub fn set_reach(&mut self, reach: Reach) {
        self.reach = reach;
    }

    /// Absence counts from here at the earliest: nobody was looking before.
    pub fn watch_since(&mut self, since_ms: UnixMillis) {
        self.watched_since_ms = Some(since_ms);
    }

    /// The clock was set back: what is in here moves with it, so that it stays as long ago as it
    /// is. What is counted by slots of time stays where it is.
    pub fn set_back(&mut self, by_ms: i64) {
        let moved = |run: &Arc<Observation>| {
            Arc::new(Observation {
                ts_ms: run.ts_ms - by_ms,
                ..run.as_ref().clone()
            })
        };
        self.now_ms -= by_ms;
        self.samples
            .iter_mut()
            .for_each(|sample| sample.ts_ms -= by_ms);
        self.whole.iter_mut().for_each(|run| *run = moved(run));
        self.latest
            .iter_mut()
            .flatten()
            .for_each(|run| *run = moved(run));
        self.set_back_ms += by_ms;
    }

    /// Takes in runs from before all others, which were counted elsewhere.
    pub fn add_groups(&mut self, groups: &[RunGroup]) {
        let latest_ms = groups
            .iter()
            .map(|group| group.start_ms)
            .max()
            .unwrap_or_default();
        let older = Arc::make_mut(&mut self.older);
        older.age(latest_ms.max(self.now_ms), UnixMillis::MIN);
        for group in groups {
            let probe = position_of(&mut self.probes, &group.probe);
            Arc::make_mut(&mut self.older).add_group(probe, group);
        }
    }

    /// Puts a history behind this one, none of whose runs is in here.
    pub fn append(&mut self, later: &ServiceHistory) {
        let positions: Vec<ProbeIndex> = later
            .probes
            .iter()
            .map(|probe| position_of(&mut self.probes, probe))
            .collect();
        let position =
            |probe: ProbeIndex| positions.get(usize::from(probe)).copied().unwrap_or(probe);
        if later.now_ms > 0 {
            self.now_ms = later.now_ms;
        }
        if !later.older.is_empty() {
            let older = Arc::make_mut(&mut self.older);
            older.age(self.now_ms, UnixMillis::MIN);
            older.append(&later.older, position);
        }
        self.samples
            .extend(later.samples.iter().map(|sample| Sample {
                probe: position(sample.probe),
                ..*sample
            }));
        self.latest
            .resize(self.probes.len().max(self.latest.len()), None);
        for (probe, latest) in later
            .latest
            .iter()
            .enumerate()
            .filter(|(_, latest)| latest.is_some())
        {
            if let Some(place) = positions
                .get(probe)
                .and_then(|probe| self.latest.get_mut(usize::from(*probe)))
            {
                place.clone_from(latest);
            }
        }
        self.rate_limits.append(&later.rate_limits);
        self.whole.extend(later.whole.iter().cloned());
        (self.asked, self.watched_since_ms) = (Arc::clone(&later.asked), later.watched_since_ms);
        self.trim();
    }

    /// The same history at a later moment: nothing has happened since.
    pub fn at(&self, now_ms: UnixMillis) -> Self {
        Self {
            now_ms: self.now_ms.max(now_ms),
            ..self.clone()
        }
    }

    /// The same, where something from before is missing, and whether a rule asked for it without a
    /// window: how many runs in a row have failed, say.
    pub fn cut(&self) -> (Self, Arc<AtomicBool>) {
        let beyond = Arc::new(AtomicBool::new(false));
        (
            Self {
                beyond: Some(Arc::clone(&beyond)),
                ..self.clone()
            },
            beyond,
        )
    }

    fn note_beyond(&self) {
        if let Some(beyond) = &self.beyond {
            beyond.store(true, Ordering::Relaxed);
        }
    }

    /// Takes in one run and moves the evaluation to its moment. A run that was missed or whose
    /// check broke says nothing about the service and is left out, so that it counts neither
    /// for nor against it and covers no time; so is a run that is already there.
    pub fn push(&mut self, observation: Arc<Observation>) {
        if observation.is_check_broken() || self.holds(&observation) {
            return;
        }
        let behind_ms = self.now_ms.saturating_sub(observation.ts_ms);
        if !(0..=REORDER_MS).contains(&behind_ms) {
            self.now_ms = observation.ts_ms;
        }
        let probe = position_of(&mut self.probes, &observation.probe);
        self.samples.push_back(Sample::of(&observation, probe));
        self.latest
            .resize(self.probes.len().max(self.latest.len()), None);
        if let Some(latest) = self.latest.get_mut(usize::from(probe)) {
            *latest = Some(Arc::clone(&observation));
        }
        self.rate_limits.push(&observation, self.now_ms);
        self.whole.push_back(observation);
        self.trim();
    }

    /// Whether this run failed and is to be repeated first: at most `times` in a row have failed.
    pub fn is_retried(&self, judged: &Observation, times: u32) -> bool {
        !judged.status.is_available()
            && self
                .of_probes(std::slice::from_ref(&judged.probe))
                .consecutive_failures()
                <= times
    }

    /// The same with the observations of some probes and webhooks alone, at the same moment.
    pub fn of_probes(&self, names: &[String]) -> Self {
        let is_one = |name: &String| names.contains(name);
        let positions: Vec<bool> = self.probes.iter().map(is_one).collect();
        let is_wanted = |sample: &&Sample| {
            positions
                .get(usize::from(sample.probe))
                .copied()
                .unwrap_or_default()
        };
        let samples = self.samples.iter().filter(is_wanted).copied().collect();
        let latest = self
            .latest
            .iter()
            .map(|latest| latest.clone().filter(|latest| is_one(&latest.probe)));
        Self {
            reach: self.reach,
            now_ms: self.now_ms,
            samples,
            older: Arc::clone(&self.older),
            only: Some(positions),
            latest: latest.collect(),
            rate_limits: self.rate_limits.clone(),
            watched_since_ms: self.watched_since_ms,
            whole: self
                .whole
                .iter()
                .filter(|observation| is_one(&observation.probe))
                .cloned()
                .collect(),
            probes: self.probes.clone(),
            asked: self.asked.clone(),
            set_back_ms: self.set_back_ms,
            beyond: self.beyond.clone(),
        }
    }

    /// Only the last few can be there already: a run is read back from the results and handed over
    /// again within seconds.
    fn holds(&self, observation: &Observation) -> bool {
        self.whole.iter().rev().take(WHOLE).any(|kept| {
            let apart_ms = observation.ts_ms - kept.ts_ms;
            kept.run_id == observation.run_id && (apart_ms == 0 || apart_ms == self.set_back_ms)
        })
    }

    fn trim(&mut self) {
        let oldest_ms = self.now_ms.saturating_sub(self.reach.kept_ms());
        while self.samples.len() > LEAST_SAMPLES {
            if self
                .samples
                .front()
                .is_some_and(|sample| sample.ts_ms < oldest_ms)
            {
                self.samples.pop_front();
            } else if self.samples.len() > MAX_SAMPLES {
                self.make_older();
            } else {
                break;
            }
        }
        if !self.older.is_empty() {
            Arc::make_mut(&mut self.older).age(self.now_ms, oldest_ms);
        }
        let most = self.asked.load(Ordering::Relaxed).clamp(WHOLE, MAX_WHOLE);
        while self.whole.len() > most
            || (self.whole.len() > LEAST_WHOLE
                && self
                    .whole
                    .front()
                    .is_some_and(|whole| whole.ts_ms < oldest_ms))
        {
            self.whole.pop_front();
        }
    }

    /// The oldest sample is counted with its slot from now on.
    fn make_older(&mut self) {
        let Some(sample) = self.samples.pop_front() else {
            return;
        };
        let next = self.samples.iter().find(|next| next.probe == sample.probe);
        let most_ms =
            i64::try_from(self.reach.covered_by_one_run().as_millis()).unwrap_or(i64::MAX);
        let covered_ms = next.map_or(most_ms, |next| {
            (next.ts_ms - sample.ts_ms).clamp(0, most_ms)
        });
        let older = Arc::make_mut(&mut self.older);
        older.age(self.now_ms, UnixMillis::MIN);
        older.add(
            sample.ts_ms,
            sample.probe,
            sample.status,
            sample.latency_us(),
            covered_ms,
        );
    }

    /// Slots of the probes looked at, in a part of the time; their middles, oldest first.
    fn older(
        &self,
        after_ms: UnixMillis,
        until_ms: UnixMillis,
    ) -> impl Iterator<Item = (UnixMillis, ProbeIndex, &older::Slot)> {
        self.older
            .between(after_ms, until_ms)
            .filter(|(_, probe, _)| match &self.only {
                Some(only) => only.get(usize::from(*probe)).copied().unwrap_or_default(),
                None => true,
            })
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

    #[cfg(test)]
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.samples.capacity() * size_of::<Sample>()
            + self.whole.capacity() * size_of::<Arc<Observation>>()
    }
}

/// Names that came and went are few: they change with the configuration.
fn position_of(probes: &mut Vec<String>, probe: &str) -> ProbeIndex {
    let known = probes.iter().position(|name| name == probe);
    let position = known.unwrap_or_else(|| {
        probes.push(probe.to_owned());
        probes.len() - 1
    });
    ProbeIndex::try_from(position).unwrap_or(ProbeIndex::MAX)
}

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

    /// By nearest rank: the smallest latency that at least this share of the runs did not exceed.
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
        latest.sort_by(|one, other| one.probe.cmp(&other.probe));
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
                .probes
                .iter()
                .zip(only)
                .any(|(name, only)| *only && **name == *reading.probe),
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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alerts::fakes::observation;
    use crate::domain::{ErrorKind, Failure};

    const MINUTE: Duration = Duration::from_secs(60);
    const EPOCH: i64 = 1_700_000_000_000;

    #[test]
    fn a_clock_set_back_moves_what_was_seen_along() {
        use Status::{Error, Healthy};
        let hour_ms = 3_600_000;
        let run = |run_id, ts_ms, status| {
            Arc::new(Observation {
                run_id,
                ..observation("shop-api", ts_ms, status)
            })
        };
        let mut history = ServiceHistory::new(reach(MINUTE * 10));
        let before = [
            run(1, hour_ms, Healthy),
            run(2, hour_ms + 30_000, Healthy),
            run(3, hour_ms + 60_000, Error),
        ];
        before.iter().for_each(|run| history.push(run.clone()));
        history.set_back(hour_ms);
        history.push(run(4, 90_000, Error));
        history.push(before[2].clone());
        assert_eq!(
            (history.now_ms(), history.consecutive_failures()),
            (90_000, 2),
            "none of them twice"
        );
        let counted = |seconds| {
            let summary = history.summary(Duration::from_secs(seconds));
            [summary.healthy, summary.errors]
        };
        assert_eq!(
            (counted(45), counted(75), counted(105)),
            ([0, 2], [1, 2], [2, 2])
        );
        let stamps: Vec<i64> = history.samples(10).iter().map(|run| run.ts_ms).collect();
        assert_eq!(
            stamps,
            [0, 30_000, 60_000, 90_000],
            "in the order in which they came"
        );
    }

    fn reach(look_back: Duration) -> Reach {
        Reach {
            look_back,
            interval: Duration::from_secs(30),
        }
    }

    fn filled(reach: Reach, runs: &[(i64, Status, Option<u64>)]) -> ServiceHistory {
        let mut history = ServiceHistory::new(reach);
        for (index, (second, status, latency_us)) in runs.iter().enumerate() {
            let run = Observation {
                latency_us: *latency_us,
                ..observation("shop-api", second * 1_000, *status)
            };
            history.push(Arc::new(Observation {
                run_id: index as i64,
                ..run
            }));
        }
        history
    }

    #[test]
    fn a_window_ends_with_the_evaluation_and_leaves_out_its_beginning() {
        use Status::*;
        let runs = [
            (0, Error, None),
            (30, Unhealthy, None),
            (60, Degraded, Some(5)),
            (90, Healthy, Some(3)),
            (120, Error, None),
        ];
        let history = filled(reach(5 * MINUTE), &runs);
        let summary = history.summary(Duration::from_secs(90));
        assert_eq!(
            (
                summary.count,
                summary.healthy,
                summary.degraded,
                summary.errors
            ),
            (3, 1, 1, 1)
        );
        assert_eq!(
            summary.unhealthy, 0,
            "a run at the very beginning belongs to the window before"
        );
        assert_eq!(history.summary(Duration::ZERO), Summary::default());
        assert_eq!(history.consecutive_failures(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_history_put_behind_another_is_the_one_that_was_seen_whole(
            runs in proptest::collection::vec((1..90_i64, 0..3_usize, 0..4_usize), 1..200),
            split in 0..200_usize,
        ) {
            let mut ts_ms = EPOCH;
            let runs: Vec<Arc<Observation>> = runs
                .into_iter()
                .enumerate()
                .map(|(index, (after_s, probe, status))| {
                    ts_ms += after_s * 1_000;
                    let run = observation("shop-api", ts_ms, Status::ALL[status]);
                    let probe = ["http", "tls", "dns"][probe].to_owned();
                    Arc::new(Observation { run_id: index as i64, probe, latency_us: Some(ts_ms as u64 % 7_919), ..run })
                })
                .collect();
            let built = |runs: &[Arc<Observation>]| {
                let mut history = ServiceHistory::new(reach(30 * MINUTE));
                runs.iter().for_each(|run| history.push(Arc::clone(run)));
                history
            };
            let (before, behind) = runs.split_at(split.min(runs.len()));
            let (seen, mut put) = (built(&runs), built(before));
            put.append(&built(behind));
            prop_assert_eq!(put.now_ms(), seen.now_ms());
            for names in [vec!["http"], vec!["tls", "dns"]] {
                let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
                let (seen, put) = (seen.of_probes(&names), put.of_probes(&names));
                for window in [MINUTE, 10 * MINUTE, 30 * MINUTE] {
                    prop_assert_eq!(put.summary(window), seen.summary(window));
                    prop_assert_eq!(put.latency(window, 0.9), seen.latency(window, 0.9));
                }
                prop_assert_eq!(put.consecutive_failures(), seen.consecutive_failures());
            }
            let ids = |history: &ServiceHistory| -> Vec<i64> {
                history.samples(WHOLE).iter().map(|run| run.run_id).collect()
            };
            prop_assert_eq!(ids(&put), ids(&seen));
            let latest = |history: &ServiceHistory| -> Vec<i64> {
                history.latest_by_probe().iter().map(|run| run.run_id).collect()
            };
            prop_assert_eq!(latest(&put), latest(&seen));
        }
    }

    #[test]
    fn a_history_put_behind_another_keeps_what_was_counted_by_slots() {
        let reach = reach(30 * 24 * 60 * MINUTE);
        let (mut before, mut behind) = (ServiceHistory::new(reach), ServiceHistory::new(reach));
        let run = |n: i64| {
            let probe = if n % 2 == 0 { "http" } else { "tls" }.to_owned();
            let run = observation("shop-api", EPOCH + n * 30_000, Status::Healthy);
            Arc::new(Observation {
                run_id: n,
                probe,
                ..run
            })
        };
        (0..1_000).for_each(|n| before.push(run(n)));
        (1_001..8_001).for_each(|n| behind.push(run(n)));
        before.append(&behind);
        let all = 30 * 24 * 60 * MINUTE;
        assert_eq!(before.summary(all).count, 8_000);
        assert_eq!(
            before.of_probes(&["tls".to_owned()]).summary(all).count,
            4_000
        );
    }

    #[test]
    fn some_probes_alone_are_a_history_of_their_own() {
        let mut history = ServiceHistory::new(reach(5 * MINUTE));
        for (second, probe, status) in [
            (0, "http", Status::Healthy),
            (30, "statuspage", Status::Unhealthy),
            (60, "http", Status::Healthy),
            (90, "tls", Status::Error),
        ] {
            let run = observation("shop-api", second * 1_000, status);
            history.push(Arc::new(Observation {
                probe: probe.to_owned(),
                ..run
            }));
        }
        for (names, count, failures, latest) in [
            (vec!["statuspage"], 1, 1, Some(Status::Unhealthy)),
            (vec!["http"], 2, 0, Some(Status::Healthy)),
            (vec!["tls", "http", "none"], 3, 1, Some(Status::Error)),
            (vec!["none"], 0, 0, None),
        ] {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            let some = history.of_probes(&names);
            assert_eq!(some.summary(5 * MINUTE).count, count, "{names:?}");
            assert_eq!(
                (some.consecutive_failures(), some.samples(9).len() as u64),
                (failures, count),
                "{names:?}"
            );
            assert_eq!(some.latest().map(|run| run.status), latest, "{names:?}");
            assert_eq!(some.now_ms(), history.now_ms());
            // What a rule asks of it is kept by the whole.
            assert_eq!(history.asked.load(Ordering::Relaxed), 9);
        }
    }

    #[test]
    fn latency_is_exact_by_nearest_rank_over_available_runs() {
        let runs: Vec<_> = (1..=10)
            .map(|n| (n, Status::Healthy, Some(n as u64 * 100)))
            .collect();
        let mut history = filled(reach(MINUTE), &runs);
        for (quantile, wanted) in [
            (0.0, 100),
            (0.5, 500),
            (0.51, 600),
            (0.9, 900),
            (0.95, 1_000),
            (1.0, 1_000),
        ] {
            assert_eq!(
                history.latency(MINUTE, quantile),
                Some(wanted),
                "{quantile}"
            );
        }
        for quantile in [-0.1, 1.1, f64::NAN] {
            assert_eq!(history.latency(MINUTE, quantile), None, "{quantile}");
        }
        let slow = Observation {
            latency_us: Some(9_999),
            run_id: 99,
            ..observation("shop-api", 11_000, Status::Error)
        };
        history.push(Arc::new(slow));
        assert_eq!(
            history.latency(MINUTE, 1.0),
            Some(1_000),
            "a failed run has no say"
        );
    }

    #[test]
    fn missed_broken_and_repeated_runs_are_left_out() {
        let mut history = filled(
            reach(MINUTE),
            &[(0, Status::Healthy, None), (30, Status::Error, None)],
        );
        history.push(Arc::new(Observation {
            missed: true,
            run_id: 5,
            ..observation("a", 60_000, Status::Error)
        }));
        history.push(Arc::new(Observation {
            run_id: 1,
            ..observation("a", 30_000, Status::Error)
        }));
        let failure = Some(Failure::new(ErrorKind::Plugin, "trapped"));
        history.push(Arc::new(Observation {
            failure,
            run_id: 6,
            ..observation("a", 90_000, Status::Error)
        }));
        assert_eq!(history.summary(MINUTE).count, 2);
        assert_eq!(history.consecutive_failures(), 1);
        assert_eq!(history.now_ms(), 30_000);
    }

    #[test]
    fn coverage_counts_no_gap() {
        let each_30s = |from: i64, to: i64| {
            (from..=to)
                .step_by(30)
                .map(|second| (second, Status::Healthy, None))
        };
        for (name, runs, wanted_s) in [
            ("after a start", each_30s(240, 300).collect::<Vec<_>>(), 60),
            (
                "one run covers nothing before itself",
                vec![(300, Status::Healthy, None)],
                0,
            ),
            ("the whole window", each_30s(0, 330).collect(), 300),
            (
                "the program was off from 60 to 270",
                each_30s(0, 60).chain(each_30s(270, 300)).collect(),
                60 + 60 + 30,
            ),
        ] {
            let history = filled(reach(5 * MINUTE), &runs);
            assert_eq!(
                history.summary(5 * MINUTE).covered_ms,
                wanted_s * 1_000,
                "{name}"
            );
        }
    }

    #[test]
    fn late_runs_count_and_a_clock_set_back_is_followed() {
        let mut history = filled(
            reach(5 * MINUTE),
            &[(100, Status::Healthy, None), (90, Status::Error, None)],
        );
        assert_eq!(
            history.now_ms(),
            100_000,
            "a late run does not turn time back"
        );
        assert_eq!(history.summary(MINUTE).count, 2);
        assert_eq!(
            history.latest().unwrap().status,
            Status::Error,
            "the judged one is the last that ended"
        );
        let hour_ago = observation("a", 100_000 - 3_600_000, Status::Error);
        history.push(Arc::new(Observation {
            run_id: 77,
            ..hour_ago
        }));
        assert_eq!(history.now_ms(), 100_000 - 3_600_000);
        assert_eq!(
            history.summary(MINUTE).count,
            1,
            "what lies ahead now is no part of the window"
        );
    }

    #[test]
    fn stays_small_while_idle_and_bounded_when_busy() {
        let day: Vec<_> = (0..2_880)
            .map(|n| (n * 30, Status::Healthy, Some(1_000)))
            .collect();
        let history = filled(reach(5 * MINUTE), &day);
        assert!(
            history.samples.len() <= LEAST_SAMPLES,
            "{}",
            history.samples.len()
        );
        assert!(history.whole.len() <= 13, "{}", history.whole.len());
        assert!(history.bytes() < 4_096, "{}", history.bytes());
        assert_eq!(size_of::<Sample>(), 16);

        let busy: Vec<_> = (0..MAX_SAMPLES as i64 + 500)
            .map(|n| (n, Status::Healthy, None))
            .collect();
        let history = filled(reach(Duration::from_secs(30 * 86_400)), &busy);
        assert_eq!(history.samples.len(), MAX_SAMPLES);
        assert_eq!(history.whole.len(), WHOLE);
    }

    #[test]
    fn runs_in_a_row_are_counted_beyond_the_windows_of_the_rules() {
        let runs: Vec<_> = (0..50)
            .map(|n| {
                (
                    n * 30,
                    if n == 0 {
                        Status::Healthy
                    } else {
                        Status::Error
                    },
                    None,
                )
            })
            .collect();
        let history = filled(reach(Duration::ZERO), &runs);
        assert_eq!(history.consecutive_failures(), 49);
        assert_eq!(history.summary(MINUTE).count, 2);
    }

    #[test]
    fn a_cut_history_notes_that_a_rule_asked_for_what_is_missing() {
        let runs = [(0, Status::Healthy, None), (30, Status::Error, None)];
        let asks = |runs: &[(i64, Status, Option<u64>)], ask: fn(&ServiceHistory)| {
            let (history, beyond) = filled(reach(MINUTE), runs).cut();
            ask(&history.of_probes(&["health".to_owned()]));
            beyond.load(Ordering::Relaxed)
        };
        assert!(!asks(&runs, |history| assert_eq!(
            history.consecutive_failures(),
            1
        )));
        assert!(
            asks(&runs[1..], |history| assert_eq!(
                history.consecutive_failures(),
                1
            )),
            "there may have been more"
        );
        assert!(!asks(&runs, |history| assert_eq!(
            history.samples(2).len(),
            2
        )));
        assert!(asks(&runs, |history| assert_eq!(
            history.samples(3).len(),
            2
        )));
        assert!(!asks(&runs, |history| assert!(
            history.latest().is_some() && history.summary(MINUTE).count == 2
        )));
    }

    #[test]
    fn whole_observations_are_kept_as_far_as_rules_ask_for_them() {
        let runs: Vec<_> = (0..100).map(|n| (n, Status::Healthy, None)).collect();
        let mut history = filled(reach(Duration::from_secs(3_600)), &runs);
        assert_eq!(history.samples(5).len(), 5);
        assert_eq!(history.samples(5_000).len(), WHOLE);
        for n in 100..2_000 {
            history.push(Arc::new(Observation {
                run_id: n,
                ..observation("a", n * 1_000, Status::Healthy)
            }));
        }
        let seen = history.samples(5_000);
        assert_eq!(
            (seen.len(), seen[0].run_id, seen[999].run_id),
            (MAX_WHOLE, 1_000, 1_999)
        );
    }

    /// Thirty days at a run every 10 s: every hundredth fails, and latency is 100 ms, in the first
    /// hour of a day 400 ms.
    fn month() -> ServiceHistory {
        let mut history = ServiceHistory::new(Reach {
            look_back: Duration::from_secs(30 * 86_400),
            interval: Duration::from_secs(10),
        });
        for run in 0..30 * 8_640_i64 {
            let ts_ms = (run + 1) * 10_000;
            let status = if run % 100 == 99 {
                Status::Unhealthy
            } else {
                Status::Healthy
            };
            let latency_us = if (ts_ms / 3_600_000) % 24 == 0 {
                400_000
            } else {
                100_000
            };
            let found = observation("shop-api", ts_ms, status);
            history.push(Arc::new(Observation {
                latency_us: Some(latency_us),
                run_id: run,
                ..found
            }));
        }
        history
    }

    #[test]
    fn a_month_of_runs_is_summed_up_from_slots() {
        let history = month();
        assert_eq!(history.samples.len(), MAX_SAMPLES);
        let days = |days: u64| Duration::from_secs(days * 86_400);
        for (window, wanted) in [
            (days(30), 259_200.0),
            (days(3), 25_920.0),
            (days(1), 8_640.0),
            (12 * 60 * MINUTE, 4_320.0),
        ] {
            let found = history.summary(window);
            assert!(
                (found.count as f64 / wanted - 1.0).abs() < 0.002,
                "{window:?}: {found:?}"
            );
            assert!(
                (found.error_rate().unwrap() - 1.0).abs() < 0.03,
                "{window:?}: {found:?}"
            );
            let covered = found.covered_ms as f64 / window.as_millis() as f64;
            assert!((0.998..=1.0).contains(&covered), "{window:?}: {covered}");
        }
        for (quantile, wanted) in [(0.5, 100_000.0), (0.99, 400_000.0)] {
            let found = history.latency(days(7), quantile).unwrap() as f64;
            assert!((found / wanted - 1.0).abs() < 0.03, "{quantile}: {found}");
        }
        assert!(history.older.bytes() < 200_000, "{}", history.older.bytes());
        // One probe alone has all of it, and another nothing.
        assert_eq!(
            history.of_probes(&["health".to_owned()]).summary(days(30)),
            history.summary(days(30))
        );
        assert_eq!(
            history.of_probes(&["tls".to_owned()]).summary(days(30)),
            Summary::default()
        );
    }

    #[test]
    fn a_span_is_cut_into_steps_over_samples_and_slots() {
        let history = month();
        let hour = 60 * MINUTE;
        let span = Span {
            from: 48 * hour,
            to: Duration::ZERO,
            step: hour,
            quantile: 0.5,
        };
        let buckets = history.buckets(span);
        assert_eq!(buckets.len(), 48);
        assert_eq!(buckets[47].end_ms, history.now_ms());
        for (index, bucket) in buckets.iter().enumerate() {
            assert_eq!(bucket.end_ms - bucket.start_ms, 3_600_000);
            assert!(
                (359..=361).contains(&bucket.summary.count),
                "{index}: {bucket:?}"
            );
            let wanted = if (bucket.start_ms / 3_600_000) % 24 == 0 {
                400_000.0
            } else {
                100_000.0
            };
            assert!(
                (bucket.latency_us.unwrap() as f64 / wanted - 1.0).abs() < 0.03,
                "{index}: {bucket:?}"
            );
        }
        for wrong in [
            Span {
                step: Duration::ZERO,
                ..span
            },
            Span {
                step: Duration::from_secs(1),
                ..span
            },
            Span {
                from: Duration::ZERO,
                ..span
            },
            Span {
                from: Duration::MAX,
                ..span
            },
        ] {
            assert_eq!(history.buckets(wrong), [], "{wrong:?}");
        }
        let uneven = history.buckets(Span {
            from: 25 * MINUTE,
            to: 5 * MINUTE,
            step: 15 * MINUTE,
            quantile: 0.5,
        });
        assert_eq!(
            uneven
                .iter()
                .map(|bucket| bucket.summary.count)
                .collect::<Vec<_>>(),
            [30, 90]
        );
    }

    #[test]
    fn what_was_counted_elsewhere_is_as_if_it_had_been_pushed() {
        let pushed = month();
        let mut loaded = ServiceHistory::new(pushed.reach());
        let groups: Vec<RunGroup> = (0..30 * 24 - 12)
            .flat_map(|hour| {
                let group = |status, latency_bin, runs, covered_ms| RunGroup {
                    start_ms: hour * 3_600_000,
                    probe: "health".to_owned(),
                    status,
                    latency_bin,
                    runs,
                    covered_ms,
                };
                let latency_us = if hour % 24 == 0 { 400_000 } else { 100_000 };
                let fails = if hour % 5 < 3 { 4 } else { 3 };
                [
                    group(
                        Status::Healthy,
                        Some(latency_bin(latency_us)),
                        360 - fails,
                        3_600_000,
                    ),
                    group(Status::Unhealthy, None, fails, 0),
                ]
            })
            .collect();
        loaded.add_groups(&groups);
        let last = pushed.samples.iter().zip(0..).map(|(sample, run_id)| {
            let found = observation("shop-api", sample.ts_ms, sample.status);
            Observation {
                latency_us: sample.latency_us(),
                run_id,
                ..found
            }
        });
        last.for_each(|run| loaded.push(Arc::new(run)));
        for days in [1, 3, 20] {
            let window = Duration::from_secs(days * 86_400);
            let (found, wanted) = (loaded.summary(window), pushed.summary(window));
            assert!(
                found.count.abs_diff(wanted.count) <= 360,
                "{days}: {found:?} {wanted:?}"
            );
            assert!(
                (found.error_rate().unwrap() - wanted.error_rate().unwrap()).abs() < 0.05,
                "{days}"
            );
            assert_eq!(
                loaded.latency(window, 0.5),
                pushed.latency(window, 0.5),
                "{days}"
            );
        }
    }

    #[test]
    fn the_last_run_of_each_probe_is_there_however_long_ago_it_was() {
        let mut history = ServiceHistory::new(Reach {
            look_back: Duration::ZERO,
            interval: 60 * MINUTE,
        });
        let tls = Observation {
            probe: "tls".to_owned(),
            run_id: -1,
            ..observation("a", 0, Status::Degraded)
        };
        history.push(Arc::new(tls));
        for n in 1..=360 {
            history.push(Arc::new(Observation {
                run_id: n,
                ..observation("a", n * 10_000, Status::Healthy)
            }));
        }
        let names = |history: &ServiceHistory| {
            history
                .latest_by_probe()
                .iter()
                .map(|run| run.probe.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&history), ["health", "tls"]);
        assert_eq!(names(&history.of_probes(&["tls".to_owned()])), ["tls"]);
        let later = history.at(7_200_001);
        assert_eq!(
            names(&later),
            ["health"],
            "two intervals without a run: it is gone"
        );
        assert_eq!((later.now_ms(), history.now_ms()), (7_200_001, 3_600_000));
    }

    #[test]
    fn absence_is_counted_from_when_somebody_watched() {
        let mut history = filled(
            reach(5 * MINUTE),
            &[(100, Status::Healthy, None), (130, Status::Healthy, None)],
        );
        assert_eq!(history.watched(), Duration::from_secs(30));
        history.watch_since(120_000);
        assert_eq!(history.watched(), Duration::from_secs(10));
        assert_eq!(history.at(180_000).watched(), Duration::from_secs(60));
    }

    proptest! {
        #[test]
        fn windows_agree_with_counting_by_hand(
            gaps in proptest::collection::vec((0..40_i64, 0..4_usize), 1..120),
            window_s in 1..600_u64,
        ) {
            let mut second = 0;
            let runs: Vec<_> = gaps.iter().map(|(gap, status)| {
                second += gap;
                (second, Status::ALL[*status], Some(second as u64))
            }).collect();
            let history = filled(reach(Duration::from_secs(600)), &runs);
            let inside: Vec<_> = runs.iter().filter(|run| run.0 > second - window_s as i64).collect();
            let summary = history.summary(Duration::from_secs(window_s));
            prop_assert_eq!(summary.count, inside.len() as u64);
            prop_assert_eq!(summary.errors, inside.iter().filter(|run| run.1 == Status::Error).count() as u64);
            prop_assert!(summary.covered_ms <= window_s * 1_000);
            let mut latencies: Vec<u64> = inside.iter().filter(|run| run.1.is_available()).filter_map(|run| run.2).collect();
            latencies.sort_unstable();
            prop_assert_eq!(history.latency(Duration::from_secs(window_s), 1.0), latencies.last().copied());
            prop_assert_eq!(history.latency(Duration::from_secs(window_s), 0.0), latencies.first().copied());
        }
    }
}
