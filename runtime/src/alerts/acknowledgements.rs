//! Watches over acknowledgements: one whose time is over returns its alert to firing, and that is
//! news.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::actions::commit;
use super::clock::Clock;
use super::lifecycle;
use super::ports::{CommitError, PortResult};
use super::signals::AlertSignals;
use crate::store::ControlStore;

/// Interval of the checks without a call: the clock may have been set.
const PATROL: Duration = Duration::from_secs(30);

/// Pause before what failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Read at once.
const PAGE: u32 = 100;

pub struct AcknowledgementWatch {
    store: ControlStore,
    clock: Arc<dyn Clock>,
    signals: AlertSignals,
}

impl AcknowledgementWatch {
    pub fn new(store: ControlStore, clock: Arc<dyn Clock>, signals: AlertSignals) -> Self {
        Self {
            store,
            clock,
            signals,
        }
    }

    /// Runs until the shutdown. What runs out meanwhile is found at the next start.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            let wait = match self.expire().await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(%error, "acknowledgements that ran out can't be ended, they are tried again");
                    RETRY
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.signals.acknowledged_woken() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Ends those that ran out, and answers how long none does.
    async fn expire(&self) -> PortResult<Duration> {
        loop {
            let expiring = self.store.alert_expiring(PAGE).await?;
            let now_ms = self.clock.now_ms();
            let mut ended = 0;
            for alert in &expiring {
                let Some(change) = lifecycle::expire(alert, now_ms) else {
                    break;
                };
                ended += 1;
                match commit(&self.store, &self.signals, change, None).await {
                    // Somebody else was faster.
                    Ok(_) | Err(CommitError::Changed(_)) => {}
                    Err(CommitError::Port(error)) => return Err(error),
                }
            }
            if ended > 0 {
                continue;
            }
            let until_ms = expiring
                .first()
                .and_then(|alert| alert.flags.acknowledged.as_ref()?.until_ms);
            let wait = until_ms.map(|until_ms| {
                Duration::from_millis(u64::try_from(until_ms - now_ms).unwrap_or(0))
            });
            return Ok(wait.unwrap_or(PATROL).min(PATROL));
        }
    }
}

#[cfg(test)]
mod tests;
