//! The parent's side of a statement's process: starts it, passes its rows on no faster than they
//! are read, and ends it at the deadline, when the query is cancelled, and when nobody reads it any
//! more. What comes from it is bounded and checked: it may be anything.

use std::sync::Arc;
use std::time::Duration;

use arrow_ipc::reader::StreamDecoder;
use duckdb::arrow::buffer::Buffer;
use duckdb::arrow::datatypes::SchemaRef;
use duckdb::arrow::record_batch::RecordBatch;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::output::{Item, Output, Unread};
use super::protocol::{End, Failure, FrameReader, Garbage, Head, Kind};
use super::{QueryLimits, QueryProgress, SqlColumn, memory_of};
use crate::child::{Conversation, Stopped};
use crate::store::results::ResultError;
use crate::store::results::diagnosis::Diagnosis;
use crate::store::results::error::QueryError;
use crate::store::results::gate::Admitted;
use crate::store::results::snapshot::Snapshot;

/// How long a process may take to end that sent its last word, or closed its output.
const LAST_BREATH: Duration = Duration::from_secs(5);

/// Statement under way in a process.
pub(super) struct Statement {
    pub(super) child: Conversation,
    /// As it is sent.
    pub(super) task: Vec<u8>,
    /// What was written, for places of faults in it.
    pub(super) sql: String,
    pub(super) admitted: Admitted,
    pub(super) limits: QueryLimits,
    pub(super) deadline: Instant,
    pub(super) cancel: CancellationToken,
    pub(super) progress: QueryProgress,
    pub(super) kept: Kept,
}

/// Limit of one batch of a process, which has no more memory.
const MAX_MEMORY: usize = 2 << 30;

/// What a statement holds until its process is gone.
pub(super) struct Kept {
    pub(super) _slot: OwnedSemaphorePermit,
    pub(super) _snapshot: Arc<Snapshot>,
    pub(super) _spill: TempDir,
}

/// Why a process is ended.
enum Broken {
    Unread,
    Failed(QueryError),
    /// It closed its output, or sent what is no answer.
    Garbage,
}

impl From<Unread> for Broken {
    fn from(_: Unread) -> Self {
        Self::Unread
    }
}

impl From<Garbage> for Broken {
    fn from(_: Garbage) -> Self {
        Self::Garbage
    }
}

impl Statement {
    /// Hands out the answer, or why there is none.
    pub(super) async fn run(mut self, output: Output) {
        let (deadline, cancel) = (self.deadline, self.cancel.clone());
        let limit = self.limits.timeout;
        let last = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(QueryError::Cancelled),
            () = sleep_until(deadline) => Err(QueryError::Timeout(limit)),
            () = output.unread() => Err(QueryError::Cancelled),
            last = self.pass_on(&output) => match last {
                Ok(end) => Ok(Item::End { is_truncated: end.is_truncated }),
                Err(Broken::Failed(error)) => Ok(Item::Failed(error)),
                Err(Broken::Garbage) => Ok(Item::Failed(self.autopsy().await)),
                Err(Broken::Unread) => Err(QueryError::Cancelled),
            },
        };
        let last = last.map_err(|reason| output.stop(reason));
        self.child.kill().await;
        drop(self.kept);
        if let Ok(last) = last {
            let _ = output.send(last).await;
        }
    }

    /// Passes rows on until the last one.
    async fn pass_on(&mut self, output: &Output) -> Result<End, Broken> {
        // Where the process did not read it, its answer shows why.
        let _ = self.child.input.write_all(&self.task).await;
        let failed = |failure| failed(failure, &self.admitted, &self.sql);
        let mut frames = FrameReader::begin(&mut self.child.output, self.progress.clone()).await?;
        let head = match frames.next().await? {
            (Kind::Head, json) => read::<Head>(&json)?,
            (Kind::Failed, json) => return Err(failed(read(&json)?)),
            _ => return Err(Broken::Garbage),
        };
        let mut rows = Rows::begin(&mut frames, &head.columns).await?;
        let schema = Arc::clone(&rows.schema);
        output.send(Item::Head(head.columns, schema)).await?;
        let mut bytes = 0_usize;
        loop {
            let (kind, content) = frames.next().await?;
            match kind {
                Kind::Rows => {
                    let size = content.len();
                    let batch = rows.batch(content, self.limits).await?;
                    bytes = bytes.saturating_add(memory_of(&batch));
                    // The last batch may go beyond the limit, in several frames.
                    let most = self.limits.bytes.saturating_add(MAX_MEMORY);
                    if bytes > most {
                        return Err(Broken::Garbage);
                    }
                    output.send_batch(batch, size).await?;
                }
                Kind::End => return Ok(read(&content)?),
                Kind::Failed => return Err(failed(read(&content)?)),
                Kind::Head => return Err(Broken::Garbage),
            }
        }
    }

    /// Finds out why a process ended without an answer.
    async fn autopsy(&mut self) -> QueryError {
        let Ok(ended) = timeout(LAST_BREATH, self.child.ended()).await else {
            return QueryError::Crashed("it sent what is no answer".to_owned());
        };
        match ended {
            Ok(()) => QueryError::Crashed("it sent what is no answer".to_owned()),
            Err(Stopped::Cpu | Stopped::WallClock) => QueryError::Timeout(self.limits.timeout),
            Err(Stopped::Memory | Stopped::FileSize | Stopped::Killed) => QueryError::Memory,
            Err(Stopped::Refused(words)) => QueryError::Unavailable(words),
            Err(Stopped::Crashed(words)) => QueryError::Crashed(words),
            Err(Stopped::NotStarted(error)) => QueryError::Unavailable(error.to_string()),
        }
    }
}

