//! The writer: takes rows from the queue, commits them in batches, keeps them until a commit said Ok. When the disk fails
//! it tries again for as long as it takes; meanwhile the queue fills, and whoever appends waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use duckdb::{Connection, ToSql};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::database::Database;
use super::rows::{self, ServiceRow};
use super::{Counters, ResultError, ResultSettings};
use crate::domain::{Alert, AlertEvent, Event, Observation, PluginRun, ShadowRun, UnixMillis};

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);
/// Tries of a batch once the program stops: a disk that is full then would keep it alive for ever.
const CLOSING_TRIES: u32 = 5;

pub(super) type Done = oneshot::Sender<Result<(), ResultError>>;

pub(super) enum Row {
    Observation(Arc<Observation>),
    PluginRun(Box<PluginRun>),
    AlertEvent(Box<(AlertEvent, Alert)>),
    /// Of one delivery, with what it reported.
    Events(Vec<Event>, Vec<Arc<Observation>>),
    ShadowRun(Box<ShadowRun>),
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
pub(super) struct Batch {
    observations: Vec<Arc<Observation>>,
    plugin_runs: Vec<PluginRun>,
    alert_events: Vec<(AlertEvent, Alert)>,
    events: Vec<Event>,
    shadow_runs: Vec<ShadowRun>,
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
        let mut tries_closing = 0;
        let mut retry = false;
        loop {
            let Err(error) = self.commit(connection, batch, retry).await else { break };
            retry = true;
            let closing = self.counters.closing.load(Ordering::Relaxed);
            tries_closing += u32::from(closing);
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
            if tries_closing >= CLOSING_TRIES {
                tracing::error!(rows = batch.rows, "stopping without these results");
                return Err(error);
            }
            tokio::time::sleep(if closing { RETRY_FIRST } else { wait }).await;
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
    async fn commit(&self, connection: &mut Option<Connection>, batch: &Batch, retry: bool) -> Result<(), ResultError> {
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
        write(open, batch, retry).map_err(|source| {
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
    pub(super) fn push(&mut self, command: Command) {
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
                    Row::Events(events, observations) => {
                        self.events.extend(events);
                        self.observations.extend(observations);
                    }
                    Row::ShadowRun(run) => self.shadow_runs.push(*run),
                    Row::Services(services) => self.services = Some(services),
                }
            }
            Command::Close(done) => self.close = Some(done),
        }
    }

    fn stored_rows(&self) -> u64 {
        let runs = self.observations.len() + self.plugin_runs.len() + self.shadow_runs.len();
        (runs + self.alert_events.len() + self.events.len()) as u64
    }
}

/// All of it or nothing: what is not committed is rolled back by the transaction's drop.
pub(super) fn write(connection: &mut Connection, batch: &Batch, retry: bool) -> duckdb::Result<()> {
    let tx = connection.transaction()?;
    if retry && is_committed(&tx, batch)? {
        return Ok(());
    }
    append_all(&tx, rows::OBSERVATIONS, &batch.observations, |appender, row| rows::append_observation(appender, row))?;
    let mut rate_limits = Vec::new();
    for run in &batch.observations {
        rate_limits.extend(run.rate_limits.iter().map(|limit| (run, limit)));
    }
    append_all(&tx, rows::RATE_LIMITS, &rate_limits, |appender, (run, limit)| {
        rows::append_rate_limit(appender, run, limit)
    })?;
    append_all(&tx, rows::PLUGIN_RUNS, &batch.plugin_runs, rows::append_plugin_run)?;
    append_all(&tx, rows::ALERT_EVENTS, &batch.alert_events, |appender, (event, alert)| {
        rows::append_alert_event(appender, event, alert)
    })?;
    append_all(&tx, rows::EVENTS, &batch.events, rows::append_event)?;
    append_all(&tx, rows::SHADOW_RUNS, &batch.shadow_runs, rows::append_shadow_run)?;
    if let Some(services) = &batch.services {
        tx.execute_batch("DELETE FROM fact.services")?;
        append_all(&tx, rows::SERVICES, services, rows::append_service)?;
    }
    tx.commit()
}

/// A commit may fail after its data reached the disk. A batch is one transaction, so any one of its rows tells.
fn is_committed(connection: &Connection, batch: &Batch) -> duckdb::Result<bool> {
    let found = |sql: &str, params: &[&dyn ToSql]| connection.query_row(sql, params, |row| row.get(0));
    if let Some(row) = batch.observations.first() {
        return found(
            "SELECT count(*) > 0 FROM fact.observations WHERE run_id = ? AND service = ? AND probe = ?",
            &[&row.run_id, &row.service, &row.probe],
        );
    }
    if let Some(row) = batch.plugin_runs.first() {
        return found(
            "SELECT count(*) > 0 FROM fact.plugin_runs WHERE run_id = ? AND plugin = ?",
            &[&row.run_id, &row.plugin],
        );
    }
    if let Some((event, _)) = batch.alert_events.first() {
        return found("SELECT count(*) > 0 FROM fact.alert_events WHERE event_id = ?", &[&event.id]);
    }
    if let Some(row) = batch.events.first() {
        return found("SELECT count(*) > 0 FROM fact.events WHERE id = ?", &[&row.id]);
    }
    if let Some(row) = batch.shadow_runs.first() {
        return found(
            "SELECT count(*) > 0 FROM fact.shadow_runs WHERE candidate_run_id = ? AND plugin = ?",
            &[&row.candidate.run_id, &row.plugin],
        );
    }
    // The services alone: replacing them twice does no harm.
    Ok(false)
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
