//! Measurements, in DuckDB: append-only facts. One thread writes, in batches; readers use connections of their own; what
//! users write in SQL passes a gate first. Secrets never come here.

mod database;
mod events;
mod gate;
mod health;
mod interrupt;
mod query;
mod rate_limits;
mod read;
mod recent;
mod rows;
mod run_groups;
mod schema;
mod shadow;
mod value;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

pub use database::ALERTING_READERS;
pub use events::EventFilter;
pub use health::{StoredSpan, VersionKey};
pub use query::{QueryError, QueryLimits, SqlAnswer, SqlColumn};
pub use rows::ServiceRow;
pub use run_groups::GroupSpan;
pub use writer::Writer;

use super::lock::{DataLock, LockError};
use crate::domain::{Alert, AlertEvent, Event, Observation, PluginRun, ShadowRun, now_ms};
use database::Database;
use gate::Gate;
use writer::{Command, Row};

const FILE: &str = "results.duckdb";
/// User queries at the same time: each may take a core and much of the memory limit.
const QUERIES: usize = 2;

#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("could not {doing} the results store")]
    Database { doing: &'static str, source: duckdb::Error },
    #[error("the results store is at schema step {found}, and this version knows {known}; start a newer version")]
    Newer { found: usize, known: usize },
    #[error("could not back up `{}` before changing its schema", path.display())]
    Backup { path: PathBuf, source: std::io::Error },
    #[error("not committed yet: {0}; the row is kept, and tried again")]
    NotCommitted(String),
    #[error("the results store is closed")]
    Closed,
    #[error("a reader of the results store ended early")]
    Reader,
    #[error("{column} of observation {run_id} reads `{found}`, which this version does not know")]
    Unreadable { run_id: i64, column: &'static str, found: String },
    #[error("could not start the results writer")]
    Thread(#[source] std::io::Error),
}

#[derive(Debug, Clone)]
pub struct ResultSettings {
    /// At the latest this long after its arrival a row is committed: what a crash can lose. Default 1 s.
    pub flush_interval: Duration,
    /// A batch this large is committed at once. Default 5,000.
    pub flush_rows: usize,
    /// Rows that wait for the writer before appending waits too. Default 20,000: about 10 MB.
    pub queue_rows: usize,
    /// DuckDB's; at least `1GB`. Default `1GB`.
    pub memory_limit: String,
}

impl Default for ResultSettings {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(1),
            flush_rows: 5_000,
            queue_rows: 20_000,
            memory_limit: "1GB".to_owned(),
        }
    }
}

/// How the writer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterStats {
    /// Rows that are not committed yet.
    pub queued: u64,
    /// Age of the oldest of them.
    pub lag_ms: u64,
    /// Since the start.
    pub committed_rows: u64,
    pub commits: u64,
    /// The last commit failed, and is being repeated.
    pub failing: bool,
}

#[derive(Debug, Default)]
struct Counters {
    queued: AtomicU64,
    /// 0: nothing waits.
    oldest_ms: AtomicI64,
    committed_rows: AtomicU64,
    commits: AtomicU64,
    failing: AtomicBool,
    /// The program stops: no more endless patience with the disk.
    closing: AtomicBool,
}

/// A handle; cheap to clone. The files are released when the writer and the last handle are gone.
#[derive(Clone)]
pub struct ResultStore {
    commands: mpsc::Sender<Command>,
    database: Arc<Database>,
    gate: Arc<Gate>,
    queries: Arc<Semaphore>,
    counters: Arc<Counters>,
}

