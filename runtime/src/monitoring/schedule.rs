//! When each probe is due: pure, over moments of the monotonic clock, which can't be set. Starts
//! are spread over the interval by a hash of the probe, the next moment is computed from the last
//! *due* moment, so that lateness never adds up. A retry is a moment between two of them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{ProbeKey, UnixMillis};

/// One moment at which a probe has to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub key: ProbeKey,
    pub at: Instant,
    pub interval: Duration,
    /// Moments right before this one that passed unused, because the program was stopped or too
    /// busy.
    pub late: u64,
    /// Moments before those that never came: the machine was suspended, or its clock was set
    /// ahead.
    pub asleep: u64,
}

#[derive(Debug, Default)]
pub struct Schedule {
    entries: HashMap<ProbeKey, Entry>,
    /// Earliest first; entries whose generation is over are skipped.
    queue: BinaryHeap<Reverse<(Instant, ProbeKey, u64)>>,
    generation: u64,
    /// Time that the wall clock went through and this clock did not, in all.
    asleep: Duration,
}

#[derive(Debug)]
struct Entry {
    interval: Duration,
    next: Instant,
    /// A moment before it, after a run that failed.
    retry: Option<Instant>,
    generation: u64,
    /// Part of [`Schedule::asleep`] that it has accounted for.
    asleep: Duration,
}

impl Entry {
    fn is_due_at(&self, at: Instant) -> bool {
        self.next == at || self.retry == Some(at)
    }
}

impl Schedule {
    /// Keeps the rhythm of probes whose interval did not change, starts new ones, forgets the rest.
    /// `wall_ms` is the wall clock's time at `now`: the first moment of a probe is the same
    /// after each start.
    pub fn replace(
        &mut self,
        probes: impl IntoIterator<Item = (ProbeKey, Duration)>,
        now: Instant,
        wall_ms: UnixMillis,
    ) {
        let mut entries = HashMap::new();
        for (key, interval) in probes {
            let interval = interval.max(Duration::from_millis(1));
            let kept = self
                .entries
                .remove(&key)
                .filter(|entry| entry.interval == interval);
            let entry = kept.unwrap_or_else(|| {
                self.generation += 1;
                let next = now + until_first(&key, interval, wall_ms);
                self.queue
                    .push(Reverse((next, key.clone(), self.generation)));
                Entry {
                    interval,
                    next,
                    retry: None,
                    generation: self.generation,
                    asleep: self.asleep,
                }
            });
            entries.insert(key, entry);
        }
        self.entries = entries;
        // What is over would otherwise stay until its moment comes.
        if self.queue.len() > 2 * self.entries.len() + 64 {
            self.queue = std::mem::take(&mut self.queue)
                .into_iter()
                .filter(|Reverse((at, key, generation))| {
                    let entry = self.entries.get(key);
                    entry.is_some_and(|entry| {
                        entry.generation == *generation && entry.is_due_at(*at)
                    })
                })
                .collect();
        }
    }

    /// The wall clock jumped ahead: each probe accounts for the moments in between when it is due
    /// next.
    pub fn sleep(&mut self, asleep: Duration) {
        self.asleep = self.asleep.saturating_add(asleep);
    }

    /// One more run of the probe at a moment, unless the next one comes as soon.
    pub fn retry(&mut self, key: &ProbeKey, at: Instant) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if at < entry.next {
            entry.retry = Some(at);
            self.queue
                .push(Reverse((at, key.clone(), entry.generation)));
        }
    }

    /// The next moment anything is due.
    pub fn next_due(&mut self) -> Option<Instant> {
        self.drop_stale();
        self.queue.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Takes one probe whose moment has come and sets its next.
    pub fn pop(&mut self, now: Instant) -> Option<Due> {
        self.drop_stale();
        if self
            .queue
            .peek()
            .is_none_or(|Reverse((at, _, _))| *at > now)
        {
            return None;
        }
        let Reverse((due, key, generation)) = self.queue.pop()?;
        let entry = self.entries.get_mut(&key)?;
        let interval = entry.interval;
        let is_retry = entry.retry.take() == Some(due);
        // One that is late by as much as the next moment gives way to it, as if it had not been.
        if is_retry && due != entry.next {
            if now < entry.next {
                return Some(Due {
                    key,
                    at: due,
                    interval,
                    late: 0,
                    asleep: 0,
                });
            }
            return self.pop(now);
        }
        // Every moment that has passed but the last one is missed.
        let late = intervals(now - due, interval);
        let at = due + interval.saturating_mul(u32::try_from(late).unwrap_or(u32::MAX));
        let asleep = intervals(self.asleep.saturating_sub(entry.asleep), interval);
        entry.asleep = self.asleep;
        entry.next = at + interval;
        self.queue
            .push(Reverse((entry.next, key.clone(), generation)));
        Some(Due {
            key,
            at,
            interval,
            late,
            asleep,
        })
    }

    fn drop_stale(&mut self) {
        while let Some(Reverse((at, key, generation))) = self.queue.peek() {
            let entry = self.entries.get(key);
            if entry.is_some_and(|entry| entry.generation == *generation && entry.is_due_at(*at)) {
                return;
            }
            self.queue.pop();
        }
    }
}

/// Whole intervals in a time.
fn intervals(time: Duration, interval: Duration) -> u64 {
    u64::try_from(time.as_nanos() / interval.as_nanos().max(1)).unwrap_or(u64::MAX)
}

