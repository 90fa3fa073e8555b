//! The writer: takes rows from the queue and has them committed in batches. When a commit fails or
//! hangs, kept rows go to the spool at once, so that they are durable although the database is not
//! there, and memory stays flat; from then on rows pass through the spool, in order, until it is
//! empty. Without a spool that takes them they stay in the queue, which is bounded.

mod chores;
mod closing;
mod outcome;
mod report;
mod steps;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::committer::{Committer, Outcome};
use super::database::Database;
use super::part::{Part, Work};
use super::progress::Progress;
use super::queue::{Batch, Done, Queue};
use super::run_ids::RunIds;
use super::sealing::{Sealed, Sealer, SealerThread};
use super::spool::Spool;
use super::table_retention::Keep;
use super::{ResultError, ResultSettings};
use crate::domain::{UnixMillis, error_chain, now_ms};
use steps::Steps;

const RETRY_FIRST: Duration = Duration::from_millis(100);
/// The state is looked at so often although nothing arrived.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Decides where rows go. Runs on a thread of its own.
pub struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) database: Arc<Database>,
    pub(super) progress: Arc<Progress>,
    /// None: rows that can't be committed stay in memory.
    pub(super) spool: Option<Spool>,
    pub(super) run_ids: RunIds,
    pub(super) sealed: Arc<Sealed>,
    pub(super) closing: oneshot::Receiver<Done>,
    pub(super) retention: Arc<Mutex<Keep>>,
    pub(super) settings: ResultSettings,
}

impl Writer {
    /// [`Self::run`] on a thread named `results-writer`.
    pub fn start(self) -> Result<JoinHandle<Result<(), ResultError>>, ResultError> {
        std::thread::Builder::new()
            .name("results-writer".to_owned())
            .spawn(move || self.run())
            .map_err(ResultError::Thread)
    }

    /// Blocks until the store is closed or every handle is gone. An error means that rows were
    /// given up.
    pub fn run(self) -> Result<(), ResultError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(ResultError::Thread)?;
        let committer = Committer::start(Arc::clone(&self.database))?;
        let sealer = SealerThread::start(Sealer::new(
            Arc::clone(&self.database),
            Arc::clone(&self.queue),
            Arc::clone(&self.progress),
            self.sealed,
            self.settings.sealing,
        ))?;
        let Self {
            queue,
            progress,
            spool,
            run_ids,
            closing,
            retention,
            settings,
            ..
        } = self;
        let flow = Flow {
            queue,
            progress,
            spool,
            run_ids,
            committer,
            flush_interval: settings.flush_interval,
            flush_rows: settings.flush_rows.max(1),
            under_way: None,
            held: None,
            leftover: Vec::new(),
            retry_at: None,
            wait: RETRY_FIRST,
            losses: (0, 0),
            losses_logged: None,
            is_spool_warned: false,
            steps: Steps::new(settings.tiers, retention),
        };
        let written = runtime.block_on(flow.run(closing));
        sealer.end();
        written
    }
}

/// A transaction that the committer works on.
struct UnderWay {
    work: Arc<Work>,
    outcome: oneshot::Receiver<Outcome>,
    origin: Origin,
    since: Instant,
    oldest_ms: Option<UnixMillis>,
    done: Vec<Done>,
    copied: Vec<Done>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The kept rows are in the first part, and nowhere else.
    Queue,
    /// As above, but they were spooled meanwhile because the commit hangs.
    Overtaken,
    /// The oldest frames of the spool.
    Spool { frames: usize, unreadable: usize },
    /// No rows: a step of the tiers, behind which rows wait.
    Tiers,
    /// No rows either.
    Chore,
}

struct Flow {
    queue: Arc<Queue>,
    progress: Arc<Progress>,
    spool: Option<Spool>,
    run_ids: RunIds,
    committer: Committer,
    flush_interval: Duration,
    flush_rows: usize,
    under_way: Option<UnderWay>,
    /// Kept rows that are neither committed nor spooled.
    held: Option<Batch>,
    /// Best-effort rows of a commit that failed.
    leftover: Vec<Part>,
    /// Set while commits fail.
    retry_at: Option<Instant>,
    wait: Duration,
    losses: (u64, u64),
    losses_logged: Option<Instant>,
    is_spool_warned: bool,
    steps: Steps,
}

