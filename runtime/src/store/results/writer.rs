//! The writer: takes rows from the queue, commits them in batches, keeps them until a commit said Ok. When the disk fails
//! it tries again for as long as it takes; meanwhile the queue fills, and whoever appends waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use duckdb::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::database::Database;
use super::rows::{self, ServiceRow};
use super::{Counters, ResultError, ResultSettings};
use crate::domain::{Alert, AlertEvent, Observation, PluginRun, UnixMillis};

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);
/// Tries of the last batch when the program stops: a disk that is full then would keep it alive for ever.
const CLOSING_TRIES: u32 = 5;

pub(super) type Done = oneshot::Sender<Result<(), ResultError>>;

pub(super) enum Row {
    Observation(Arc<Observation>),
    PluginRun(Box<PluginRun>),
    AlertEvent(Box<(AlertEvent, Alert)>),
    Services(Vec<ServiceRow>),
}

pub(super) enum Command {
    /// With `done`, the commit happens at once.
    Append {
        row: Row,
        arrived_ms: UnixMillis,
        done: Option<Done>,
    },
    Close(Done),
}

/// Owns the write connection. Runs on a thread of its own.
pub struct Writer {
    inbox: mpsc::Receiver<Command>,
    database: Arc<Database>,
    counters: Arc<Counters>,
    flush_interval: Duration,
    flush_rows: usize,
}

/// What will be one transaction.
#[derive(Default)]
struct Batch {
    observations: Vec<Arc<Observation>>,
    plugin_runs: Vec<PluginRun>,
    alert_events: Vec<(AlertEvent, Alert)>,
    /// The last one counts.
    services: Option<Vec<ServiceRow>>,
    /// Commands in it, as counted in the queue.
    rows: usize,
    oldest_ms: UnixMillis,
    done: Vec<Done>,
    /// The program stops after it.
    close: Option<Done>,
}

impl Writer {
    pub(super) fn new(
        inbox: mpsc::Receiver<Command>,
        database: Arc<Database>,
        counters: Arc<Counters>,
        settings: &ResultSettings,
    ) -> Self {
        let ResultSettings { flush_interval, flush_rows, .. } = *settings;
        Self { inbox, database, counters, flush_interval, flush_rows: flush_rows.max(1) }
    }

    /// [`Self::run`] on a thread named `results-writer`.
    pub fn start(self) -> Result<JoinHandle<Result<(), ResultError>>, ResultError> {
        std::thread::Builder::new()
            .name("results-writer".to_owned())
            .spawn(move || self.run())
            .map_err(ResultError::Thread)
    }

    /// Blocks until the store is closed or every handle is gone. An error means that rows were given up on.
    pub fn run(self) -> Result<(), ResultError> {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(ResultError::Thread)?
            .block_on(self.work())
    }

    async fn work(mut self) -> Result<(), ResultError> {
        let mut connection = Some(self.database.connect()?);
        while let Some(mut batch) = self.collect().await {
            let outcome = self.commit_until_ok(&mut connection, &mut batch).await;
            if let Some(close) = batch.close {
                let outcome = outcome.and_then(|()| checkpoint(connection.as_ref()));
                let told = outcome.as_ref().map_err(|error| ResultError::NotCommitted(chain(error))).copied();
                let _ = close.send(told);
                return outcome;
            }
            outcome?;
        }
        checkpoint(connection.as_ref())
    }

    /// Waits for a first row, then for more until the interval is over, the batch is full, or somebody waits for it.
    async fn collect(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        let mut incoming = Vec::new();
        let mut deadline = None;
        loop {
            let room = self.flush_rows - batch.rows;
            let received = match deadline {
                None => self.inbox.recv_many(&mut incoming, room).await,
                Some(deadline) => match timeout_at(deadline, self.inbox.recv_many(&mut incoming, room)).await {
                    Ok(received) => received,
                    Err(_) => return Some(batch),
                },
            };
            if received == 0 {
                return (batch.rows > 0).then_some(batch);
            }
            deadline.get_or_insert_with(|| Instant::now() + self.flush_interval);
            incoming.drain(..).for_each(|command| batch.push(command));
            self.counters.oldest_ms.store(batch.oldest_ms, Ordering::Relaxed);
            if batch.close.is_some() {
                // Whatever was queued before the door closed belongs to the last batch.
                self.inbox.close();
                while self.inbox.recv_many(&mut incoming, self.flush_rows).await > 0 {
                    incoming.drain(..).for_each(|command| batch.push(command));
                }
                return Some(batch);
            }
            if batch.rows >= self.flush_rows || !batch.done.is_empty() {
                return Some(batch);
            }
        }
    }

