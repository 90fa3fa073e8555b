//! The writer: takes rows from the queue and has them committed in batches. When a commit fails or
//! hangs, kept rows go to the spool at once, so that they are durable although the database is not
//! there, and memory stays flat; from then on rows pass through the spool, in order, until it is
//! empty. Without a spool that takes them they stay in the queue, which is bounded.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::committer::{Committer, Outcome};
use super::database::Database;
use super::part::{Part, Work};
use super::progress::{Progress, Stalled};
use super::queue::{Batch, Done, Queue};
use super::run_ids::RunIds;
use super::spool::Spool;
use super::{ResultError, ResultSettings};
use crate::domain::{UnixMillis, now_ms};

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);
/// A commit that takes longer counts as failed for those who wait; a checkpoint on a slow disk
/// takes a second or two.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);
/// Rows, once the program stops, that can neither be committed nor spooled are given up after so
/// long.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
/// The last checkpoint; without it the next start replays the write-ahead log.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(20);
/// Parts of best-effort rows kept for another try.
const MOST_LEFTOVER: usize = 4;
/// Between two lines in the log about rows that are lost.
const LOSS_LOGGED_EVERY: Duration = Duration::from_secs(60);
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
    pub(super) closing: oneshot::Receiver<Done>,
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
        let Self {
            queue,
            progress,
            spool,
            run_ids,
            closing,
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
        };
        runtime.block_on(flow.run(closing))
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
                .map_err(|error| ResultError::NotCommitted(super::chain(error)))
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

    fn collect_outcome(&mut self, outcome: Option<Outcome>) {
        let Some(under_way) = &mut self.under_way else {
            return;
        };
        let outcome = match outcome {
            Some(outcome) => outcome,
            None => match under_way.outcome.try_recv() {
                Ok(outcome) => outcome,
                Err(oneshot::error::TryRecvError::Empty) => return,
                Err(oneshot::error::TryRecvError::Closed) => Err(GONE.to_owned()),
            },
        };
        let Some(under_way) = self.under_way.take() else {
            return;
        };
        match outcome {
            Ok(()) => self.committed(under_way),
            Err(reason) => self.failed(under_way, &reason),
        }
    }

    fn committed(&mut self, under_way: UnderWay) {
        let UnderWay {
            work,
            origin,
            done,
            copied,
            ..
        } = under_way;
        self.retry_at = None;
        self.wait = RETRY_FIRST;
        if let (Origin::Spool { frames, unreadable }, Some(spool)) = (origin, &mut self.spool) {
            spool.remove(frames);
            self.queue.count_lost(unreadable);
        }
        let last = work.parts.iter().map(Part::last_run_id).max().unwrap_or(0);
        self.run_ids.note_committed(last);
        let stalled = self.progress.update(|report| {
            report.last_commit_ms = Some(now_ms());
            report.committed_rows += work.rows() as u64;
            report.commits += 1;
            report.stalled.take()
        });
        if stalled.is_some() {
            let spooled = self.spool.as_ref().map_or(0, Spool::rows);
            tracing::info!(
                rows = work.rows(),
                spooled,
                "results are being committed again"
            );
        }
        self.report();
        answer(done, || Ok(()));
        answer(copied, || Ok(()));
    }

    fn failed(&mut self, under_way: UnderWay, reason: &str) {
        let UnderWay {
            work,
            origin,
            oldest_ms,
            done,
            copied,
            ..
        } = under_way;
        self.stalled(reason, work.rows());
        self.retry_at = Some(Instant::now() + self.wait);
        self.wait = (self.wait * 2).min(RETRY_LAST);
        answer(copied, || Err(ResultError::NotCommitted(reason.to_owned())));
        let Work {
            mut parts,
            services,
            ..
        } = Arc::unwrap_or_clone(work);
        self.queue.put_services_back(services);
        for part in &mut parts {
            let best_effort = Part {
                plugin_runs: std::mem::take(&mut part.plugin_runs),
                shadow_runs: std::mem::take(&mut part.shadow_runs),
                is_doubtful: true,
                ..Part::default()
            };
            if self.leftover.len() >= MOST_LEFTOVER {
                self.queue.count_dropped(best_effort.rows());
            } else if !best_effort.is_empty() {
                self.leftover.push(best_effort);
            }
        }
        // The rows of the queue are in the first part.
        if origin == Origin::Queue && !parts.is_empty() {
            let part = Part {
                is_doubtful: true,
                ..parts.swap_remove(0)
            };
            let is_durable = self.hold(Batch {
                part,
                oldest_ms,
                ..Batch::default()
            });
            if !is_durable {
                // Before the others learn of it: what arrives after that waits for the next try.
                self.queue.refuse_waiting(reason);
            }
            answer(done, || match is_durable {
                true => Ok(()),
                false => Err(ResultError::NotCommitted(reason.to_owned())),
            });
        }
    }

    /// Those who wait for a commit that hangs get an answer, and its rows are made durable another
    /// way.
    fn give_up_on_a_stall(&mut self) {
        let Some(under_way) = &mut self.under_way else {
            return;
        };
        let demand = self.queue.demand();
        let is_late = under_way.since.elapsed() > COMMIT_PATIENCE;
        let makes_room = demand.is_half_full && under_way.origin == Origin::Queue;
        if !is_late && !makes_room {
            return;
        }
        let (origin, rows) = (under_way.origin, under_way.work.rows());
        if is_late {
            let reason = format!("a commit takes longer than {} s", COMMIT_PATIENCE.as_secs());
            answer(std::mem::take(&mut under_way.copied), || {
                Err(ResultError::NotCommitted(reason.clone()))
            });
            self.stalled(&reason, rows);
            self.queue.refuse_copies(&reason);
        }
        if origin == Origin::Queue && self.spool.is_some() {
            let Some(mut under_way) = self.under_way.take() else {
                return;
            };
            let oldest_ms = under_way.oldest_ms.unwrap_or_else(now_ms);
            let spooled = match under_way.work.parts.first() {
                Some(part) if part.kept_rows() > 0 => self.spool(part, oldest_ms),
                _ => Ok(()),
            };
            if spooled.is_ok() {
                under_way.origin = Origin::Overtaken;
            }
            let is_answered = spooled.is_ok() || is_late;
            let done = if is_answered {
                std::mem::take(&mut under_way.done)
            } else {
                Vec::new()
            };
            self.under_way = Some(under_way);
            // Before the answers: who has one sees where the rows are.
            self.report();
            if let Err(reason) = &spooled
                && is_late
            {
                self.queue.refuse_waiting(reason);
            }
            answer(done, || spooled.clone().map_err(ResultError::NotCommitted));
        } else if is_late {
            let done = self
                .under_way
                .as_mut()
                .map(|under_way| std::mem::take(&mut under_way.done));
            let reason = "the database does not answer".to_owned();
            answer(done.unwrap_or_default(), || {
                Err(ResultError::NotCommitted(reason.clone()))
            });
            if self.spool.is_none() {
                self.queue.refuse_waiting(&reason);
            }
        }
    }

    /// From the queue and the spool to the committer, or from the queue to the spool.
    fn move_rows(&mut self) {
        loop {
            let is_behind = self.spool.as_ref().is_some_and(|spool| !spool.is_empty());
            let is_due = self.retry_at.is_none_or(|at| Instant::now() >= at);
            if self.under_way.is_none() && is_due {
                if is_behind {
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
            Some(Origin::Queue) => true,
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

    fn stalled(&self, reason: &str, rows: usize) {
        let is_new = self.progress.update(|report| {
            let is_new = report.stalled.is_none();
            let since_ms = report
                .stalled
                .as_ref()
                .map_or_else(now_ms, |stalled| stalled.since_ms);
            report.stalled = Some(Stalled {
                since_ms,
                reason: reason.to_owned(),
            });
            is_new
        });
        if is_new {
            tracing::error!(
                rows,
                error = reason,
                "could not commit results; they are kept, and committed when it works again"
            );
        }
    }

    fn report(&mut self) {
        let held = self.held.as_ref().map_or(0, |held| held.part.kept_rows());
        let under_way = match &self.under_way {
            Some(UnderWay {
                origin: Origin::Queue,
                work,
                ..
            }) => work.parts.iter().map(Part::kept_rows).sum(),
            _ => 0,
        };
        let spool = self.spool.as_ref();
        let oldest_ms = [
            self.held.as_ref().and_then(|held| held.oldest_ms),
            self.under_way
                .as_ref()
                .and_then(|under_way| under_way.oldest_ms),
            spool.and_then(Spool::oldest_ms),
        ];
        self.progress.update(|report| {
            report.held_rows = (held + under_way) as u64;
            report.held_oldest_ms = oldest_ms.into_iter().flatten().min();
            report.spooled_rows = spool.map_or(0, Spool::rows);
            report.spooled_bytes = spool.map_or(0, Spool::bytes);
            report.has_inherited = spool.is_some_and(Spool::has_inherited);
        });
        self.log_losses();
    }

    fn log_losses(&mut self) {
        let losses = self.queue.losses();
        if losses == self.losses
            || self
                .losses_logged
                .is_some_and(|at| at.elapsed() < LOSS_LOGGED_EVERY)
        {
            return;
        }
        let (lost, dropped) = (losses.0 - self.losses.0, losses.1 - self.losses.1);
        if lost > 0 {
            tracing::error!(
                lost,
                dropped,
                "results are lost: there is no room for them in memory or on a disk"
            );
        } else {
            tracing::warn!(
                dropped,
                "accounts of plugin runs are dropped while results are not committed"
            );
        }
        self.losses = losses;
        self.losses_logged = Some(Instant::now());
    }

    /// The last rows, to the database or the spool; what is in the spool by now waits for the next
    /// start.
    async fn finish(&mut self) -> Result<(), ResultError> {
        let deadline = Instant::now() + CLOSE_PATIENCE;
        loop {
            self.collect_outcome(None);
            self.give_up_on_a_stall();
            self.move_rows_at_the_end();
            self.report();
            let waits =
                matches!(&self.under_way, Some(under_way) if under_way.origin != Origin::Overtaken);
            let is_failing = self.progress.update(|report| report.stalled.is_some());
            let rest = if is_failing {
                self.queue.kept_rows()
            } else {
                self.queue.demand().rows
            };
            let is_done = !waits && self.held.is_none() && rest == 0;
            if is_done || Instant::now() >= deadline {
                break;
            }
            self.wait().await;
        }
        self.queue.refuse_copies("the results store is closed");
        let given_up =
            self.progress.update(|report| report.held_rows) + self.queue.kept_rows() as u64;
        self.log_losses();
        self.run_ids
            .close(self.queue.last_run_id().max(self.run_ids.committed()));
        if given_up > 0 {
            let reason = self
                .progress
                .update(|report| report.stalled.clone().map(|stalled| stalled.reason));
            tracing::error!(rows = given_up, "stopping without these results");
            return Err(ResultError::NotCommitted(
                reason.unwrap_or_else(|| "the disk is too slow".to_owned()),
            ));
        }
        if self.under_way.is_none() && self.progress.update(|report| report.stalled.is_none()) {
            let checkpoint =
                tokio::time::timeout(CHECKPOINT_PATIENCE, self.committer.checkpoint()).await;
            if let Ok(Ok(Err(error))) = checkpoint {
                tracing::warn!(
                    error,
                    "the results store could not be checkpointed; the next start replays its log"
                );
            }
        }
        Ok(())
    }

    /// Straight to the database where that works, else to the spool; the spool itself is left
    /// alone.
    fn move_rows_at_the_end(&mut self) {
        if self.under_way.is_some() {
            return;
        }
        let is_failing = self.progress.update(|report| report.stalled.is_some());
        if !is_failing && self.held.is_none() {
            let batch = self.queue.take(self.flush_rows);
            if !batch.is_empty() || !self.leftover.is_empty() {
                self.commit(batch);
            }
            return;
        }
        let batch = match self.held.take() {
            Some(held) => held,
            None => self.queue.take_kept(self.flush_rows),
        };
        if !batch.part.is_empty()
            && !self.hold(batch)
            && self.retry_at.is_none_or(|at| Instant::now() >= at)
        {
            // The disk of the spool is full as well: the database may be better by now.
            self.wait = RETRY_FIRST;
            if let Some(held) = self.held.take() {
                self.commit(held);
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
