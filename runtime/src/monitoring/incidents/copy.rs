//! Carries incidents from the control store to the results.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::{Incident, UnixMillis};
use crate::store::carrier::{Carried, carry_all};
use crate::store::{ControlStore, ResultError, ResultStore};

pub struct IncidentCopy {
    store: ControlStore,
    results: ResultStore,
    wake: Arc<Notify>,
}

impl IncidentCopy {
    pub fn new(store: ControlStore, results: ResultStore) -> Self {
        Self {
            store,
            results,
            wake: Arc::default(),
        }
    }

    /// Returns what wakes it after a change.
    pub(super) fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Runs until the shutdown, then copies what is left.
    pub async fn run(self, shutdown: CancellationToken) {
        carry_all(self, shutdown).await;
    }
}

/// Why a page of incidents was not carried over.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("reading the control store: {0}")]
    Control(#[from] crate::store::ControlError),
    #[error("the results: {0}")]
    Results(#[from] ResultError),
}

impl Carried for IncidentCopy {
    type Row = Incident;
    type Error = CopyError;

    const WHAT: &'static str = "incidents";
    /// An alert is noted at an incident without a call.
    const PATROL: Duration = Duration::from_secs(10);

    fn key(row: &Incident) -> (i64, UnixMillis) {
        (row.change_id, row.changed_ms)
    }

    async fn after(&self, id: i64, limit: u32) -> Result<Vec<Incident>, CopyError> {
        Ok(self.store.incident_after(id, limit).await?)
    }

    async fn last(&self) -> Result<Option<(i64, UnixMillis)>, CopyError> {
        Ok(self.results.incident_last().await?)
    }

    async fn append(&self, rows: Vec<Incident>) -> Result<(), CopyError> {
        Ok(self.results.incident_append(rows).await?)
    }

    async fn woken(&self) {
        self.wake.notified().await;
    }
}
