//! Sealing: what is committed, in files that never change, so that the processes that run user SQL
//! read it without the store. What has changed since is marked in the transaction that changes it;
//! a seal writes those parts anew, small files for what is new and few large ones for what is over,
//! and the store names the files in the transaction that removes the marks. Nothing that probes,
//! notifies or commits waits for any of it.

mod files;
mod ledger;
mod offline;
mod plan;
mod sealer;
mod step;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::{ArchivedDay, ResultError};
use crate::domain::UnixMillis;

pub(super) use files::SealedFile;
pub(super) use offline::StoppedStore;
pub(super) use sealer::{Sealer, SealerThread};

/// Time that a query waits for what was committed last; after that the older state is the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time after a failure in which those who ask get at once what there is.
const RETRY_ASKED: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy)]
pub struct SealSettings {
    /// Time between two seals; what a query has to write itself is what changed meanwhile. Default 5
    /// minutes: one file a table.
    pub interval: Duration,
    /// Time until the first one, unless somebody asks before. Default 10 s.
    pub delay: Duration,
}

impl Default for SealSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(300),
            delay: Duration::from_secs(10),
        }
    }
}

/// Files of all tables, as one transaction saw them.
#[derive(Debug)]
struct Manifest {
    files: BTreeMap<&'static str, Vec<Arc<SealedFile>>>,
    /// Days whose rows are in files of the archive alone.
    archived: Vec<ArchivedDay>,
    variables: String,
}

/// State that is handed out.
#[derive(Debug)]
pub(super) struct State {
    manifest: Manifest,
    /// Transactions that are in it, see [`super::database::Database::changes`].
    pub(super) changes: u64,
    /// Moment up to which all results that arrived are in it.
    pub(super) data_to_ms: UnixMillis,
}

impl State {
    /// Files of a table; none if it is not sealed.
    pub(super) fn files(&self, table: &str) -> &[Arc<SealedFile>] {
        self.manifest.files.get(table).map_or(&[], Vec::as_slice)
    }

    /// Files of the archive that count, by their paths inside it.
    pub(super) fn archived(&self) -> &[ArchivedDay] {
        &self.manifest.archived
    }

    /// Statements that bind the views of the tiers.
    pub(super) fn variables(&self) -> &str {
        &self.manifest.variables
    }
}

#[derive(Debug, Clone, Default)]
struct Status {
    current: Option<Arc<State>>,
    /// The last look, if it failed.
    failed: Option<Failure>,
    /// Rows that are to be written before there is anything to hand out.
    rows_left: u64,
}

#[derive(Debug, Clone)]
struct Failure {
    at: Instant,
    reason: String,
}

impl Failure {
    /// Whether somebody who asked at this moment should wait no longer.
    fn answers(&self, asked_at: Instant) -> bool {
        self.at >= asked_at || self.at.elapsed() < RETRY_ASKED
    }
}

/// The last state, for those who ask.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    status: watch::Sender<Status>,
    is_wanted: AtomicBool,
    asked: Notify,
}

impl Sealed {
    /// Returns a state with so many transactions; an older one if it can't be had in time. Many who
    /// ask at once share the work.
    pub(super) async fn as_of(&self, changes: u64) -> Result<Arc<State>, ResultError> {
        let asked_at = Instant::now();
        let mut status = self.status.subscribe();
        let fresh = timeout(PATIENCE, async {
            loop {
                {
                    let status = status.borrow_and_update();
                    let current = status.current.as_ref();
                    if let Some(state) = current.filter(|state| state.changes >= changes) {
                        return Some(Arc::clone(state));
                    }
                    let failed = status.failed.as_ref();
                    if failed.is_some_and(|failed| failed.answers(asked_at)) {
                        return None;
                    }
                }
                self.is_wanted.store(true, Ordering::SeqCst);
                self.asked.notify_one();
                if status.changed().await.is_err() {
                    return None;
                }
            }
        });
        if let Ok(Some(state)) = fresh.await {
            return Ok(state);
        }
        let status = self.status.borrow();
        match (&status.current, &status.failed) {
            (Some(state), _) => Ok(Arc::clone(state)),
            (None, Some(failed)) => Err(ResultError::NotSealed(failed.reason.clone())),
            (None, None) => Err(ResultError::NotSealed(format!(
                "history is being prepared for SQL, {} rows are left; try again in a minute",
                status.rows_left
            ))),
        }
    }

    /// Whether somebody waits; asked once.
    fn take_wanted(&self) -> bool {
        self.is_wanted.swap(false, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests;