fn failed(failure: Failure, admitted: &Admitted, sql: &str) -> Broken {
    Broken::Failed(match failure {
        Failure::Memory => QueryError::Memory,
        Failure::Invalid(text) => {
            let diagnosis = Diagnosis::of_error(&text, &admitted.sql);
            QueryError::Invalid(diagnosis.located(sql, admitted.shift))
        }
        Failure::Broken(text) => ResultError::Sealed(text).into(),
    })
}

/// Content of a frame; nothing in it is nested deeper than the reader of JSON takes.
fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, Garbage> {
    serde_json::from_slice(json).map_err(|_| Garbage)
}

/// Batches out of frames.
struct Rows {
    schema: SchemaRef,
    /// Rows so far.
    count: usize,
}

impl Rows {
    async fn begin<R: AsyncRead + Unpin>(
        frames: &mut FrameReader<R>,
        columns: &[SqlColumn],
    ) -> Result<Self, Garbage> {
        let (Kind::Rows, content) = frames.next().await? else {
            return Err(Garbage);
        };
        let (schema, batch) = decode(content).await?;
        if batch.is_some() || schema.fields().len() != columns.len() {
            return Err(Garbage);
        }
        Ok(Self { schema, count: 0 })
    }

    async fn batch(
        &mut self,
        content: Vec<u8>,
        limits: QueryLimits,
    ) -> Result<RecordBatch, Garbage> {
        let (schema, batch) = decode(content).await?;
        let batch = batch.ok_or(Garbage)?;
        self.count = self.count.saturating_add(batch.num_rows());
        if schema != self.schema || self.count > limits.rows {
            return Err(Garbage);
        }
        Ok(batch)
    }
}

/// Decodes a frame where a panic of the decoder ends nothing else. It takes no memory for what did
/// not come.
async fn decode(content: Vec<u8>) -> Result<(SchemaRef, Option<RecordBatch>), Garbage> {
    let decoding = tokio::task::spawn_blocking(move || {
        let mut decoder = StreamDecoder::new();
        let mut content = Buffer::from_vec(content);
        let mut found = None;
        while !content.is_empty() {
            let batch = decoder.decode(&mut content).map_err(|_| Garbage)?;
            if batch.is_some() && found.is_some() {
                return Err(Garbage);
            }
            found = found.or(batch);
        }
        decoder.finish().map_err(|_| Garbage)?;
        let schema = decoder.schema().ok_or(Garbage)?;
        Ok((schema, found))
    });
    decoding.await.map_err(|_| Garbage)?
}
