//! The execution of a statement, on a thread that may block: batch by batch, no faster than they
//! are read.

use std::sync::Arc;
use std::time::Duration;

use duckdb::Connection;
use duckdb::arrow::array::Array;
use duckdb::arrow::datatypes::SchemaRef;
use duckdb::arrow::record_batch::RecordBatch;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::params::values;
use super::supervise::Stop;
use super::{QueryLimits, QueryRequest, SqlColumn};
use crate::store::results::database::Reader;
use crate::store::results::diagnosis::Diagnosis;
use crate::store::results::error::QueryError;
use crate::store::results::gate::{Admitted, Gate};
use crate::store::results::tiers;
use crate::store::results::value::type_name;

/// Arrow memory of batches that wait for their reader, beside the one that it has.
const WAITING_KIB: u32 = 16 * 1024;
/// Batches that wait, however small.
pub(super) const WAITING: usize = 16;
/// A reader that takes nothing for so long keeps others from their queries.
const STALL: Duration = Duration::from_secs(10);

/// What a query hands out, in this order: a head, batches, and an end or an error.
pub(super) enum Item {
    Head(Vec<SqlColumn>, SchemaRef),
    Batch {
        batch: RecordBatch,
        /// What it takes of the memory of those that wait.
        _memory: OwnedSemaphorePermit,
    },
    End {
        is_truncated: bool,
    },
    Failed(QueryError),
}

/// The sending side of a query.
pub(super) struct Output {
    items: mpsc::Sender<Item>,
    memory: Arc<Semaphore>,
    stop: Stop,
    runtime: Handle,
}

/// Nobody reads any more, or the query is to stop.
struct Unread;

impl Output {
    pub(super) fn new(items: mpsc::Sender<Item>, stop: Stop) -> Self {
        Self {
            items,
            memory: Arc::new(Semaphore::new(WAITING_KIB as usize)),
            stop,
            runtime: Handle::current(),
        }
    }

    /// Waits for the reader.
    fn send(&self, item: Item) -> Result<(), Unread> {
        self.runtime.block_on(
            self.unless_stopped(async { self.items.send(item).await.map_err(|_| Unread) }),
        )
    }

    fn send_batch(&self, batch: RecordBatch) -> Result<(), Unread> {
        let kibibytes = u32::try_from(batch.get_array_memory_size() / 1024).unwrap_or(u32::MAX);
        let share = kibibytes.clamp(1, WAITING_KIB);
        self.runtime.block_on(self.unless_stopped(async {
            let memory = Arc::clone(&self.memory).acquire_many_owned(share).await;
            let item = Item::Batch {
                batch,
                _memory: memory.map_err(|_| Unread)?,
            };
            let sent = self.items.send(item).await;
            sent.map_err(|_| Unread)
        }))
    }

    async fn unless_stopped(
        &self,
        sending: impl Future<Output = Result<(), Unread>>,
    ) -> Result<(), Unread> {
        tokio::select! {
            biased;
            () = self.stop.stopped() => Err(Unread),
            sent = timeout(STALL, sending) => match sent {
                Ok(sent) => sent,
                Err(_) => {
                    self.stop.because(QueryError::Stalled(STALL));
                    Err(Unread)
                }
            }
        }
    }
}

/// Runs a statement to its end, and hands out whatever becomes of it.
pub(super) fn run(reader: &Reader, gate: &Gate, request: &QueryRequest, output: &Output) {
    let last = match answer(reader, gate, request, output) {
        Ok(Some(is_truncated)) => Item::End { is_truncated },
        Ok(None) => return,
        Err(error) => Item::Failed(error),
    };
    let _ = output.send(last);
}

/// Returns whether rows were left out; none when nobody reads any more.
fn answer(
    reader: &Reader,
    gate: &Gate,
    request: &QueryRequest,
    output: &Output,
) -> Result<Option<bool>, QueryError> {
    let admitted = gate.admit(&request.sql, &request.params)?;
    let connection = &reader.connection;
    let failed = |error| failed(error, &admitted, &request.sql);
    connection
        .execute_batch("BEGIN TRANSACTION READ ONLY")
        .map_err(failed)?;
    let bound = tiers::bind(connection).map_err(failed);
    let answer = bound.and_then(|()| execute(connection, &admitted, request, output));
    // The connection is dropped next; a failed roll-back goes with it.
    let _ = connection.execute_batch("ROLLBACK");
    answer
}

fn execute(
    connection: &Connection,
    admitted: &Admitted,
    request: &QueryRequest,
    output: &Output,
) -> Result<Option<bool>, QueryError> {
    let failed = |error| failed(error, admitted, &request.sql);
    let mut statement = connection.prepare(&admitted.sql).map_err(failed)?;
    let values = values(&statement, &request.params).map_err(failed)?;
    let values = duckdb::params_from_iter(values);
    // Its iterator panics on errors; `step` returns them.
    drop(statement.stream_arrow(values).map_err(failed)?);
    let names = statement.column_names().into_iter().enumerate();
    let columns = names
        .map(|(index, name)| SqlColumn {
            name,
            kind: type_name(&statement.column_logical_type(index)),
        })
        .collect();
    let schema = statement.schema();
    let head = Item::Head(columns, Arc::clone(&schema));
    if output.send(head).is_err() {
        return Ok(None);
    }
    let mut left = Left::new(request.limits);
    while let Some(chunk) = statement.step().map_err(failed)? {
        let arrays = chunk.columns().to_vec();
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)
            .map_err(|error| QueryError::Invalid(error.to_string().into()))?;
        if batch.num_rows() == 0 {
            continue;
        }
        if left.is_nothing() {
            return Ok(Some(true));
        }
        let (batch, is_cut) = left.take(batch);
        if output.send_batch(batch).is_err() {
            return Ok(None);
        }
        if is_cut {
            return Ok(Some(true));
        }
    }
    Ok(Some(false))
}

/// Rows and bytes that an answer may still have.
struct Left {
    rows: usize,
    bytes: usize,
}

impl Left {
    fn new(limits: QueryLimits) -> Self {
        Self {
            rows: limits.rows,
            bytes: limits.bytes,
        }
    }

    fn is_nothing(&self) -> bool {
        self.rows == 0 || self.bytes == 0
    }

    /// Returns what may still be handed out of a batch, and whether that is not all of it. The
    /// last one may go beyond the limit of bytes.
    fn take(&mut self, batch: RecordBatch) -> (RecordBatch, bool) {
        let rows = batch.num_rows().min(self.rows);
        let is_cut = rows < batch.num_rows();
        let batch = batch.slice(0, rows);
        let bytes: usize = batch
            .columns()
            .iter()
            .map(|column| column.to_data().get_slice_memory_size().unwrap_or(0))
            .sum();
        self.rows -= rows;
        self.bytes = self.bytes.saturating_sub(bytes);
        (batch, is_cut)
    }
}

fn failed(error: duckdb::Error, admitted: &Admitted, sql: &str) -> QueryError {
    let text = match error {
        duckdb::Error::DuckDBFailure(_, Some(text)) => text,
        other => other.to_string(),
    };
    if text.starts_with("INTERRUPT") {
        QueryError::Cancelled
    } else if text.starts_with("Out of Memory") {
        QueryError::Memory
    } else {
        let diagnosis = Diagnosis::of_error(&text, &admitted.sql);
        QueryError::Invalid(diagnosis.located(sql, admitted.shift))
    }
}
