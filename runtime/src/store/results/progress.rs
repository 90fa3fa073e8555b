//! How recording is doing, for readiness, metrics and whoever asks.

use std::sync::{Mutex, PoisonError};

use super::queue::Queue;
use crate::domain::{UnixMillis, now_ms};

/// How recording is doing. Alerting does not depend on it; history does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultHealth {
    /// None while all is well; else since when rows that arrived are not committed, and why.
    pub stalled: Option<Stalled>,
    pub last_commit_ms: Option<UnixMillis>,
    /// Arrival of the oldest row that is not committed.
    pub oldest_ms: Option<UnixMillis>,
    /// Kept rows in memory.
    pub queued_rows: u64,
    /// Kept rows that are durable, and not committed yet.
    pub spooled_rows: u64,
    pub spooled_bytes: u64,
    /// Observations and events, since the start, that found neither room in memory nor on a disk.
    pub lost_rows: u64,
    /// Accounts of plugin runs and of candidates, since the start, that found no room.
    pub dropped_rows: u64,
    /// What happened to the store before or at this start, one line each.
    pub notices: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stalled {
    pub since_ms: UnixMillis,
    pub reason: String,
}

/// How the writer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterStats {
    /// Kept rows that are not committed yet.
    pub queued: u64,
    /// Age of the oldest of them.
    pub lag_ms: u64,
    /// Since the start.
    pub committed_rows: u64,
    pub commits: u64,
    /// The last commit failed or takes too long; rows go to the spool.
    pub failing: bool,
}

/// What the writer last reported.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<Report>);

#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) stalled: Option<Stalled>,
    pub(super) last_commit_ms: Option<UnixMillis>,
    pub(super) committed_rows: u64,
    pub(super) commits: u64,
    /// Kept rows that the writer holds.
    pub(super) held_rows: u64,
    pub(super) held_oldest_ms: Option<UnixMillis>,
    pub(super) spooled_rows: u64,
    pub(super) spooled_bytes: u64,
    /// Rows from before this start are among those.
    pub(super) has_inherited: bool,
    pub(super) notices: Vec<String>,
    /// Before these moments tiers need nothing any more, by [`crate::domain::Tier::ALL`]; none before the first
    /// look.
    pub(super) counted_until_ms: Option<[UnixMillis; 3]>,
}

impl Progress {
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut Report) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn health(&self, queue: &Queue) -> ResultHealth {
        let (lost_rows, dropped_rows) = queue.losses();
        let (queued, oldest_ms) = (queue.kept_rows() as u64, queue.oldest_ms());
        self.update(|report| ResultHealth {
            stalled: report.stalled.clone(),
            last_commit_ms: report.last_commit_ms,
            oldest_ms: report.held_oldest_ms.or(oldest_ms),
            queued_rows: queued + report.held_rows,
            spooled_rows: report.spooled_rows,
            spooled_bytes: report.spooled_bytes,
            lost_rows,
            dropped_rows,
            notices: report.notices.clone(),
        })
    }

    /// Returns the moment up to which all results that arrived are committed, so that a query that
    /// begins now finds them.
    pub(super) fn data_to_ms(&self, queue: &Queue) -> UnixMillis {
        let health = self.health(queue);
        let stalled_ms = health.stalled.map(|stalled| stalled.since_ms);
        let spooled_ms = health.last_commit_ms.filter(|_| health.spooled_rows > 0);
        [health.oldest_ms, stalled_ms, spooled_ms]
            .into_iter()
            .flatten()
            .fold(now_ms(), UnixMillis::min)
    }

    pub(super) fn stats(&self, queue: &Queue) -> WriterStats {
        let health = self.health(queue);
        let lag_ms = health.oldest_ms.map_or(0, |oldest_ms| {
            now_ms().saturating_sub(oldest_ms).max(0).unsigned_abs()
        });
        self.update(|report| WriterStats {
            queued: health.queued_rows + health.spooled_rows,
            lag_ms,
            committed_rows: report.committed_rows,
            commits: report.commits,
            failing: report.stalled.is_some(),
        })
    }
}
