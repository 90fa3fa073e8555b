//! [`ServiceHistory`]: the recent history of one service that rules may look at, in memory and bounded.
//!
//! Every run that took place is kept as a 16-byte sample for as long as the longest look-back of
//! the service's rules reaches and there is room; what no longer fits is counted by slots of time
//! (`older`). Whole observations, which are thirty times bigger, are kept only for the last few.

mod limits;
mod older;
mod steps;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::domain::{
    History, Observation, PastRuns, RunSample, RunSlot, RunSource, Selection, Status, UnixMillis,
    latency_bin,
};
pub use crate::domain::{LEAST_SAMPLES, MAX_SAMPLES};

use limits::RateLimits;
use older::{Older, ProbeIndex};

/// Steps of a span: six weeks by the hour.
pub const MAX_BUCKETS: usize = 1_000;

/// Whole observations kept although no rule has asked for any: about 4 KB.
const LEAST_WHOLE: usize = 8;

/// Whole observations kept as long as no rule has asked for more, if the look-back reaches that
/// far.
const WHOLE: usize = 64;

/// The most that `samples` ever returns, as in the contract with plugins.
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
    /// Position in [`ServiceHistory::sources`].
    probe: ProbeIndex,
    status: Status,
    /// It was due while the service was worked on. Among the samples it counts, because rules go on
    /// meanwhile; in slots it does not, as in every other count of the history.
    is_excluded: bool,
}

impl Sample {
    fn of(observation: &Observation, probe: ProbeIndex) -> Self {
        Self {
            ts_ms: observation.ts_ms,
            latency_us: cut_latency_us(observation.latency_us),
            probe,
            status: observation.status,
            is_excluded: observation.excluded.is_some(),
        }
    }

    fn latency_us(&self) -> Option<u64> {
        (self.latency_us != NO_LATENCY).then(|| u64::from(self.latency_us))
    }

    /// Returns the bin of the latency, if the run counts for it.
    fn bin(&self) -> Option<u16> {
        self.latency_us()
            .filter(|_| self.status.is_available())
            .map(latency_bin)
    }
}

