//! SQL that users write: gated, in a read-only transaction on a connection of its own, with a limit on rows, bytes and time.

use std::sync::Arc;
use std::time::Duration;

use duckdb::{Connection, InterruptHandle};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::database::{Reader, ReaderKind};
use super::gate::{Admitted, Gate};
use super::value::{cell, type_name};
use super::{ResultError, ResultStore};

/// What one answer holds at most, whatever the rows: cells are counted as the JSON they become.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// How long an interrupted query may take to notice before it is worth a line in the log.
const INTERRUPT_GRACE: Duration = Duration::from_millis(500);
const INTERRUPT_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy)]
pub struct QueryLimits {
    pub rows: usize,
    /// From the request to the answer, waiting for a slot included.
    pub timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SqlColumn {
    pub name: String,
    /// DuckDB's word, e.g. `VARCHAR` or `DECIMAL(18,3)`.
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SqlAnswer {
    pub columns: Vec<SqlColumn>,
    pub rows: Vec<Vec<Value>>,
    /// There were more rows than the limit.
    pub truncated: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Understood, and not allowed.
    #[error("{0}")]
    Refused(String),
    /// DuckDB's own text.
    #[error("{0}")]
    Invalid(String),
    #[error("the query took longer than {} ms; narrow it, for example by `ts`", .0.as_millis())]
    Timeout(Duration),
    #[error("all query slots are taken; try again in a moment")]
    Busy,
    #[error("the query needs more memory than it may use; narrow it, for example by `ts`")]
    Memory,
    #[error(transparent)]
    Store(#[from] ResultError),
}

impl ResultStore {
    /// Whether the guard lets a query through; it is not run.
    pub fn query_check(&self, sql: &str) -> Result<(), QueryError> {
        self.gate.admit(sql).map(drop)
    }

    pub async fn query(&self, sql: &str, limits: QueryLimits) -> Result<SqlAnswer, QueryError> {
        let deadline = Instant::now() + limits.timeout;
        let slot = timeout_at(deadline, Arc::clone(&self.queries).acquire_owned())
            .await
            .map_err(|_| QueryError::Busy)?
            .map_err(|_| ResultError::Closed)?;
        let reader =
            timeout_at(deadline, self.database.reader(ReaderKind::Shared)).await.map_err(|_| QueryError::Busy)??;
        let interrupt = reader.connection.interrupt_handle();
        let (gate, sql) = (Arc::clone(&self.gate), sql.to_owned());
        let work = tokio::task::spawn_blocking(move || {
            let outcome = run(&reader, &gate, &sql, limits.rows, deadline);
            drop((reader, slot));
            outcome
        });
        let (answered, answer) = oneshot::channel();
        tokio::spawn(supervise(work, interrupt, answered, deadline));
        match answer.await {
            Ok(Err(QueryError::Timeout(_))) => Err(QueryError::Timeout(limits.timeout)),
            Ok(outcome) => outcome,
            Err(_) => Err(ResultError::Reader.into()),
        }
    }
}

type Outcome = Result<SqlAnswer, QueryError>;

/// A task of its own, so that a query ends at its deadline or when nobody waits for it any more, and so that one that does
/// not notice holds up nobody. Interrupts repeatedly: one that falls between two steps of a query is lost.
async fn supervise(
    mut work: JoinHandle<Outcome>,
    interrupt: Arc<InterruptHandle>,
    mut answered: oneshot::Sender<Outcome>,
    deadline: Instant,
) {
    tokio::select! {
        outcome = &mut work => {
            let _ = answered.send(outcome.unwrap_or_else(|_| Err(ResultError::Reader.into())));
            return;
        }
        () = sleep_until(deadline) => {
            let _ = answered.send(Err(QueryError::Timeout(Duration::ZERO)));
        }
        () = answered.closed() => {}
    }
    let began = Instant::now();
    let mut warned = false;
    loop {
        interrupt.interrupt();
        if timeout(INTERRUPT_EVERY, &mut work).await.is_ok() {
            return;
        }
        if !warned && began.elapsed() > INTERRUPT_GRACE {
            warned = true;
            tracing::warn!("a query does not notice that it is cancelled; its slot stays taken until it ends");
        }
    }
}

fn run(reader: &Reader, gate: &Gate, sql: &str, rows: usize, deadline: Instant) -> Outcome {
    let admitted = gate.admit(sql)?;
    if Instant::now() >= deadline {
        return Err(QueryError::Timeout(Duration::ZERO));
    }
    let connection = &reader.connection;
    connection.execute_batch("BEGIN TRANSACTION READ ONLY").map_err(failed)?;
    let answer = execute(connection, &admitted, rows, deadline);
    // The connection is dropped next; a failed roll-back goes with it.
    let _ = connection.execute_batch("ROLLBACK");
    answer
}

fn execute(
    connection: &Connection,
    admitted: &Admitted,
    limit: usize,
    deadline: Instant,
) -> Result<SqlAnswer, QueryError> {
    let mut statement = connection.prepare(&admitted.sql).map_err(failed)?;
    // Its iterator panics on errors; `step` returns them.
    drop(statement.stream_arrow([]).map_err(failed)?);
    let types: Vec<_> = (0..statement.column_count()).map(|index| statement.column_logical_type(index)).collect();
    let columns: Vec<SqlColumn> = statement
        .column_names()
        .into_iter()
        .zip(&types)
        .map(|(name, logical)| SqlColumn { name, kind: type_name(logical) })
        .collect();
    let mut rows = Vec::new();
    let mut bytes = 0;
    while let Some(chunk) = statement.step().map_err(failed)? {
        for index in 0..duckdb::arrow::array::Array::len(&chunk) {
            if rows.len() >= limit || bytes >= MAX_ANSWER_BYTES {
                return Ok(SqlAnswer { columns, rows, truncated: true });
            }
            let row = chunk
                .columns()
                .iter()
                .zip(&types)
                .map(|(column, logical)| cell(column, index, logical, &mut bytes))
                .collect::<Result<Vec<_>, _>>()
                .map_err(QueryError::Invalid)?;
            rows.push(row);
        }
        if Instant::now() >= deadline {
            return Err(QueryError::Timeout(Duration::ZERO));
        }
    }
    Ok(SqlAnswer { columns, rows, truncated: false })
}

fn failed(error: duckdb::Error) -> QueryError {
    let text = match error {
        duckdb::Error::DuckDBFailure(_, Some(text)) => text,
        other => other.to_string(),
    };
    if text.starts_with("INTERRUPT") {
        QueryError::Timeout(Duration::ZERO)
    } else if text.starts_with("Out of Memory") {
        QueryError::Memory
    } else {
        QueryError::Invalid(text)
    }
}