/// Returns the time until a moment within the next interval, which is the same for the same probe after each start.
fn until_first(key: &ProbeKey, interval: Duration, wall_ms: UnixMillis) -> Duration {
    let interval_ms = i64::try_from(interval.as_millis())
        .unwrap_or(i64::MAX)
        .max(1);
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let offset_ms = (hasher.finish() % interval_ms.unsigned_abs()) as i64;
    let left_ms = offset_ms - wall_ms.rem_euclid(interval_ms);
    let left_ms = if left_ms > 0 {
        left_ms
    } else {
        left_ms + interval_ms
    };
    Duration::from_millis(left_ms.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::LOCAL;

    fn key(probe: usize) -> ProbeKey {
        ProbeKey {
            service: format!("s{probe}"),
            probe: "http".into(),
            location: LOCAL.into(),
        }
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn schedule(probes: usize, interval: Duration, now: Instant) -> Schedule {
        let mut schedule = Schedule::default();
        schedule.replace(
            (0..probes).map(|probe| (key(probe), interval)),
            now,
            1_000_000,
        );
        schedule
    }

    #[test]
    fn starts_are_spread_over_the_interval() {
        let now = Instant::now();
        let mut schedule = schedule(1_000, s(10), now);
        let mut buckets = [0; 10];
        while let Some(due) = schedule.pop(now + s(10)) {
            if buckets.iter().sum::<i32>() == 1_000 {
                break;
            }
            buckets[((due.at - now).as_millis() as usize - 1) / 1_000] += 1;
        }
        assert_eq!(buckets.iter().sum::<i32>(), 1_000);
        assert!(
            buckets.iter().all(|count| (60..=140).contains(count)),
            "{buckets:?}"
        );
    }

    #[test]
    fn the_first_moment_is_the_same_after_each_start() {
        let now = Instant::now();
        let mut first = None;
        for started_ms in [1_000_000, 1_003_456, 1_777_777] {
            let mut schedule = Schedule::default();
            schedule.replace([(key(3), s(60))], now, started_ms);
            let at_ms = started_ms + (schedule.next_due().unwrap() - now).as_millis() as i64;
            assert_eq!(
                at_ms.rem_euclid(60_000),
                *first.get_or_insert(at_ms.rem_euclid(60_000))
            );
        }
    }

    #[test]
    fn a_late_run_does_not_move_the_ones_after_it() {
        let mut schedule = schedule(1, s(5), Instant::now());
        let first = schedule.next_due().unwrap();
        let due = schedule.pop(first + Duration::from_millis(1_700)).unwrap();
        assert_eq!((due.at, due.late, due.asleep), (first, 0, 0));
        assert_eq!(schedule.next_due(), Some(first + s(5)));
    }

    #[test]
    fn moments_that_passed_are_missed_runs() {
        let mut schedule = schedule(1, s(5), Instant::now());
        let first = schedule.next_due().unwrap();
        let due = schedule.pop(first + s(17)).unwrap();
        assert_eq!((due.at, due.late, due.asleep), (first + s(15), 3, 0));
        assert_eq!(schedule.pop(first + s(17)), None);
    }

    #[test]
    fn a_clock_that_jumps_ahead_moves_nothing_and_is_accounted_for_once() {
        let mut schedule = schedule(2, s(60), Instant::now());
        let first = schedule.next_due().unwrap();
        schedule.sleep(s(30));
        let due = schedule.pop(first).unwrap();
        assert_eq!(
            (due.at, due.asleep),
            (first, 0),
            "shorter than the interval"
        );
        schedule.sleep(s(86_400));
        let due = schedule.pop(first + s(60)).unwrap();
        assert_eq!(due.asleep, 1_440);
        let same = due.key;
        while let Some(due) = schedule.pop(first + s(120)) {
            assert_eq!(
                due.asleep,
                if due.key == same { 0 } else { 1_440 },
                "{due:?}"
            );
        }
    }

    #[test]
    fn a_retry_comes_between_and_leaves_the_rhythm_as_it_is() {
        let mut schedule = schedule(1, s(60), Instant::now());
        let first = schedule.next_due().unwrap();
        assert!(schedule.pop(first).is_some());
        schedule.retry(&key(0), first + s(10));
        assert_eq!(schedule.next_due(), Some(first + s(10)));
        let due = schedule.pop(first + Duration::from_millis(10_500)).unwrap();
        assert_eq!((due.at, due.late), (first + s(10), 0));
        assert_eq!(schedule.next_due(), Some(first + s(60)), "once");

        schedule.retry(&key(0), first + s(60));
        schedule.retry(&key(0), first + s(90));
        assert_eq!(schedule.pop(first + s(60)).unwrap().at, first + s(60));
        assert_eq!(
            schedule.next_due(),
            Some(first + s(120)),
            "not faster than the next run"
        );

        schedule.retry(&key(0), first + s(70));
        let due = schedule.pop(first + s(121)).unwrap();
        assert_eq!(
            (due.at, due.late),
            (first + s(120), 0),
            "too late to be one"
        );
        assert_eq!(schedule.pop(first + s(121)), None);

        schedule.retry(&key(0), first + s(130));
        schedule.replace([], first, 0);
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn a_change_keeps_the_rhythm_of_what_did_not_change() {
        let mut schedule = schedule(2, s(60), Instant::now());
        let before = schedule.next_due().unwrap();
        let earliest = schedule.pop(before).unwrap().key;
        schedule.replace(
            [(earliest.clone(), s(60)), (key(7), s(1))],
            before,
            1_000_000,
        );
        let mut seen = Vec::new();
        while let Some(due) = schedule.pop(before + s(60)) {
            if seen.iter().any(|(key, _)| *key == due.key) {
                break;
            }
            seen.push((due.key, due.at));
        }
        assert!(seen.contains(&(earliest.clone(), before + s(60))));
        assert!(
            seen.iter()
                .all(|(key, _)| *key == earliest || key.service == "s7"),
            "{seen:?}"
        );
    }
}
