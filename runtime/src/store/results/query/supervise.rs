//! The end of a query: at its deadline, when it is cancelled, when nobody reads it any more, or
//! when it takes too much memory; also of one that does not notice its interrupts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::store::results::database::Interrupt;
use crate::store::results::error::QueryError;

/// How long an interrupted query may take to notice before it is worth a line in the log, and its
/// slot is given to others.
const INTERRUPT_GRACE: Duration = Duration::from_secs(1);
/// So much more memory than before may the program have while a query runs: the database's limit
/// and half a gigabyte for what that does not count.
const GROWTH_BYTES: u64 = 1_536 << 20;
const GROWTH_CHECKED: Duration = Duration::from_millis(50);
const INTERRUPT_EVERY: Duration = Duration::from_millis(50);

/// Stop signal of a query, with its reason. The first reason counts.
#[derive(Clone, Default)]
pub(super) struct Stop {
    signal: CancellationToken,
    reason: Arc<Mutex<Option<QueryError>>>,
}

impl Stop {
    pub(super) fn because(&self, reason: QueryError) {
        let mut known = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.signal.is_cancelled() {
            *known = Some(reason);
            self.signal.cancel();
        }
    }

    pub(super) async fn stopped(&self) {
        self.signal.cancelled().await;
    }

    /// Returns the reason, once.
    pub(super) fn reason(&self) -> Option<QueryError> {
        self.reason
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// A query's place among those that may run at the same time.
#[derive(Clone)]
pub(super) struct Slot {
    permit: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
    /// Queries that go on although nobody waits for them any more, beside those that have a place.
    abandoned: Arc<Semaphore>,
}

impl Slot {
    pub(super) fn new(permit: OwnedSemaphorePermit, abandoned: Arc<Semaphore>) -> Self {
        Self {
            permit: Arc::new(Mutex::new(Some(permit))),
            abandoned,
        }
    }

    pub(super) fn give_back(&self) {
        drop(
            self.permit
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    /// To others, while the query goes on without it. None: too many go on so already.
    fn abandon(&self) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.abandoned).try_acquire_owned().ok()?;
        self.give_back();
        Some(permit)
    }
}

/// Reasons to end a query before it ends by itself.
pub(super) struct Ends<F> {
    pub(super) deadline: Instant,
    /// Limit that the deadline stands for.
    pub(super) timeout: Duration,
    pub(super) cancel: CancellationToken,
    /// Completes when nobody reads the rows any more.
    pub(super) unread: F,
}

/// A task of its own, so that one that does not notice its end holds up nobody. Interrupts
/// repeatedly: one that falls between two steps of a query is lost.
pub(super) async fn supervise<F: Future<Output = ()> + Send>(
    mut work: JoinHandle<()>,
    interrupt: Interrupt,
    slot: Slot,
    stop: Stop,
    ends: Ends<F>,
) {
    let before = resident_bytes();
    let mut checks = interval(GROWTH_CHECKED);
    let mut unread = std::pin::pin!(ends.unread);
    let reason = loop {
        tokio::select! {
            _ = &mut work => return,
            () = sleep_until(ends.deadline) => break QueryError::Timeout(ends.timeout),
            () = ends.cancel.cancelled() => break QueryError::Cancelled,
            () = &mut unread => break QueryError::Cancelled,
            _ = checks.tick() => if resident_bytes() > before.saturating_add(GROWTH_BYTES) {
                break QueryError::Memory;
            }
        }
    };
    stop.because(reason);
    interrupt_until_done(work, interrupt, slot).await;
}

async fn interrupt_until_done(mut work: JoinHandle<()>, interrupt: Interrupt, slot: Slot) {
    let began = Instant::now();
    let mut abandoned = None;
    let mut warned = false;
    loop {
        interrupt.interrupt();
        if timeout(INTERRUPT_EVERY, &mut work).await.is_ok() {
            drop(abandoned);
            return;
        }
        if !warned && began.elapsed() > INTERRUPT_GRACE {
            warned = true;
            abandoned = slot.abandon();
            match abandoned {
                Some(_) => tracing::warn!(
                    "a query does not notice that it is cancelled; others may run beside it"
                ),
                None => {
                    tracing::warn!(
                        "a query does not notice that it is cancelled; its slot stays taken until it ends"
                    )
                }
            }
        }
    }
}

/// Memory of the whole process; 0 where that is not known.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kibibytes.map_or(0, |kibibytes| kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use duckdb::Connection;

    use super::*;

    #[tokio::test]
    async fn a_query_that_does_not_end_gives_its_slot_back_and_few_of_them_go_on() {
        let connection = Connection::open_in_memory().unwrap();
        let (slots, abandoned) = (Arc::new(Semaphore::new(3)), Arc::new(Semaphore::new(2)));
        let mut ends = Vec::new();
        for _ in 0..3 {
            let slot = Slot::new(
                Arc::clone(&slots).acquire_owned().await.unwrap(),
                Arc::clone(&abandoned),
            );
            let (end, ended) = std::sync::mpsc::channel::<()>();
            let taken = slot.clone();
            let work = tokio::task::spawn_blocking(move || {
                let _ = ended.recv();
                taken.give_back();
            });
            let stop = Stop::default();
            let past = Ends {
                deadline: Instant::now(),
                timeout: Duration::ZERO,
                cancel: CancellationToken::new(),
                unread: std::future::pending(),
            };
            let interrupt = Interrupt::of(&connection);
            tokio::spawn(supervise(work, interrupt, slot, stop.clone(), past));
            stop.stopped().await;
            assert!(matches!(stop.reason(), Some(QueryError::Timeout(_))));
            ends.push(end);
        }
        let free = async |wanted: usize| {
            while slots.available_permits() != wanted {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(60), free(2))
            .await
            .expect("two go on without a slot");
        assert_eq!(abandoned.available_permits(), 0);
        drop(ends);
        timeout(Duration::from_secs(60), free(3))
            .await
            .expect("all ended");
        let both = timeout(Duration::from_secs(60), abandoned.acquire_many(2)).await;
        drop(both.expect("what ended is not counted any more").unwrap());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_memory_of_the_program_is_known() {
        assert!(resident_bytes() > 1 << 20);
    }
}
