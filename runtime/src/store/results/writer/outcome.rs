//! What becomes of a transaction: its rows are committed, or made durable another way when it fails
//! or hangs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Flow, GONE, Origin, RETRY_FIRST, UnderWay, answer};
use crate::domain::now_ms;
use crate::store::results::ResultError;
use crate::store::results::committer::Outcome;
use crate::store::results::part::{Part, Work};
use crate::store::results::progress::Stalled;
use crate::store::results::queue::Batch;
use crate::store::results::spool::Spool;

const RETRY_LAST: Duration = Duration::from_secs(5);
/// A commit that takes longer counts as failed for those who wait; a checkpoint on a slow disk
/// takes a second or two.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);
/// Parts of best-effort rows kept for another try.
const MOST_LEFTOVER: usize = 4;

impl Flow {
    pub(super) fn collect_outcome(&mut self, outcome: Option<Outcome>) {
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
        match (under_way.origin, outcome) {
            (Origin::Tiers, outcome) => self.stepped(&under_way, outcome),
            (Origin::Chore, outcome) => self.chore_done(under_way, outcome),
            (_, Ok(_)) => self.committed(under_way),
            (_, Err(reason)) => self.failed(under_way, &reason),
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
            answer(done, || {
                if is_durable {
                    return Ok(());
                }
                Err(ResultError::NotCommitted(reason.to_owned()))
            });
        }
    }

    /// Those who wait for a commit that hangs get an answer, and its rows are made durable another
    /// way.
    pub(super) fn give_up_on_a_stall(&mut self) {
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
            let what = match origin {
                Origin::Tiers => "a step of the tiers of history",
                Origin::Chore => "a change of the results store",
                _ => "a commit",
            };
            let reason = format!("{what} takes longer than {} s", COMMIT_PATIENCE.as_secs());
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
}
