//! Writes what the tracker decided. What is not written is kept and tried again.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{IncidentCopy, IncidentTracker};
use crate::domain::now_ms;
use crate::store::{ControlError, ControlStore};

/// Incidents written in one transaction: some milliseconds of the writer.
const BATCH: usize = 100;
const RETRY: Duration = Duration::from_secs(5);

pub struct IncidentWriter {
    tracker: Arc<IncidentTracker>,
    store: ControlStore,
    wake_copy: Arc<tokio::sync::Notify>,
}

impl IncidentWriter {
    pub fn new(tracker: Arc<IncidentTracker>, store: ControlStore, copy: &IncidentCopy) -> Self {
        Self {
            tracker,
            store,
            wake_copy: copy.wake(),
        }
    }

    /// Runs until the shutdown, then writes what is left.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut is_failing = false;
        loop {
            let written = self.write().await;
            let wait = async {
                match &written {
                    Ok(()) => self.tracker.woken().await,
                    Err(_) => tokio::time::sleep(RETRY).await,
                }
            };
            match &written {
                Ok(()) if std::mem::take(&mut is_failing) => {
                    tracing::info!("incidents are written again");
                }
                Ok(()) => {}
                // Said once: a full disk may last.
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error, "incidents can't be written; they are kept and tried again");
                    }
                }
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = wait => {}
            }
        }
        if let Err(error) = self.write().await {
            tracing::warn!(%error, "the last incidents were not written, the next start decides on them again");
        }
    }

    async fn write(&self) -> Result<(), ControlError> {
        loop {
            let batch = self.tracker.take_unsaved(BATCH);
            if batch.is_empty() {
                return Ok(());
            }
            match self.store.incident_put(&batch, None, now_ms()).await {
                Ok(_) => self.wake_copy.notify_one(),
                Err(error) => {
                    self.tracker.give_back(batch);
                    return Err(error);
                }
            }
        }
    }
}