fn cut_latency_us(latency_us: Option<u64>) -> u32 {
    latency_us.map_or(NO_LATENCY, |us| us.min(u64::from(NO_LATENCY) - 1) as u32)
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

/// Runs of one service, in the order in which they ended.
#[derive(Debug, Clone)]
pub struct ServiceHistory {
    reach: Reach,
    /// The moment of the evaluation: windows end here.
    now_ms: UnixMillis,
    samples: VecDeque<Sample>,
    /// Runs before those.
    older: Arc<Older>,
    /// Probes that are looked at, by position; none: all.
    only: Option<Vec<bool>>,
    whole: VecDeque<Arc<Observation>>,
    /// Probes and webhooks in their locations, in the order of their first runs; a service has few.
    sources: Vec<RunSource>,
    /// The last one of each of them, by position.
    latest: Vec<Option<Arc<Observation>>>,
    rate_limits: RateLimits,
    /// Moment since which the program has been watching; none: since the first run in here.
    watched_since_ms: Option<UnixMillis>,
    /// The most observations a rule has asked for so far.
    asked: Arc<AtomicUsize>,
    /// Time by which the runs in here were moved back with the clock.
    set_back_ms: i64,
    /// Where earlier runs are not known: set once a rule has asked for them without a window.
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
            sources: Vec::new(),
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

    /// Sets from when on absence counts: the program did not run before.
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

    /// Takes in what was read back of the past, if nothing is in here yet. `is_known`: by its number,
    /// whether a run comes by another way.
    pub fn take_in(&mut self, past: PastRuns, is_known: impl Fn(i64) -> bool) {
        let probes: Vec<ProbeIndex> = past
            .sources
            .iter()
            .map(|source| position_of(&mut self.sources, &source.probe, &source.location))
            .collect();
        let probe = |source: u16| probes.get(usize::from(source)).copied().unwrap_or(source);
        self.add_slots(past.as_of_ms, &past.slots, probe);
        for reading in past.readings {
            self.rate_limits.push_reading(reading);
        }
        let by_id = |runs: Vec<Observation>| -> HashMap<i64, Observation> {
            runs.into_iter().map(|run| (run.run_id, run)).collect()
        };
        let (mut whole, mut latest) = (by_id(past.observations), by_id(past.latest));
        for sample in past.samples {
            if is_known(sample.run_id) {
                continue;
            }
            if let Some(run) = whole.remove(&sample.run_id) {
                self.push(Arc::new(run));
                continue;
            }
            let probe = probe(sample.source);
            self.push_sample(probe, &sample);
            if let Some(run) = latest.remove(&sample.run_id) {
                self.set_latest(probe, Arc::new(run));
            }
        }
    }

    fn add_slots(
        &mut self,
        as_of_ms: UnixMillis,
        slots: &[RunSlot],
        probe: impl Fn(u16) -> ProbeIndex,
    ) {
        if slots.is_empty() {
            return;
        }
        let older = Arc::make_mut(&mut self.older);
        older.age(as_of_ms.max(self.now_ms), UnixMillis::MIN);
        for slot in slots {
            older.add_slot(probe(slot.source), slot);
        }
    }

    /// Takes in a run of which no more is known.
    fn push_sample(&mut self, probe: ProbeIndex, sample: &RunSample) {
        self.now_ms = self.now_ms.max(sample.ts_ms);
        self.samples.push_back(Sample {
            ts_ms: sample.ts_ms,
            latency_us: cut_latency_us(sample.latency_us),
            probe,
            status: sample.status,
            is_excluded: sample.is_excluded,
        });
        self.trim();
    }

    fn set_latest(&mut self, probe: ProbeIndex, observation: Arc<Observation>) {
        self.latest
            .resize(self.sources.len().max(self.latest.len()), None);
        if let Some(latest) = self.latest.get_mut(usize::from(probe)) {
            *latest = Some(observation);
        }
    }

    /// Puts a history behind this one, none of whose runs is in here.
    pub fn append(&mut self, later: &ServiceHistory) {
        let positions: Vec<ProbeIndex> = later
            .sources
            .iter()
            .map(|source| position_of(&mut self.sources, &source.probe, &source.location))
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
            .resize(self.sources.len().max(self.latest.len()), None);
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
    /// window: for example how many runs in a row have failed.
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

    /// Takes in one run and moves the evaluation to its moment. A run that was missed or whose
    /// check broke is no news of the service and is left out, so that it counts neither
    /// for nor against it and covers no time; so is a run that is already there.
    pub fn push(&mut self, observation: Arc<Observation>) {
        if observation.is_check_broken() || self.holds(&observation) {
            return;
        }
        let behind_ms = self.now_ms.saturating_sub(observation.ts_ms);
        if !(0..=REORDER_MS).contains(&behind_ms) {
            self.now_ms = observation.ts_ms;
        }
        let probe = position_of(&mut self.sources, &observation.probe, &observation.location);
        self.samples.push_back(Sample::of(&observation, probe));
        self.set_latest(probe, Arc::clone(&observation));
        self.rate_limits.push(&observation, self.now_ms);
        self.whole.push_back(observation);
        self.trim();
    }

    /// Whether this run failed and is to be repeated first: at most `times` in a row have failed.
    pub fn is_retried(&self, judged: &Observation, times: u32) -> bool {
        !judged.status.is_available()
            && self
                .selected(&Selection {
                    probes: vec![judged.probe.clone()],
                    locations: vec![judged.location.clone()],
                })
                .consecutive_failures()
                <= times
    }

    /// The same with the observations of some probes and webhooks alone, at the same moment.
    pub fn of_probes(&self, names: &[String]) -> Self {
        if names.is_empty() {
            return self.only(|_, _| false);
        }
        self.selected(&Selection {
            probes: names.to_vec(),
            locations: Vec::new(),
        })
    }

    /// The same with the selected observations alone.
    pub fn selected(&self, selection: &Selection) -> Self {
        self.only(|probe, location| selection.contains(probe, location))
    }

    fn only(&self, is_one: impl Fn(&str, &str) -> bool) -> Self {
        let positions: Vec<bool> = self
            .sources
            .iter()
            .enumerate()
            .map(|(position, source)| {
                self.is_in(position) && is_one(&source.probe, &source.location)
            })
            .collect();
        let is_wanted = |sample: &&Sample| {
            positions
                .get(usize::from(sample.probe))
                .copied()
                .unwrap_or_default()
        };
        let samples = self.samples.iter().filter(is_wanted).copied().collect();
        let latest = self.latest.iter().map(|latest| {
            latest
                .clone()
                .filter(|latest| is_one(&latest.probe, &latest.location))
        });
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
                .filter(|observation| is_one(&observation.probe, &observation.location))
                .cloned()
                .collect(),
            sources: self.sources.clone(),
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
        if sample.is_excluded {
            return;
        }
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

    #[cfg(test)]
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.samples.capacity() * size_of::<Sample>()
            + self.whole.capacity() * size_of::<Arc<Observation>>()
    }
}

/// Names that came and went are few: they change with the configuration.
fn position_of(sources: &mut Vec<RunSource>, probe: &str, location: &str) -> ProbeIndex {
    let known = sources
        .iter()
        .position(|source| source.probe == probe && source.location == location);
    let position = known.unwrap_or_else(|| {
        sources.push(RunSource {
            probe: probe.to_owned(),
            location: location.to_owned(),
        });
        sources.len() - 1
    });
    ProbeIndex::try_from(position).unwrap_or(ProbeIndex::MAX)
}