    /// Those who wait for this batch hear of the first failure; the rows stay.
    async fn commit_until_ok(&self, connection: &mut Option<Connection>, batch: &mut Batch) -> Result<(), ResultError> {
        let mut wait = RETRY_FIRST;
        let mut tries = 0;
        loop {
            let Err(error) = self.commit(connection, batch).await else { break };
            tries += 1;
            if !self.counters.failing.swap(true, Ordering::Relaxed) {
                tracing::error!(
                    rows = batch.rows,
                    error = chain(&error),
                    "could not commit results; keeping them, and trying until it works"
                );
            }
            for done in batch.done.drain(..) {
                let _ = done.send(Err(ResultError::NotCommitted(chain(&error))));
            }
            if batch.close.is_some() && tries >= CLOSING_TRIES {
                tracing::error!(rows = batch.rows, "stopping without these results");
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_LAST);
        }
        if self.counters.failing.swap(false, Ordering::Relaxed) {
            tracing::info!(rows = batch.rows, "results are being committed again");
        }
        self.counters.queued.fetch_sub(batch.rows as u64, Ordering::Relaxed);
        self.counters.oldest_ms.store(0, Ordering::Relaxed);
        self.counters.committed_rows.fetch_add(batch.stored_rows(), Ordering::Relaxed);
        self.counters.commits.fetch_add(u64::from(batch.rows > 0), Ordering::Relaxed);
        for done in batch.done.drain(..) {
            let _ = done.send(Ok(()));
        }
        Ok(())
    }

    /// One try. The connection is gone afterwards if DuckDB has to be opened anew.
    async fn commit(&self, connection: &mut Option<Connection>, batch: &Batch) -> Result<(), ResultError> {
        if batch.rows == 0 {
            return Ok(());
        }
        let open = match connection {
            Some(open) => open,
            None => {
                self.database.reopen().await?;
                connection.insert(self.database.connect()?)
            }
        };
        write(open, batch).map_err(|source| {
            // A fatal error invalidates the whole instance; only opening the file again helps.
            let text = source.to_string();
            if text.contains("FATAL") || text.contains("invalidated") {
                *connection = None;
            }
            ResultError::Database { doing: "commit to", source }
        })
    }
}

impl Batch {
    fn push(&mut self, command: Command) {
        match command {
            Command::Append { row, arrived_ms, done } => {
                if self.rows == 0 {
                    self.oldest_ms = arrived_ms;
                }
                self.rows += 1;
                self.done.extend(done);
                match row {
                    Row::Observation(observation) => self.observations.push(observation),
                    Row::PluginRun(run) => self.plugin_runs.push(*run),
                    Row::AlertEvent(event) => self.alert_events.push(*event),
                    Row::Services(services) => self.services = Some(services),
                }
            }
            Command::Close(done) => self.close = Some(done),
        }
    }

    fn stored_rows(&self) -> u64 {
        (self.observations.len() + self.plugin_runs.len() + self.alert_events.len()) as u64
    }
}

/// All of it or nothing: what is not committed is rolled back by the transaction's drop.
fn write(connection: &mut Connection, batch: &Batch) -> duckdb::Result<()> {
    let tx = connection.transaction()?;
    append_all(&tx, rows::OBSERVATIONS, &batch.observations, |appender, row| rows::append_observation(appender, row))?;
    append_all(&tx, rows::PLUGIN_RUNS, &batch.plugin_runs, rows::append_plugin_run)?;
    append_all(&tx, rows::ALERT_EVENTS, &batch.alert_events, |appender, (event, alert)| {
        rows::append_alert_event(appender, event, alert)
    })?;
    if let Some(services) = &batch.services {
        tx.execute_batch("DELETE FROM fact.services")?;
        append_all(&tx, rows::SERVICES, services, rows::append_service)?;
    }
    tx.commit()
}

fn append_all<T>(
    connection: &Connection,
    table: &str,
    rows: &[T],
    append: impl Fn(&mut duckdb::Appender<'_>, &T) -> duckdb::Result<()>,
) -> duckdb::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut appender = connection.appender_to_db(table, rows::SCHEMA)?;
    for row in rows {
        append(&mut appender, row)?;
    }
    // Explicitly: a drop would swallow the error.
    appender.flush()
}

fn checkpoint(connection: Option<&Connection>) -> Result<(), ResultError> {
    match connection {
        Some(connection) => connection
            .execute_batch("CHECKPOINT")
            .map_err(|source| ResultError::Database { doing: "checkpoint", source }),
        None => Ok(()),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
