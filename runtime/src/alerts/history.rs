//! What rules may look at: the recent history of one service, in memory and bounded.
//!
//! Every run that took place is kept as a 16-byte sample for as long as the longest look-back of the service's rules
//! reaches; whole observations, which are thirty times bigger, only for the last few.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::domain::{History, Observation, Status, Summary, UnixMillis};

/// A week at one run every 30 s: 320 KB. Rules that look further back than this need roll-ups, not samples.
pub const MAX_SAMPLES: usize = 20_160;

/// Whole observations kept although no rule has asked for any: about 4 KB.
const LEAST_WHOLE: usize = 8;

/// Whole observations kept as long as no rule has asked for more, if the look-back reaches that far.
const WHOLE: usize = 64;

/// The most that `samples` ever answers with, as the contract with plugins says.
pub const MAX_WHOLE: usize = 1_000;

/// Runs of several probes end in another order than they began; no run takes longer than this. An observation that is
/// older still means that the clock was set back.
const REORDER_MS: i64 = 10 * 60 * 1_000;

/// A run speaks for the time until the next is due, and for one more interval because runs are late.
const INTERVALS_COVERED: u64 = 2;

const NO_LATENCY: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Sample {
    ts_ms: UnixMillis,
    /// Cut at 71 minutes.
    latency_us: u32,
    /// Position in [`ServiceHistory::probes`].
    probe: u16,
    status: Status,
}

