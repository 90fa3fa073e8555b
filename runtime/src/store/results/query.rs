//! SQL that users write: gated, and run in a process of its own on what is committed, with a limit
//! on rows, bytes and time. Answers are streams of Arrow batches, from which every format is made.

mod execute;
mod output;
mod params;
mod percent;
mod process;
mod protocol;
mod runner;
mod settings;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use duckdb::arrow::array::Array;
use duckdb::arrow::datatypes::SchemaRef;
use duckdb::arrow::record_batch::RecordBatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::value::{Form, cell};
use super::{QueryError, ResultError, ResultStore};
use crate::domain::UnixMillis;
use output::{Item, Stop};
pub use params::QueryParams;
pub(super) use params::values as bound_values;
pub use percent::QueryProgress;
pub(super) use runner::Runner;
pub use settings::SqlSettings;
pub use worker::{SQL_SUBCOMMAND, sql_child};
#[cfg(test)]
pub(super) use worker::{of_database, work};

/// Time that finding the columns of a query may take.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(30);

/// What one answer in JSON holds at most, whatever the rows.
const MAX_JSON_BYTES: usize = 32 * 1024 * 1024;

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct QueryLimits {
    pub rows: usize,
    /// Memory that the answer takes as Arrow; the batch that goes beyond is the last one.
    pub bytes: usize,
    /// From the request to the last row, waiting for a slot included.
    pub timeout: Duration,
}

/// A statement with the values of its parameters.
#[derive(Debug, Clone)]
pub struct QueryRequest {
    pub sql: String,
    pub params: QueryParams,
    pub limits: QueryLimits,
    /// Ends the query with [`QueryError::Cancelled`].
    pub cancel: CancellationToken,
    /// Shows how far it is.
    pub progress: QueryProgress,
}

impl QueryRequest {
    pub fn new(sql: impl Into<String>, limits: QueryLimits) -> Self {
        Self {
            sql: sql.into(),
            params: QueryParams::default(),
            limits,
            cancel: CancellationToken::new(),
            progress: QueryProgress::default(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Whether the guard lets a query through, whatever the values of its parameters; it is not
    /// run.
    pub fn query_check(&self, sql: &str) -> Result<(), QueryError> {
        self.gate.check(sql).map(drop)
    }

    /// Returns the identifiers of the parameters of a query that the guard lets through.
    pub fn query_parameters(&self, sql: &str) -> Result<Vec<String>, QueryError> {
        self.gate.check(sql).map(|admitted| admitted.parameters)
    }

    /// Returns the columns that a query without parameters has. Its process is ended as soon as it
    /// has named them.
    pub async fn query_columns(&self, sql: &str) -> Result<Vec<SqlColumn>, QueryError> {
        let limits = QueryLimits {
            rows: 0,
            bytes: 0,
            timeout: DESCRIBED_WITHIN,
        };
        let stream = self.query_stream(QueryRequest::new(sql, limits)).await?;
        Ok(stream.columns().to_vec())
    }

    /// Returns all rows at once.
    pub async fn query(&self, sql: &str, limits: QueryLimits) -> Result<SqlAnswer, QueryError> {
        let stream = self.query_stream(QueryRequest::new(sql, limits)).await?;
        stream.into_answer().await
    }

    /// Returns when the first rows are on their way. A stream that is dropped ends its query.
    pub async fn query_stream(&self, request: QueryRequest) -> Result<QueryStream, QueryError> {
        let deadline = Instant::now() + request.limits.timeout;
        let cancel = request.cancel.clone();
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(QueryError::Cancelled),
            started = self.query_start(request, deadline) => started,
        }
    }

    async fn query_start(
        &self,
        request: QueryRequest,
        deadline: Instant,
    ) -> Result<QueryStream, QueryError> {
        let runner = Runner {
            gate: Arc::clone(&self.gate),
            slots: Arc::clone(&self.queries),
            settings: self.sql.clone(),
            folder: self.staging(),
        };
        let ready = runner.admit(request, deadline).await?;
        let tables: Vec<&str> = ready.tables().iter().map(String::as_str).collect();
        let snapshot = timeout_at(deadline, self.snapshot(&tables))
            .await
            .map_err(|_| ready.timed_out())??;
        runner.start(ready, snapshot).await
    }
}

/// Memory that a batch takes of its own, whatever its columns are parts of.
pub fn memory_of(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    columns
        .map(|column| column.to_data().get_slice_memory_size().unwrap_or(0))
        .sum()
}

/// Rows of a query that runs, in batches. The query waits for its reader, and ends with it.
pub struct QueryStream {
    columns: Vec<SqlColumn>,
    schema: SchemaRef,
    data_to_ms: UnixMillis,
    missing: Vec<String>,
    items: mpsc::Receiver<Item>,
    stop: Stop,
    is_truncated: Option<bool>,
}

impl QueryStream {
    async fn begin(
        items: mpsc::Receiver<Item>,
        stop: Stop,
        data_to_ms: UnixMillis,
    ) -> Result<Self, QueryError> {
        let mut stream = Self {
            columns: Vec::new(),
            schema: SchemaRef::new(duckdb::arrow::datatypes::Schema::empty()),
            data_to_ms,
            missing: Vec::new(),
            items,
            stop,
            is_truncated: None,
        };
        match stream.item().await? {
            Item::Head(columns, schema) => Ok(Self {
                columns,
                schema,
                ..stream
            }),
            _ => Err(ResultError::Reader.into()),
        }
    }

    pub fn columns(&self) -> &[SqlColumn] {
        &self.columns
    }

    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Returns the moment up to which results are committed, and so in the answer.
    pub fn data_to_ms(&self) -> UnixMillis {
        self.data_to_ms
    }

    /// Returns the days whose rows are not in the answer, because their files in the archive are
    /// damaged.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Returns whether rows were left out; none until the last batch was read.
    pub fn is_truncated(&self) -> Option<bool> {
        self.is_truncated
    }

    /// Returns the next rows; none at the end.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        if self.is_truncated.is_some() {
            return Ok(None);
        }
        match self.item().await? {
            Item::Batch { batch, .. } => Ok(Some(batch)),
            Item::End { is_truncated } => {
                self.is_truncated = Some(is_truncated);
                Ok(None)
            }
            _ => Err(ResultError::Reader.into()),
        }
    }

