//! The end: the last rows go to the database or the spool, and the database is checkpointed.

use std::time::{Duration, Instant};

use super::{Flow, Origin, RETRY_FIRST};
use crate::store::results::ResultError;

/// Rows, once the program stops, that can neither be committed nor spooled are given up after so
/// long.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
/// The last checkpoint; without it the next start replays the write-ahead log.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(20);

impl Flow {
    /// The last rows, to the database or the spool; what is in the spool by now waits for the next
    /// start.
    pub(super) async fn finish(&mut self) -> Result<(), ResultError> {
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
