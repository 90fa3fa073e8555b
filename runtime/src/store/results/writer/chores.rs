//! When chores are done: before rows that wait, and never while a commit fails.

use std::sync::Arc;
use std::time::Instant;

use super::{Flow, Origin, UnderWay, answer};
use crate::store::results::ResultError;
use crate::store::results::committer::Outcome;
use crate::store::results::part::Work;

impl Flow {
    /// Hands the next chore to the committer; false: there is none, or it has to wait.
    pub(super) fn start_chore(&mut self) -> bool {
        if !self.queue.demand().has_chores || !self.may_step() {
            return false;
        }
        let Some((chore, done)) = self.queue.take_chore() else {
            return false;
        };
        self.under_way = Some(UnderWay {
            work: Arc::new(Work::default()),
            outcome: self.committer.chore(chore),
            origin: Origin::Chore,
            since: Instant::now(),
            oldest_ms: None,
            done: vec![done],
            copied: Vec::new(),
        });
        true
    }

    pub(super) fn chore_done(&mut self, under_way: UnderWay, outcome: Outcome) {
        // Of a chore that took too long: the next commit shows whether the disk is well.
        self.progress.update(|report| report.stalled.take());
        let outcome = outcome.map(drop);
        answer(under_way.done, || {
            outcome.clone().map_err(ResultError::NotCommitted)
        });
    }
}
