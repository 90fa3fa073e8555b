//! When each probe is due: pure, over moments it is given. Starts are spread over the interval by a hash of the probe, the
//! next moment is computed from the last *due* moment, so that lateness never adds up. A retry is a moment between two of them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::domain::UnixMillis;

/// Service slug and probe name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbeKey {
    pub service: String,
    pub probe: String,
}

/// One moment at which a probe has to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub key: ProbeKey,
    pub at_ms: UnixMillis,
    /// Moments before this one that passed unused, e.g. while the machine slept. Oldest first, at most [`MISSED_KEPT`].
    pub missed: Vec<UnixMillis>,
    /// All of them, kept or not.
    pub missed_count: u64,
}

/// Missed runs written as rows after one long pause: an hour at 5 s.
pub const MISSED_KEPT: usize = 720;

#[derive(Debug, Default)]
pub struct Schedule {
    entries: HashMap<ProbeKey, Entry>,
    /// Earliest first; entries whose generation is over are skipped.
    queue: BinaryHeap<Reverse<(UnixMillis, ProbeKey, u64)>>,
    generation: u64,
}

#[derive(Debug)]
struct Entry {
    interval_ms: i64,
    next_ms: UnixMillis,
    /// A moment before it, after a run that failed.
    retry_ms: Option<UnixMillis>,
    generation: u64,
}

impl Entry {
    fn is_due_at(&self, at_ms: UnixMillis) -> bool {
        self.next_ms == at_ms || self.retry_ms == Some(at_ms)
    }
}

impl Schedule {
    /// Keeps the rhythm of probes whose interval did not change, starts new ones, forgets the rest.
    pub fn replace(&mut self, probes: impl IntoIterator<Item = (ProbeKey, Duration)>, now_ms: UnixMillis) {
        let mut entries = HashMap::new();
        for (key, interval) in probes {
            let interval_ms = (interval.as_millis() as i64).max(1);
            let kept = self.entries.remove(&key).filter(|entry| entry.interval_ms == interval_ms);
            let entry = kept.unwrap_or_else(|| {
                self.generation += 1;
                let next_ms = first(&key, interval_ms, now_ms);
                self.queue.push(Reverse((next_ms, key.clone(), self.generation)));
                Entry { interval_ms, next_ms, retry_ms: None, generation: self.generation }
            });
            entries.insert(key, entry);
        }
        self.entries = entries;
        // What is over would otherwise stay until its moment comes.
        if self.queue.len() > 2 * self.entries.len() + 64 {
            self.queue = std::mem::take(&mut self.queue)
                .into_iter()
                .filter(|Reverse((at_ms, key, generation))| {
                    let entry = self.entries.get(key);
                    entry.is_some_and(|entry| entry.generation == *generation && entry.is_due_at(*at_ms))
                })
                .collect();
        }
    }

    /// One more run of the probe at a moment, unless the next one comes as soon.
    pub fn retry(&mut self, key: &ProbeKey, at_ms: UnixMillis) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if at_ms < entry.next_ms {
            entry.retry_ms = Some(at_ms);
            self.queue.push(Reverse((at_ms, key.clone(), entry.generation)));
        }
    }

    /// The next moment anything is due.
    pub fn next_due(&mut self) -> Option<UnixMillis> {
        self.drop_stale();
        self.queue.peek().map(|Reverse((at_ms, _, _))| *at_ms)
    }

    /// Takes one probe whose moment has come and sets its next.
    pub fn pop(&mut self, now_ms: UnixMillis) -> Option<Due> {
        self.drop_stale();
        if self.queue.peek().is_none_or(|Reverse((at_ms, _, _))| *at_ms > now_ms) {
            return None;
        }
        let Reverse((due_ms, key, generation)) = self.queue.pop()?;
        let entry = self.entries.get_mut(&key)?;
        let is_retry = entry.retry_ms.take() == Some(due_ms);
        // One that is late by as much as the next moment gives way to it, as if it had not been.
        if is_retry && due_ms != entry.next_ms {
            return match now_ms < entry.next_ms {
                true => Some(Due { key, at_ms: due_ms, missed: Vec::new(), missed_count: 0 }),
                false => self.pop(now_ms),
            };
        }
        // Every moment that has passed but the last one is missed.
        let passed = (now_ms - due_ms) / entry.interval_ms;
        let at_ms = due_ms + passed * entry.interval_ms;
        let kept = (passed as usize).min(MISSED_KEPT) as i64;
        let missed = (passed - kept..passed).map(|index| due_ms + index * entry.interval_ms).collect();
        entry.next_ms = at_ms + entry.interval_ms;
        self.queue.push(Reverse((entry.next_ms, key.clone(), generation)));
        Some(Due { key, at_ms, missed, missed_count: passed as u64 })
    }

    fn drop_stale(&mut self) {
        while let Some(Reverse((at_ms, key, generation))) = self.queue.peek() {
            let entry = self.entries.get(key);
            if entry.is_some_and(|entry| entry.generation == *generation && entry.is_due_at(*at_ms)) {
                return;
            }
            self.queue.pop();
        }
    }
}