    async fn item(&mut self) -> Result<Item, QueryError> {
        let item = tokio::select! {
            biased;
            () = self.stop.stopped() => None,
            item = self.items.recv() => item,
        };
        match item {
            Some(Item::Failed(error)) => Err(self.stop.reason().unwrap_or(error)),
            Some(item) => Ok(item),
            // It was stopped, or its thread ended without a word.
            None => Err(self.stop.reason().unwrap_or(ResultError::Reader.into())),
        }
    }

    /// Returns all rows as JSON, as many as one answer may have.
    pub async fn into_answer(mut self) -> Result<SqlAnswer, QueryError> {
        let (mut rows, mut bytes, mut is_cut) = (Vec::new(), 0, false);
        while !is_cut && let Some(batch) = self.next().await? {
            let columns = self.columns.clone();
            let read = move || {
                let (mut rows, mut more) = (Vec::new(), 0);
                let writer = JsonRows::new(&columns);
                for row in 0..batch.num_rows() {
                    if bytes + more >= MAX_JSON_BYTES {
                        return Ok((rows, more, true));
                    }
                    rows.push(writer.row(&batch, row, &mut more)?);
                }
                Ok::<_, QueryError>((rows, more, false))
            };
            let read = tokio::task::spawn_blocking(read).await;
            let (mut found, more, cut) = read.map_err(|_| ResultError::Reader)??;
            rows.append(&mut found);
            bytes += more;
            is_cut = cut;
        }
        Ok(SqlAnswer {
            columns: self.columns,
            rows,
            truncated: is_cut || self.is_truncated.unwrap_or(false),
        })
    }
}

/// Rows of Arrow batches as JSON: 64-bit and decimal numbers exact, moments in RFC 3339.
pub struct JsonRows {
    forms: Vec<Form>,
}

impl JsonRows {
    pub fn new(columns: &[SqlColumn]) -> Self {
        let forms = columns.iter().map(|column| Form::of(&column.kind));
        Self {
            forms: forms.collect(),
        }
    }

    /// Returns one row, and adds to `bytes` what it takes in an answer.
    pub fn row(
        &self,
        batch: &RecordBatch,
        row: usize,
        bytes: &mut usize,
    ) -> Result<Vec<Value>, QueryError> {
        batch
            .columns()
            .iter()
            .zip(&self.forms)
            .map(|(column, form)| cell(column, row, *form, bytes))
            .collect::<Result<_, String>>()
            .map_err(|message| QueryError::Invalid(message.into()))
    }
}