impl Flow {
    async fn run(mut self, mut closing: oneshot::Receiver<Done>) -> Result<(), ResultError> {
        loop {
            self.collect_outcome(None);
            self.give_up_on_a_stall();
            self.move_rows();
            self.report();
            if self.queue.demand().is_closed {
                break;
            }
            self.wait().await;
        }
        let outcome = self.finish().await;
        if self.under_way.is_none() {
            // Else its thread hangs with the disk, and ends with the program.
            self.committer.end();
        }
        if let Ok(close) = closing.try_recv() {
            let reported = outcome
                .as_ref()
                .map_err(|error| ResultError::NotCommitted(error_chain(error)))
                .copied();
            let _ = close.send(reported);
        }
        outcome
    }

    /// Until there is something to decide.
    async fn wait(&mut self) {
        let demand = self.queue.demand();
        let now = Instant::now();
        let mut until = now + LOOK_EVERY;
        // Else they wait for something other than their time.
        if let Some(since) = demand.since
            && self.held.is_none()
            && !self.is_settled()
        {
            until = until.min((since + self.flush_interval).max(now + Duration::from_millis(1)));
        }
        if self.under_way.is_none()
            && let Some(at) = self.retry_at
        {
            until = until.min(at);
        }
        if self.may_step() {
            until = until.min(self.steps.due_at().max(now + Duration::from_millis(1)));
        }
        let sleep = tokio::time::sleep_until(until.into());
        let outcome = match &mut self.under_way {
            Some(under_way) => tokio::select! {
                outcome = &mut under_way.outcome => Some(outcome.unwrap_or_else(|_| Err(GONE.to_owned()))),
                () = self.queue.changed() => None,
                () = sleep => None,
            },
            None => tokio::select! {
                () = self.queue.changed() => None,
                () = sleep => None,
            },
        };
        if outcome.is_some() {
            self.collect_outcome(outcome);
        }
    }

    /// From the queue and the spool to the committer, or from the queue to the spool.
    fn move_rows(&mut self) {
        loop {
            let is_behind = self.spool.as_ref().is_some_and(|spool| !spool.is_empty());
            let is_due = self.retry_at.is_none_or(|at| Instant::now() >= at);
            if self.under_way.is_none() && is_due {
                if self.start_chore() {
                    continue;
                }
                if self.is_step_wanted(is_behind) {
                    self.step();
                } else if is_behind {
                    self.drain();
                } else if let Some(held) = self.held.take() {
                    self.commit(held);
                } else if self.is_wanted() {
                    let batch = self.queue.take(self.flush_rows);
                    self.commit(batch);
                    return;
                } else {
                    return;
                }
                continue;
            }
            // The database is busy or fails.
            if let Some(held) = self.held.take() {
                if !self.hold(held) {
                    return;
                }
                continue;
            }
            let is_settled = self.is_settled();
            if (is_settled && !self.queue.demand().is_half_full) || !self.is_wanted() {
                return;
            }
            if !is_settled {
                self.queue
                    .refuse_copies("results are not committed at the moment");
            }
            if self.spool.is_none() {
                // They wait for the next try, in the queue.
                return;
            }
            if self.is_spool_warned && self.under_way.is_some() {
                // There is room for one batch, and the one under way may come back.
                return;
            }
            let batch = self.queue.take_kept(self.flush_rows);
            if batch.part.is_empty() {
                return;
            }
            if !self.hold(batch) {
                return;
            }
        }
    }

    /// A commit is under way that goes well as far as is known, and behind which nothing waits.
    fn is_settled(&self) -> bool {
        let is_last = match self.under_way.as_ref().map(|under_way| under_way.origin) {
            Some(Origin::Queue | Origin::Tiers | Origin::Chore) => true,
            Some(Origin::Spool { frames, .. }) => self
                .spool
                .as_ref()
                .is_some_and(|spool| spool.frame_count() == frames),
            Some(Origin::Overtaken) | None => false,
        };
        is_last && self.progress.update(|report| report.stalled.is_none())
    }

