//! Transitions that wait for the writer, with their callers.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use super::error::Result;
use super::transition_draft::Transition;
use crate::domain::{Alert, AlertEvent};

pub(super) type Done = (Alert, AlertEvent);

pub(super) struct Job {
    pub(super) transition: Transition,
    pub(super) answer: oneshot::Sender<Result<Done>>,
}

#[derive(Default)]
pub(super) struct TransitionQueue {
    queue: Mutex<VecDeque<Job>>,
    /// Held by the caller that leads.
    pub(super) lead: tokio::sync::Mutex<()>,
}

impl TransitionQueue {
    pub(super) fn push(&self, job: Job) {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(job);
    }

    /// The first in the queue, without those whose callers have gone: they don't want it committed
    /// any more.
    pub(super) fn take(&self, most: usize) -> Vec<Job> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.retain(|job| !job.answer.is_closed());
        let count = queue.len().min(most);
        queue.drain(..count).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}