/// A moment within the next interval, the same for the same probe after each start, whatever the clock says.
fn first(key: &ProbeKey, interval_ms: i64, now_ms: UnixMillis) -> UnixMillis {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let offset = (hasher.finish() % interval_ms as u64) as i64;
    let start_of_interval = now_ms - now_ms.rem_euclid(interval_ms);
    let first = start_of_interval + offset;
    if first > now_ms { first } else { first + interval_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(probe: usize) -> ProbeKey {
        ProbeKey { service: format!("s{probe}"), probe: "http".into() }
    }

    fn schedule(probes: usize, interval: Duration, now_ms: UnixMillis) -> Schedule {
        let mut schedule = Schedule::default();
        schedule.replace((0..probes).map(|probe| (key(probe), interval)), now_ms);
        schedule
    }

    #[test]
    fn starts_are_spread_over_the_interval() {
        let mut schedule = schedule(1_000, Duration::from_secs(10), 1_000_000);
        let mut buckets = [0; 10];
        while let Some(due) = schedule.pop(1_010_000) {
            if due.at_ms > 1_010_000 {
                break;
            }
            buckets[((due.at_ms - 1_000_001) / 1_000) as usize] += 1;
        }
        assert_eq!(buckets.iter().sum::<i32>(), 1_000);
        assert!(buckets.iter().all(|count| (60..=140).contains(count)), "{buckets:?}");
    }

    #[test]
    fn a_late_run_does_not_move_the_ones_after_it() {
        let mut schedule = schedule(1, Duration::from_secs(5), 0);
        let first = schedule.next_due().unwrap();
        let due = schedule.pop(first + 1_700).unwrap();
        assert_eq!((due.at_ms, due.missed_count), (first, 0));
        assert_eq!(schedule.next_due(), Some(first + 5_000));
    }

    #[test]
    fn moments_that_passed_are_missed_runs() {
        let mut schedule = schedule(1, Duration::from_secs(5), 0);
        let first = schedule.next_due().unwrap();
        let due = schedule.pop(first + 17_000).unwrap();
        assert_eq!(due.missed, [first, first + 5_000, first + 10_000]);
        assert_eq!((due.at_ms, due.missed_count), (first + 15_000, 3));
        assert_eq!(schedule.pop(first + 17_000), None);
    }

    #[test]
    fn a_pause_of_a_year_is_counted_but_not_kept_whole() {
        let mut schedule = schedule(1, Duration::from_secs(5), 0);
        let first = schedule.next_due().unwrap();
        let due = schedule.pop(first + 365 * 86_400_000).unwrap();
        assert_eq!((due.missed.len(), due.missed_count), (MISSED_KEPT, 365 * 86_400 / 5));
        assert_eq!(due.missed.last(), Some(&(due.at_ms - 5_000)));
    }

    #[test]
    fn a_retry_comes_between_and_leaves_the_rhythm_as_it_is() {
        let mut schedule = schedule(1, Duration::from_secs(60), 0);
        let first = schedule.next_due().unwrap();
        assert!(schedule.pop(first).is_some());
        schedule.retry(&key(0), first + 10_000);
        assert_eq!(schedule.next_due(), Some(first + 10_000));
        let due = schedule.pop(first + 10_500).unwrap();
        assert_eq!((due.at_ms, due.missed_count), (first + 10_000, 0));
        assert_eq!(schedule.next_due(), Some(first + 60_000), "once");

        schedule.retry(&key(0), first + 60_000);
        schedule.retry(&key(0), first + 90_000);
        assert_eq!(schedule.pop(first + 60_000).unwrap().at_ms, first + 60_000);
        assert_eq!(schedule.next_due(), Some(first + 120_000), "not faster than the next run");

        schedule.retry(&key(0), first + 70_000);
        let due = schedule.pop(first + 121_000).unwrap();
        assert_eq!((due.at_ms, due.missed_count), (first + 120_000, 0), "too late to be one");
        assert_eq!(schedule.pop(first + 121_000), None);

        schedule.retry(&key(0), first + 130_000);
        schedule.replace([], first);
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn a_change_keeps_the_rhythm_of_what_did_not_change() {
        let mut schedule = schedule(2, Duration::from_secs(60), 0);
        let before = schedule.next_due().unwrap();
        let earliest = schedule.pop(before).unwrap().key;
        schedule.replace([(earliest.clone(), Duration::from_secs(60)), (key(7), Duration::from_secs(1))], before);
        let mut seen = Vec::new();
        while let Some(due) = schedule.pop(before + 60_000) {
            if seen.iter().any(|(key, _)| *key == due.key) {
                break;
            }
            seen.push((due.key, due.at_ms));
        }
        assert!(seen.contains(&(earliest, before + 60_000)));
        assert!(!seen.iter().any(|(key, _)| key.service == "s0" && key.service == "s1"));
    }
}
