//! How many runs are under way at once. The limit grows while runs have to wait for a slot and the
//! machine has room, because a thousand runs that wait for their time-outs cost little; it shrinks
//! when the program itself falls behind. Runs of probes whose last run met its time-out leave a
//! part of the slots to the others.

mod headroom;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use headroom::memory_bytes;
pub(super) use headroom::open_files;

/// How often the limit is looked at.
pub(super) const PERIOD: Duration = Duration::from_millis(250);

/// The limit at the start, and what it shrinks to.
const LEAST: usize = 500;

/// The program comes round this late at the most while the limit may grow.
const PROMPT: Duration = Duration::from_millis(100);

/// The program comes round so late that fewer runs do more.
const BEHIND: Duration = Duration::from_millis(1_000);

/// A run that waits, with its instance, its connection and their buffers: some 450 KiB in a debug
/// build, TLS and bodies come on top.
const RUN_BYTES: u64 = 512 << 10;

/// Memory that is left to the rest of the program and of the machine.
const SPARE_BYTES: u64 = 256 << 20;

#[derive(Debug)]
pub(super) struct InFlight {
    slots: Semaphore,
    /// Three quarters of the slots: those of probes that ran into their time-out.
    slow: Semaphore,
    limit: AtomicUsize,
    waiting: AtomicUsize,
    bound: usize,
}

/// Gives its slot back when it is dropped.
pub(super) struct Slot<'a> {
    _slow: Option<SemaphorePermit<'a>>,
    _slot: SemaphorePermit<'a>,
}

impl InFlight {
    /// `bound`: the limit never grows past it.
    pub(super) fn new(bound: usize) -> Self {
        let bound = bound.max(1);
        let limit = LEAST.min(bound);
        Self {
            slots: Semaphore::new(limit),
            slow: Semaphore::new(for_slow(limit)),
            limit: AtomicUsize::new(limit),
            waiting: AtomicUsize::new(0),
            bound,
        }
    }

    /// Waits for a slot; none: there was none before the moment.
    pub(super) async fn acquire(&self, is_slow: bool, until: Instant) -> Option<Slot<'_>> {
        let _waits = Waits::new(&self.waiting);
        let taken = async {
            let slow = if is_slow {
                Some(self.slow.acquire().await.ok()?)
            } else {
                None
            };
            Some(Slot {
                _slow: slow,
                _slot: self.slots.acquire().await.ok()?,
            })
        };
        tokio::time::timeout_at(until, taken).await.ok()?
    }

    /// Adapts the limit; called each [`PERIOD`], with how late the call comes.
    pub(super) fn adapt(&self, lag: Duration) {
        self.adapt_within(lag, memory_bytes);
    }

    fn adapt_within(&self, lag: Duration, memory_bytes: impl FnOnce() -> Option<u64>) {
        let limit = self.limit.load(Ordering::Relaxed);
        let waiting = self.waiting.load(Ordering::Relaxed);
        metrics::gauge!("extrack_probe_slots").set(limit as f64);
        metrics::gauge!("extrack_probes_waiting").set(waiting as f64);
        let is_full = self.slots.available_permits() == 0 || self.slow.available_permits() == 0;
        if waiting > 0 && is_full && lag <= PROMPT && limit < self.bound {
            let more = (limit / 2).max(1).min(self.bound - limit);
            if memory_bytes().is_some_and(|free| free < SPARE_BYTES + more as u64 * RUN_BYTES) {
                return;
            }
            self.slots.add_permits(more);
            self.slow
                .add_permits(for_slow(limit + more) - for_slow(limit));
            self.limit.store(limit + more, Ordering::Relaxed);
            tracing::info!(
                limit = limit + more,
                waiting,
                "runs wait for a slot: more may be under way at once"
            );
        } else if lag >= BEHIND && limit > LEAST {
            let fewer = self.slots.forget_permits((limit - LEAST).min(limit / 4));
            self.slow
                .forget_permits(for_slow(limit) - for_slow(limit - fewer));
            self.limit.store(limit - fewer, Ordering::Relaxed);
        }
    }
}

fn for_slow(limit: usize) -> usize {
    limit.saturating_mul(3).div_ceil(4)
}

/// Counts one that waits, also when it stops waiting by being dropped.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(10);

    #[tokio::test(start_paused = true)]
    async fn the_limit_grows_while_runs_wait_and_the_machine_has_room() {
        let in_flight = InFlight::new(800);
        let mut slots = Vec::new();
        for _ in 0..LEAST {
            slots.push(
                in_flight
                    .acquire(false, Instant::now() + SOON)
                    .await
                    .unwrap(),
            );
        }
        assert!(
            in_flight
                .acquire(false, Instant::now() + SOON)
                .await
                .is_none()
        );
        in_flight.adapt_within(Duration::ZERO, || None);
        assert_eq!(
            in_flight.limit.load(Ordering::Relaxed),
            LEAST,
            "no run waits by now"
        );

        let waiting = in_flight.acquire(false, Instant::now() + Duration::from_secs(5));
        let adapt = async {
            tokio::task::yield_now().await;
            for (what, lag, memory, limit) in [
                ("too late to be healthy", PROMPT * 2, None, LEAST),
                ("no memory", Duration::ZERO, Some(SPARE_BYTES), LEAST),
                ("room", Duration::ZERO, Some(1 << 40), 750),
            ] {
                in_flight.adapt_within(lag, || memory);
                assert_eq!(in_flight.limit.load(Ordering::Relaxed), limit, "{what}");
            }
        };
        let (slot, ()) = tokio::join!(waiting, adapt);
        slots.extend(slot);
        assert_eq!(slots.len(), LEAST + 1);
        for _ in 0..400 {
            slots.extend(in_flight.acquire(false, Instant::now() + SOON).await);
        }
        let waiting = in_flight.acquire(false, Instant::now() + Duration::from_secs(5));
        let adapt = async {
            tokio::task::yield_now().await;
            in_flight.adapt_within(Duration::ZERO, || None);
        };
        tokio::join!(waiting, adapt).0.unwrap();
        assert_eq!(in_flight.limit.load(Ordering::Relaxed), 800, "the bound");

        slots.clear();
        in_flight.adapt_within(BEHIND, || None);
        assert_eq!(in_flight.limit.load(Ordering::Relaxed), 600);
        in_flight.adapt_within(BEHIND, || None);
        assert_eq!(in_flight.limit.load(Ordering::Relaxed), LEAST);
        assert_eq!(in_flight.slots.available_permits(), LEAST);
        assert_eq!(in_flight.slow.available_permits(), for_slow(LEAST));
    }

    #[tokio::test(start_paused = true)]
    async fn probes_that_time_out_leave_slots_to_the_others() {
        let in_flight = InFlight::new(8);
        let mut slots = Vec::new();
        for _ in 0..8 {
            slots.extend(in_flight.acquire(true, Instant::now() + SOON).await);
        }
        assert_eq!(slots.len(), 6);
        assert!(
            in_flight
                .acquire(false, Instant::now() + SOON)
                .await
                .is_some()
        );
    }
}