impl Sample {
    fn of(observation: &Observation, probe: u16) -> Self {
        let latency_us = observation.latency_us.map_or(NO_LATENCY, |us| us.min(u64::from(NO_LATENCY) - 1) as u32);
        Self { ts_ms: observation.ts_ms, latency_us, probe, status: observation.status }
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
    /// How far before the evaluation samples are kept: the run that covers the beginning of the window is older than it.
    pub fn kept_ms(&self) -> i64 {
        let kept = self.look_back.saturating_add(self.covered_by_one_run());
        i64::try_from(kept.as_millis()).unwrap_or(i64::MAX)
    }

    fn covered_by_one_run(&self) -> Duration {
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
    whole: VecDeque<Arc<Observation>>,
    /// Names of probes and webhooks, as they came; a service has few.
    probes: Vec<String>,
    /// The most observations a rule has asked for so far.
    asked: Arc<AtomicUsize>,
}

impl ServiceHistory {
    pub fn new(reach: Reach) -> Self {
        Self {
            reach,
            now_ms: 0,
            samples: VecDeque::new(),
            whole: VecDeque::new(),
            probes: Vec::new(),
            asked: Arc::default(),
        }
    }

    pub fn now_ms(&self) -> UnixMillis {
        self.now_ms
    }

    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// A shorter reach takes effect with the next observation; for a longer one the history has to be loaded again.
    pub fn set_reach(&mut self, reach: Reach) {
        self.reach = reach;
    }

    /// Takes in one run and moves the evaluation to its moment. A run that was missed or whose check broke says nothing about
    /// the service and is left out, so that it counts neither for nor against it and covers no time; so is a run that is
    /// already there.
    pub fn push(&mut self, observation: Arc<Observation>) {
        if observation.is_check_broken() || self.holds(&observation) {
            return;
        }
        let behind_ms = self.now_ms.saturating_sub(observation.ts_ms);
        if !(0..=REORDER_MS).contains(&behind_ms) {
            self.now_ms = observation.ts_ms;
        }
        let probe = self.position_of(&observation.probe);
        self.samples.push_back(Sample::of(&observation, probe));
        self.whole.push_back(observation);
        self.trim();
    }

    /// Whether this run failed and is to be repeated first: at most `times` in a row have failed.
    pub fn is_retried(&self, judged: &Observation, times: u32) -> bool {
        !judged.status.is_available()
            && self.of_probes(std::slice::from_ref(&judged.probe)).consecutive_failures() <= times
    }

    /// The same with the observations of some probes and webhooks alone, at the same moment.
    pub fn of_probes(&self, names: &[String]) -> Self {
        let is_one = |name: &String| names.contains(name);
        let positions: Vec<bool> = self.probes.iter().map(is_one).collect();
        let is_wanted = |sample: &&Sample| positions.get(usize::from(sample.probe)).copied().unwrap_or_default();
        Self {
            reach: self.reach,
            now_ms: self.now_ms,
            samples: self.samples.iter().filter(is_wanted).copied().collect(),
            whole: self.whole.iter().filter(|observation| is_one(&observation.probe)).cloned().collect(),
            probes: self.probes.clone(),
            asked: self.asked.clone(),
        }
    }

    /// Names that came and went are few: they change with the configuration.
    fn position_of(&mut self, probe: &str) -> u16 {
        let known = self.probes.iter().position(|name| name == probe);
        let position = known.unwrap_or_else(|| {
            self.probes.push(probe.to_owned());
            self.probes.len() - 1
        });
        u16::try_from(position).unwrap_or(u16::MAX)
    }

    /// Only the last few can be there already: a run is read back from the results and handed over again within seconds.
    fn holds(&self, observation: &Observation) -> bool {
        self.whole
            .iter()
            .rev()
            .take(WHOLE)
            .any(|kept| kept.run_id == observation.run_id && kept.ts_ms == observation.ts_ms)
    }

    fn trim(&mut self) {
        let oldest_ms = self.now_ms.saturating_sub(self.reach.kept_ms());
        // The latest always stays.
        while self.samples.len() > 1
            && (self.samples.len() > MAX_SAMPLES || self.samples.front().is_some_and(|sample| sample.ts_ms < oldest_ms))
        {
            self.samples.pop_front();
        }
        let most = self.asked.load(Ordering::Relaxed).clamp(WHOLE, MAX_WHOLE);
        while self.whole.len() > most
            || (self.whole.len() > LEAST_WHOLE && self.whole.front().is_some_and(|whole| whole.ts_ms < oldest_ms))
        {
            self.whole.pop_front();
        }
    }

    /// Samples in the window that ends with the evaluation, newest first. Its beginning is not part of it.
    fn window(&self, window: Duration) -> impl Iterator<Item = &Sample> {
        let start_ms = self.start_of(window);
        self.samples
            .iter()
            .rev()
            .take_while(move |sample| sample.ts_ms > start_ms.saturating_sub(REORDER_MS))
            .filter(move |sample| sample.ts_ms > start_ms && sample.ts_ms <= self.now_ms)
    }

    fn start_of(&self, window: Duration) -> UnixMillis {
        self.now_ms.saturating_sub(i64::try_from(window.as_millis()).unwrap_or(i64::MAX))
    }

    fn covered_ms(&self, window: Duration) -> u64 {
        let start_ms = self.start_of(window);
        let most_ms = i64::try_from(self.reach.covered_by_one_run().as_millis()).unwrap_or(i64::MAX);
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
        covered_ms as u64
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.samples.capacity() * size_of::<Sample>()
            + self.whole.capacity() * size_of::<Arc<Observation>>()
    }
}

impl History for ServiceHistory {
    fn latest(&self) -> Option<Arc<Observation>> {
        self.whole.back().cloned()
    }

    fn samples(&self, last: usize) -> Vec<Arc<Observation>> {
        self.asked.fetch_max(last.min(MAX_WHOLE), Ordering::Relaxed);
        self.whole.iter().skip(self.whole.len().saturating_sub(last)).cloned().collect()
    }

    fn summary(&self, window: Duration) -> Summary {
        let mut summary = Summary { covered_ms: self.covered_ms(window), ..Summary::default() };
        for sample in self.window(window) {
            summary.count += 1;
            match sample.status {
                Status::Healthy => summary.healthy += 1,
                Status::Degraded => summary.degraded += 1,
                Status::Unhealthy => summary.unhealthy += 1,
                Status::Error => summary.errors += 1,
            }
        }
        summary
    }

    /// Exact, by nearest rank: the smallest latency that at least this share of the runs did not exceed.
    fn latency(&self, window: Duration, quantile: f64) -> Option<u64> {
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
        self.samples.iter().rev().take_while(|sample| !sample.status.is_available()).count() as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alerts::fakes::observation;
    use crate::domain::{ErrorKind, Failure};

    const MINUTE: Duration = Duration::from_secs(60);

    fn reach(look_back: Duration) -> Reach {
        Reach { look_back, interval: Duration::from_secs(30) }
    }

    fn filled(reach: Reach, runs: &[(i64, Status, Option<u64>)]) -> ServiceHistory {
        let mut history = ServiceHistory::new(reach);
        for (index, (second, status, latency_us)) in runs.iter().enumerate() {
            let run = Observation { latency_us: *latency_us, ..observation("shop-api", second * 1_000, *status) };
            history.push(Arc::new(Observation { run_id: index as i64, ..run }));
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
        assert_eq!((summary.count, summary.healthy, summary.degraded, summary.errors), (3, 1, 1, 1));
        assert_eq!(summary.unhealthy, 0, "a run at the very beginning belongs to the window before");
        assert_eq!(history.summary(Duration::ZERO), Summary::default());
        assert_eq!(history.consecutive_failures(), 1);
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
            history.push(Arc::new(Observation { probe: probe.to_owned(), ..run }));
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
            assert_eq!((some.consecutive_failures(), some.samples(9).len() as u64), (failures, count), "{names:?}");
            assert_eq!(some.latest().map(|run| run.status), latest, "{names:?}");
            assert_eq!(some.now_ms(), history.now_ms());
            // What a rule asks of it is kept by the whole.
            assert_eq!(history.asked.load(Ordering::Relaxed), 9);
        }
    }

    #[test]
    fn latency_is_exact_by_nearest_rank_over_available_runs() {
        let runs: Vec<_> = (1..=10).map(|n| (n, Status::Healthy, Some(n as u64 * 100))).collect();
        let mut history = filled(reach(MINUTE), &runs);
        for (quantile, wanted) in [(0.0, 100), (0.5, 500), (0.51, 600), (0.9, 900), (0.95, 1_000), (1.0, 1_000)] {
            assert_eq!(history.latency(MINUTE, quantile), Some(wanted), "{quantile}");
        }
        for quantile in [-0.1, 1.1, f64::NAN] {
            assert_eq!(history.latency(MINUTE, quantile), None, "{quantile}");
        }
        let slow =
            Observation { latency_us: Some(9_999), run_id: 99, ..observation("shop-api", 11_000, Status::Error) };
        history.push(Arc::new(slow));
        assert_eq!(history.latency(MINUTE, 1.0), Some(1_000), "a failed run has no say");
    }

    #[test]
    fn missed_broken_and_repeated_runs_are_left_out() {
        let mut history = filled(reach(MINUTE), &[(0, Status::Healthy, None), (30, Status::Error, None)]);
        history.push(Arc::new(Observation { missed: true, run_id: 5, ..observation("a", 60_000, Status::Error) }));
        history.push(Arc::new(Observation { run_id: 1, ..observation("a", 30_000, Status::Error) }));
        let failure = Some(Failure::new(ErrorKind::Plugin, "trapped"));
        history.push(Arc::new(Observation { failure, run_id: 6, ..observation("a", 90_000, Status::Error) }));
        assert_eq!(history.summary(MINUTE).count, 2);
        assert_eq!(history.consecutive_failures(), 1);
        assert_eq!(history.now_ms(), 30_000);
    }

    #[test]
    fn coverage_counts_no_gap() {
        let each_30s = |from: i64, to: i64| (from..=to).step_by(30).map(|second| (second, Status::Healthy, None));
        for (name, runs, wanted_s) in [
            ("after a start", each_30s(240, 300).collect::<Vec<_>>(), 60),
            ("one run covers nothing before itself", vec![(300, Status::Healthy, None)], 0),
            ("the whole window", each_30s(0, 330).collect(), 300),
            ("the program was off from 60 to 270", each_30s(0, 60).chain(each_30s(270, 300)).collect(), 60 + 60 + 30),
        ] {
            let history = filled(reach(5 * MINUTE), &runs);
            assert_eq!(history.summary(5 * MINUTE).covered_ms, wanted_s * 1_000, "{name}");
        }
    }

    #[test]
    fn late_runs_count_and_a_clock_set_back_is_followed() {
        let mut history = filled(reach(5 * MINUTE), &[(100, Status::Healthy, None), (90, Status::Error, None)]);
        assert_eq!(history.now_ms(), 100_000, "a late run does not turn time back");
        assert_eq!(history.summary(MINUTE).count, 2);
        assert_eq!(history.latest().unwrap().status, Status::Error, "the judged one is the last that ended");
        let hour_ago = observation("a", 100_000 - 3_600_000, Status::Error);
        history.push(Arc::new(Observation { run_id: 77, ..hour_ago }));
        assert_eq!(history.now_ms(), 100_000 - 3_600_000);
        assert_eq!(history.summary(MINUTE).count, 1, "what lies ahead now is no part of the window");
    }

    #[test]
    fn stays_small_while_idle_and_bounded_when_busy() {
        let day: Vec<_> = (0..2_880).map(|n| (n * 30, Status::Healthy, Some(1_000))).collect();
        let history = filled(reach(5 * MINUTE), &day);
        assert!(history.samples.len() <= 13, "{}", history.samples.len());
        assert!(history.whole.len() <= 13, "{}", history.whole.len());
        assert!(history.bytes() < 2_048, "{}", history.bytes());
        assert_eq!(size_of::<Sample>(), 16);

        let busy: Vec<_> = (0..MAX_SAMPLES as i64 + 500).map(|n| (n, Status::Healthy, None)).collect();
        let history = filled(reach(Duration::from_secs(30 * 86_400)), &busy);
        assert_eq!(history.samples.len(), MAX_SAMPLES);
        assert_eq!(history.whole.len(), WHOLE);
    }

    #[test]
    fn whole_observations_are_kept_as_far_as_rules_ask_for_them() {
        let runs: Vec<_> = (0..100).map(|n| (n, Status::Healthy, None)).collect();
        let mut history = filled(reach(Duration::from_secs(3_600)), &runs);
        assert_eq!(history.samples(5).len(), 5);
        assert_eq!(history.samples(5_000).len(), WHOLE);
        for n in 100..2_000 {
            history.push(Arc::new(Observation { run_id: n, ..observation("a", n * 1_000, Status::Healthy) }));
        }
        let seen = history.samples(5_000);
        assert_eq!((seen.len(), seen[0].run_id, seen[999].run_id), (MAX_WHOLE, 1_000, 1_999));
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