    /// Rows wait that should not wait longer.
    fn is_wanted(&self) -> bool {
        let demand = self.queue.demand();
        let is_late = demand
            .since
            .is_some_and(|since| since.elapsed() >= self.flush_interval);
        demand.is_urgent
            || demand.rows >= self.flush_rows
            || (demand.rows > 0 && (is_late || demand.is_closed))
            || (is_late && !self.leftover.is_empty())
    }

    fn commit(&mut self, batch: Batch) {
        let Batch {
            part,
            done,
            alert_events,
            incidents,
            copied,
            services,
            oldest_ms,
        } = batch;
        self.run_ids.used(self.queue.last_run_id());
        let mut parts = vec![part];
        parts.append(&mut self.leftover);
        let work = Work {
            parts,
            alert_events,
            incidents,
            services,
        };
        self.start(work, Origin::Queue, oldest_ms, done, copied);
    }

    /// The oldest rows of the spool, and what never goes there.
    fn drain(&mut self) {
        let Some(spool) = &mut self.spool else { return };
        let oldest_ms = spool.oldest_ms();
        let (mut parts, frames, unreadable) = spool.read(self.flush_rows);
        if parts.is_empty() {
            spool.remove(frames);
            self.queue.count_lost(unreadable);
            return;
        }
        // One part of best-effort rows at a time is in doubt.
        let most_others = if self.leftover.is_empty() {
            self.flush_rows
        } else {
            0
        };
        parts.append(&mut self.leftover);
        let Batch {
            part,
            alert_events,
            incidents,
            copied,
            services,
            ..
        } = self.queue.take_others(most_others);
        if !part.is_empty() {
            parts.push(part);
        }
        self.start(
            Work {
                parts,
                alert_events,
                incidents,
                services,
            },
            Origin::Spool { frames, unreadable },
            oldest_ms,
            Vec::new(),
            copied,
        );
    }

    fn start(
        &mut self,
        work: Work,
        origin: Origin,
        oldest_ms: Option<UnixMillis>,
        done: Vec<Done>,
        copied: Vec<Done>,
    ) {
        let work = Arc::new(work);
        let outcome = self.committer.commit(Arc::clone(&work));
        self.under_way = Some(UnderWay {
            work,
            outcome,
            origin,
            since: Instant::now(),
            oldest_ms,
            done,
            copied,
        });
    }

    /// Spools the batch, or keeps it in memory. True: it is durable.
    fn hold(&mut self, batch: Batch) -> bool {
        let Batch {
            part,
            done,
            oldest_ms,
            ..
        } = batch;
        if part.kept_rows() == 0 {
            answer(done, || Ok(()));
            return true;
        }
        match self.spool(&part, oldest_ms.unwrap_or_else(now_ms)) {
            Ok(()) => {
                self.report();
                answer(done, || Ok(()));
                true
            }
            Err(reason) => {
                let held = self.held.replace(Batch {
                    part,
                    oldest_ms,
                    ..Batch::default()
                });
                self.queue
                    .count_lost(held.map_or(0, |held| held.part.kept_rows()));
                self.report();
                answer(done, || Err(ResultError::NotCommitted(reason.clone())));
                false
            }
        }
    }

    fn spool(&mut self, part: &Part, oldest_ms: UnixMillis) -> Result<(), String> {
        self.run_ids.used(self.queue.last_run_id());
        let stalled = self
            .progress
            .update(|report| report.stalled.clone().map(|stalled| stalled.reason));
        let stalled = stalled.unwrap_or_else(|| "results are committed too slowly".to_owned());
        let Some(spool) = &mut self.spool else {
            return Err(stalled);
        };
        match spool.append(part, oldest_ms) {
            Ok(()) => {
                self.is_spool_warned = false;
                Ok(())
            }
            Err(error) => {
                if !self.is_spool_warned {
                    self.is_spool_warned = true;
                    tracing::error!(%error, "results can't be spooled; they wait in memory");
                }
                Err(format!("{stalled}; and not spooled: {error}"))
            }
        }
    }
}

const GONE: &str = "the thread that commits results has ended";

fn answer(waiting: Vec<Done>, outcome: impl Fn() -> Result<(), ResultError>) {
    for done in waiting {
        // The caller may have given up.
        let _ = done.send(outcome());
    }
}
