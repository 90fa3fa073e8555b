//! Carries incidents from the control store to the results, by the ids of their changes. The results
//! leave out what they have, so that a crash between the two stores loses and repeats nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::store::{ControlStore, ResultError, ResultStore};

/// Incidents read at once.
const BATCH: u32 = 500;
/// Interval of the looks without a call: an alert is noted at an incident without one.
const PATROL: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(5);

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
}

/// Why a page of incidents was not carried over.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    #[error("reading the control store: {0}")]
    Control(#[from] crate::store::ControlError),
    #[error("the results: {0}")]
    Results(#[from] ResultError),
}

impl IncidentCopy {
    /// Runs until the shutdown, then copies what is left.
    pub async fn run(self, shutdown: CancellationToken) {
        // Unknown until the results have answered.
        let mut copied = None;
        let mut is_failing = false;
        loop {
            let wait = match self.copy(&mut copied).await {
                Ok(()) => {
                    if std::mem::take(&mut is_failing) {
                        tracing::info!("incidents are copied to the results again");
                    }
                    PATROL
                }
                Err(error) => {
                    // Said once: an outage of the results may last.
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error, "incidents can't be copied to the results; they are kept and tried again");
                    }
                    RETRY
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        if let Err(error) = self.copy(&mut copied).await {
            tracing::warn!(%error, "the last incidents were not copied to the results, the next start does it");
        }
    }

    pub(super) async fn copy(&self, copied: &mut Option<i64>) -> Result<(), CopyError> {
        let mut last = match *copied {
            Some(id) => id,
            None => self.watermark().await?,
        };
        loop {
            *copied = Some(last);
            let incidents = self.store.incident_after(last, BATCH).await?;
            let is_all = incidents.len() < BATCH as usize;
            if let Some(incident) = incidents.last() {
                last = incident.change_id;
                self.results.incident_append(incidents).await?;
                *copied = Some(last);
            }
            if is_all {
                return Ok(());
            }
        }
    }

    /// The last change that both stores have; 0, by which all are offered, where the incident has
    /// changed since, or the control store is another one.
    async fn watermark(&self) -> Result<i64, CopyError> {
        let Some((id, ts_ms)) = self.results.incident_last().await? else {
            return Ok(0);
        };
        let found = self.store.incident_after(id - 1, 1).await?;
        let is_same = found
            .first()
            .is_some_and(|incident| (incident.change_id, incident.changed_ms) == (id, ts_ms));
        Ok(if is_same { id } else { 0 })
    }
}
