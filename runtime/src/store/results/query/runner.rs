//! The way of a statement from its text to its process: the gate, a place among those that run, and
//! the files that it reads, which somebody else finds.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use super::output::{Output, Stop, WAITING};
use super::{QueryRequest, QueryStream, SqlSettings};
use crate::store::results::error::{QueryError, ResultError};
use crate::store::results::gate::{Admitted, Gate};
use crate::store::results::lineage::behind;
use crate::store::results::snapshot::Snapshot;

/// What statements are run with.
pub(in crate::store::results) struct Runner {
    pub(in crate::store::results) gate: Arc<Gate>,
    /// Statements at the same time.
    pub(in crate::store::results) slots: Arc<Semaphore>,
    pub(in crate::store::results) settings: SqlSettings,
    /// Folder for large sorts.
    pub(in crate::store::results) folder: PathBuf,
}

/// A statement that may run, and has a place among those that do.
pub(in crate::store::results) struct Ready {
    admitted: Admitted,
    request: QueryRequest,
    slot: OwnedSemaphorePermit,
    deadline: Instant,
    tables: Vec<String>,
}

impl Ready {
    /// Tables of the schema `fact` that it reads.
    pub(in crate::store::results) fn tables(&self) -> &[String] {
        &self.tables
    }

    pub(in crate::store::results) fn timed_out(&self) -> QueryError {
        QueryError::Timeout(self.request.limits.timeout)
    }
}

impl Runner {
    /// Asks the gate, which takes its time for long statements, and waits for a place.
    pub(in crate::store::results) async fn admit(
        &self,
        request: QueryRequest,
        deadline: Instant,
    ) -> Result<Ready, QueryError> {
        if let Some(reason) = self.settings.unavailable() {
            return Err(QueryError::Unavailable(reason));
        }
        let gate = Arc::clone(&self.gate);
        let judging = tokio::task::spawn_blocking(move || {
            let admitted = gate.admit(&request.sql, &request.params)?;
            Ok::<_, QueryError>((admitted, request))
        });
        let (admitted, request) = judging.await.map_err(|_| ResultError::Reader)??;
        let slot = timeout_at(deadline, Arc::clone(&self.slots).acquire_owned())
            .await
            .map_err(|_| QueryError::Busy)?
            .map_err(|_| ResultError::Closed)?;
        let lineage = behind(admitted.names.needed.iter().map(String::as_str));
        Ok(Ready {
            admitted,
            request,
            slot,
            deadline,
            tables: lineage.tables.into_iter().collect(),
        })
    }

    /// Returns when the first rows are on their way.
    pub(in crate::store::results) async fn start(
        &self,
        ready: Ready,
        snapshot: Arc<Snapshot>,
    ) -> Result<QueryStream, QueryError> {
        let Ready {
            admitted,
            request,
            slot,
            deadline,
            ..
        } = ready;
        let (data_to_ms, missing) = (snapshot.data_to_ms, snapshot.missing.clone());
        let (settings, folder) = (self.settings.clone(), self.folder.clone());
        let started = tokio::task::spawn_blocking(move || {
            settings.start(request, admitted, snapshot, slot, deadline, &folder)
        });
        let statement = started.await.map_err(|_| ResultError::Reader)??;
        let (sender, items) = mpsc::channel(WAITING);
        let stop = Stop::default();
        tokio::spawn(statement.run(Output::new(sender, stop.clone())));
        let stream = QueryStream::begin(items, stop, data_to_ms).await?;
        Ok(QueryStream { missing, ..stream })
    }
}
