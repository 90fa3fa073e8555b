//! Whether the control store can commit, for those who have to know before they answer, and for
//! `/readyz`.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ballast::{Ballast, BallastState};
use super::error::ControlError;
use crate::domain::{UnixMillis, now_ms};

/// Why nothing can be committed at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteFault {
    pub since_ms: UnixMillis,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlHealth {
    /// Fault of the last commit; none: it succeeded.
    pub fault: Option<WriteFault>,
    pub ballast: BallastState,
}

/// State of the writes, shared by all clones of a store.
#[derive(Debug)]
pub(super) struct WriteHealth {
    fault: Mutex<Option<WriteFault>>,
    /// Number of the last commit. Commits are numbered, so that one that was lost is missed at the
    /// next start.
    last_commit: AtomicI64,
    committed: Mutex<Instant>,
    pub(super) ballast: Ballast,
}

impl WriteHealth {
    pub(super) fn new(store: &Path, ballast_bytes: u64) -> Self {
        Self {
            fault: Mutex::default(),
            last_commit: AtomicI64::new(0),
            committed: Mutex::new(Instant::now()),
            ballast: Ballast::open(store, ballast_bytes),
        }
    }

    pub(super) fn fault(&self) -> Option<WriteFault> {
        self.fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn last_commit(&self) -> i64 {
        self.last_commit.load(Ordering::Acquire)
    }

    /// Time since the last commit that succeeded, or since the start.
    pub(super) fn since_commit(&self) -> Duration {
        self.committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }

    /// The number that the store has of the last commit.
    pub(super) fn note_start(&self, number: i64) {
        self.last_commit.store(number, Ordering::Release);
    }

    pub(super) fn note_commit(&self, number: i64) {
        self.last_commit.fetch_max(number, Ordering::AcqRel);
        *self
            .committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
        if self
            .fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .is_some()
        {
            tracing::info!("the control store can be written again");
        }
    }

    /// Notes what keeps the store from being written. An error about the data alone is not one of
    /// those.
    pub(super) fn note_error(&self, error: &ControlError) {
        if !error.is_unwritable() {
            return;
        }
        metrics::counter!("extrack_control_write_failures_total").increment(1);
        let reason = error.causes();
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match fault.as_mut() {
            Some(fault) => fault.reason = reason,
            None => {
                tracing::error!(
                    reason,
                    "the control store can't be written: nothing is committed until it can"
                );
                *fault = Some(WriteFault {
                    since_ms: now_ms(),
                    reason,
                });
            }
        }
    }
}