impl ResultStore {
    /// Creates or migrates `results.duckdb` in `dir`. Nothing is written until the [`Writer`] runs. Blocks: a large
    /// write-ahead log is replayed here.
    pub fn open(dir: &Path, settings: ResultSettings) -> Result<(Self, Writer), ResultError> {
        let path = dir.join(FILE);
        let lock = DataLock::acquire(&path)?;
        let database = Arc::new(Database::open(path, &settings.memory_limit, lock)?);
        let gate = Arc::new(Gate::open()?);
        let (commands, inbox) = mpsc::channel(settings.queue_rows.max(1));
        let counters = Arc::new(Counters::default());
        let writer = Writer::new(inbox, Arc::clone(&database), Arc::clone(&counters), &settings);
        let store = Self { commands, database, gate, queries: Arc::new(Semaphore::new(QUERIES)), counters };
        Ok((store, writer))
    }

    /// Committed within the flush interval. Waits when the queue is full.
    pub async fn observation_append(&self, observation: Arc<Observation>) -> Result<(), ResultError> {
        self.append(Row::Observation(observation), None).await
    }

    /// Returns after the commit, which happens at once.
    pub async fn observation_append_durable(&self, observation: Arc<Observation>) -> Result<(), ResultError> {
        let (done, answer) = oneshot::channel();
        self.append(Row::Observation(observation), Some(done)).await?;
        answer.await.map_err(|_| ResultError::Closed)?
    }

    pub async fn plugin_run_append(&self, run: PluginRun) -> Result<(), ResultError> {
        self.append(Row::PluginRun(Box::new(run)), None).await
    }

    pub async fn shadow_run_append(&self, run: ShadowRun) -> Result<(), ResultError> {
        self.append(Row::ShadowRun(Box::new(run)), None).await
    }

    /// Each event once: [`Self::alert_event_last_id`] says how far the copy got.
    pub async fn alert_event_append(&self, event: AlertEvent, alert: Alert) -> Result<(), ResultError> {
        self.append(Row::AlertEvent(Box::new((event, alert))), None).await
    }

    /// What one delivery brought, and what it reported: together or not at all. Returns after the commit, which happens at
    /// once. An error says that it is not committed *yet*: see [`ResultError::NotCommitted`].
    pub async fn event_append_durable(
        &self,
        events: Vec<Event>,
        reports: Vec<Arc<Observation>>,
    ) -> Result<(), ResultError> {
        let (done, answer) = oneshot::channel();
        self.append(Row::Events(events, reports), Some(done)).await?;
        answer.await.map_err(|_| ResultError::Closed)?
    }

    /// Replaces the dimension table. Returns after the commit.
    pub async fn service_replace(&self, services: Vec<ServiceRow>) -> Result<(), ResultError> {
        let (done, answer) = oneshot::channel();
        self.append(Row::Services(services), Some(done)).await?;
        answer.await.map_err(|_| ResultError::Closed)?
    }

    /// Commits what is queued, checkpoints, and ends the writer. An error says that rows were given up on.
    pub async fn close(&self) -> Result<(), ResultError> {
        self.counters.closing.store(true, Ordering::Relaxed);
        let (done, answer) = oneshot::channel();
        self.commands.send(Command::Close(done)).await.map_err(|_| ResultError::Closed)?;
        answer.await.map_err(|_| ResultError::Closed)?
    }

    pub fn stats(&self) -> WriterStats {
        let counters = &self.counters;
        let oldest_ms = counters.oldest_ms.load(Ordering::Relaxed);
        WriterStats {
            queued: counters.queued.load(Ordering::Relaxed),
            lag_ms: if oldest_ms == 0 { 0 } else { now_ms().saturating_sub(oldest_ms).unsigned_abs() },
            committed_rows: counters.committed_rows.load(Ordering::Relaxed),
            commits: counters.commits.load(Ordering::Relaxed),
            failing: counters.failing.load(Ordering::Relaxed),
        }
    }

    async fn append(&self, row: Row, done: Option<writer::Done>) -> Result<(), ResultError> {
        // A slot first, so that a caller who gives up while waiting leaves no trace in the counters.
        let slot = self.commands.reserve().await.map_err(|_| ResultError::Closed)?;
        self.counters.queued.fetch_add(1, Ordering::Relaxed);
        slot.send(Command::Append { row, arrived_ms: now_ms(), done });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
