//! The sending side of an answer: waits for its reader, but not for ever.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use duckdb::arrow::datatypes::SchemaRef;
use duckdb::arrow::record_batch::RecordBatch;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::SqlColumn;
use crate::store::results::error::QueryError;

/// Memory of batches that wait for their reader, beside the one that it has.
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

/// Stop signal of a query, with its reason, which overtakes the rows. The first reason counts.
#[derive(Clone, Default)]
pub(super) struct Stop {
    signal: CancellationToken,
    reason: Arc<Mutex<Option<QueryError>>>,
}

impl Stop {
    fn because(&self, reason: QueryError) {
        let mut known = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.signal.is_cancelled() {
            *known = Some(reason);
            self.signal.cancel();
        }
    }

    pub(super) async fn stopped(&self) {
        self.signal.cancelled().await;
    }

    /// Returns the reason, once.
    pub(super) fn reason(&self) -> Option<QueryError> {
        self.reason
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

pub(super) struct Output {
    items: mpsc::Sender<Item>,
    memory: Arc<Semaphore>,
    stop: Stop,
}

/// Nobody reads any more.
pub(super) struct Unread;

impl Output {
    pub(super) fn new(items: mpsc::Sender<Item>, stop: Stop) -> Self {
        Self {
            items,
            memory: Arc::new(Semaphore::new(WAITING_KIB as usize)),
            stop,
        }
    }

    /// Completes when nobody reads the rows any more.
    pub(super) async fn unread(&self) {
        self.items.closed().await;
    }

    /// Has the reader learn at once that there is no answer.
    pub(super) fn stop(&self, reason: QueryError) {
        self.stop.because(reason);
    }

    /// Waits for the reader.
    pub(super) async fn send(&self, item: Item) -> Result<(), Unread> {
        self.within_stall(async { self.items.send(item).await.map_err(|_| Unread) })
            .await
    }

    /// Waits until there is room for a batch of this size.
    pub(super) async fn send_batch(&self, batch: RecordBatch, bytes: usize) -> Result<(), Unread> {
        let kibibytes = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        let share = kibibytes.clamp(1, WAITING_KIB);
        self.within_stall(async {
            let memory = Arc::clone(&self.memory).acquire_many_owned(share).await;
            let item = Item::Batch {
                batch,
                _memory: memory.map_err(|_| Unread)?,
            };
            let sent = self.items.send(item).await;
            sent.map_err(|_| Unread)
        })
        .await
    }

    async fn within_stall(
        &self,
        sending: impl Future<Output = Result<(), Unread>>,
    ) -> Result<(), Unread> {
        match timeout(STALL, sending).await {
            Ok(sent) => sent,
            Err(_) => {
                self.stop.because(QueryError::Stalled(STALL));
                Err(Unread)
            }
        }
    }
}
