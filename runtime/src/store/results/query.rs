//! SQL that users write: gated, in a read-only transaction on a connection of its own, with a limit
//! on rows, bytes and time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use duckdb::{Connection, InterruptHandle};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep_until, timeout, timeout_at};

use super::database::{Reader, ReaderKind};
use super::gate::{Admitted, Gate};
use super::tiers;
use super::value::{cell, type_name};
use super::{QueryError, ResultError, ResultStore};

/// What one answer holds at most, whatever the rows: cells are counted as the JSON they become.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// How long an interrupted query may take to notice before it is worth a line in the log, and its
/// slot is given to others.
const INTERRUPT_GRACE: Duration = Duration::from_secs(1);
/// So much more memory than before may the program have while a query runs: the database's limit
/// and half a gigabyte for what that does not count.
const GROWTH_BYTES: u64 = 1_536 << 20;
const GROWTH_CHECKED: Duration = Duration::from_millis(50);
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
        let reader = timeout_at(deadline, self.database.reader(ReaderKind::Shared))
            .await
            .map_err(|_| QueryError::Busy)??;
        let interrupt = reader.connection.interrupt_handle();
        let slot = Slot::new(slot, Arc::clone(&self.abandoned));
        let taken = slot.clone();
        let (gate, sql) = (Arc::clone(&self.gate), sql.to_owned());
        let work = tokio::task::spawn_blocking(move || {
            let outcome = run(&reader, &gate, &sql, limits.rows, deadline);
            drop(reader);
            taken.give_back();
            outcome
        });
        let (answered, answer) = oneshot::channel();
        tokio::spawn(supervise(work, interrupt, answered, slot, deadline));
        match answer.await {
            Ok(Err(QueryError::Timeout(_))) => Err(QueryError::Timeout(limits.timeout)),
            Ok(outcome) => outcome,
            Err(_) => Err(ResultError::Reader.into()),
        }
    }
}

type Outcome = Result<SqlAnswer, QueryError>;

/// A query's place among those that may run at the same time.
#[derive(Clone)]
struct Slot {
    permit: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
    /// Queries that go on although nobody waits for them any more, beside those that have a place.
    abandoned: Arc<Semaphore>,
}

impl Slot {
    fn new(permit: OwnedSemaphorePermit, abandoned: Arc<Semaphore>) -> Self {
        Self {
            permit: Arc::new(Mutex::new(Some(permit))),
            abandoned,
        }
    }

    fn give_back(&self) {
        drop(
            self.permit
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    /// To others, while the query goes on without it. None: too many go on so already.
    fn abandon(&self) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.abandoned).try_acquire_owned().ok()?;
        self.give_back();
        Some(permit)
    }
}

/// A task of its own, so that a query ends at its deadline or when nobody waits for it any more,
/// and so that one that does not notice holds up nobody. Interrupts repeatedly: one that falls
/// between two steps of a query is lost.
async fn supervise(
    mut work: JoinHandle<Outcome>,
    interrupt: Arc<InterruptHandle>,
    mut answered: oneshot::Sender<Outcome>,
    slot: Slot,
    deadline: Instant,
) {
    let before = resident_bytes();
    let mut checks = interval(GROWTH_CHECKED);
    loop {
        tokio::select! {
            outcome = &mut work => {
                let _ = answered.send(outcome.unwrap_or_else(|_| Err(ResultError::Reader.into())));
                return;
            }
            () = sleep_until(deadline) => {
                let _ = answered.send(Err(QueryError::Timeout(Duration::ZERO)));
                break;
            }
            () = answered.closed() => break,
            _ = checks.tick() => if resident_bytes() > before.saturating_add(GROWTH_BYTES) {
                let _ = answered.send(Err(QueryError::Memory));
                break;
            }
        }
    }
    let began = Instant::now();
    let mut abandoned = None;
    let mut warned = false;
    loop {
        interrupt.interrupt();
        if timeout(INTERRUPT_EVERY, &mut work).await.is_ok() {
            drop(abandoned);
            return;
        }
        if !warned && began.elapsed() > INTERRUPT_GRACE {
            warned = true;
            abandoned = slot.abandon();
            match abandoned {
                Some(_) => tracing::warn!(
                    "a query does not notice that it is cancelled; others may run beside it"
                ),
                None => {
                    tracing::warn!(
                        "a query does not notice that it is cancelled; its slot stays taken until it ends"
                    )
                }
            }
        }
    }
}

/// Memory of the whole process; 0 where that is not known.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kibibytes.map_or(0, |kibibytes| kibibytes << 10)
}

fn run(reader: &Reader, gate: &Gate, sql: &str, rows: usize, deadline: Instant) -> Outcome {
    let admitted = gate.admit(sql)?;
    if Instant::now() >= deadline {
        return Err(QueryError::Timeout(Duration::ZERO));
    }
    let connection = &reader.connection;
    connection
        .execute_batch("BEGIN TRANSACTION READ ONLY")
        .map_err(failed)?;
    let bound = tiers::bind(connection).map_err(failed);
    let answer = bound.and_then(|()| execute(connection, &admitted, rows, deadline));
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
    let types: Vec<_> = (0..statement.column_count())
        .map(|index| statement.column_logical_type(index))
        .collect();
    let columns: Vec<SqlColumn> = statement
        .column_names()
        .into_iter()
        .zip(&types)
        .map(|(name, logical)| SqlColumn {
            name,
            kind: type_name(logical),
        })
        .collect();
    let mut rows = Vec::new();
    let mut bytes = 0;
    while let Some(chunk) = statement.step().map_err(failed)? {
        for index in 0..duckdb::arrow::array::Array::len(&chunk) {
            if rows.len() >= limit || bytes >= MAX_ANSWER_BYTES {
                return Ok(SqlAnswer {
                    columns,
                    rows,
                    truncated: true,
                });
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
    Ok(SqlAnswer {
        columns,
        rows,
        truncated: false,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_query_that_does_not_end_gives_its_slot_back_and_few_of_them_go_on() {
        let connection = Connection::open_in_memory().unwrap();
        let (slots, abandoned) = (Arc::new(Semaphore::new(3)), Arc::new(Semaphore::new(2)));
        let mut ends = Vec::new();
        for _ in 0..3 {
            let slot = Slot::new(
                Arc::clone(&slots).acquire_owned().await.unwrap(),
                Arc::clone(&abandoned),
            );
            let (end, ended) = std::sync::mpsc::channel::<()>();
            let taken = slot.clone();
            let work = tokio::task::spawn_blocking(move || {
                let _ = ended.recv();
                taken.give_back();
                Err(QueryError::Busy)
            });
            let (answered, answer) = oneshot::channel();
            tokio::spawn(supervise(
                work,
                connection.interrupt_handle(),
                answered,
                slot,
                Instant::now(),
            ));
            assert!(matches!(answer.await.unwrap(), Err(QueryError::Timeout(_))));
            ends.push(end);
        }
        let free = async |wanted: usize| {
            while slots.available_permits() != wanted {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(60), free(2))
            .await
            .expect("two go on without a slot");
        assert_eq!(abandoned.available_permits(), 0);
        drop(ends);
        timeout(Duration::from_secs(60), free(3))
            .await
            .expect("all ended");
        let both = timeout(Duration::from_secs(60), abandoned.acquire_many(2)).await;
        drop(both.expect("what ended is not counted any more").unwrap());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_memory_of_the_program_is_known() {
        assert!(resident_bytes() > 1 << 20);
    }
}
