//! Turns what has yet to be told into messages: looks at each group when its moment has come, and commits the messages
//! together with what their channels know from then on.
//!
//! It lives from the groups in the control store alone. A crash leaves a group that is due, or messages that wait.

mod decide;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::ports::AlertStore;
use super::signals::AlertSignals;

pub use decide::decide;

/// Groups read at once; each has all its alerts.
const GROUPS: u32 = 128;

/// The groups are looked at this often even if nobody called and nothing is due: the clock may have been set.
const PATROL: Duration = Duration::from_secs(30);

/// Before what failed is tried again, and before a group that changed while it was looked at.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct DispatchDeps {
    pub store: Arc<dyn AlertStore>,
    pub clock: Arc<dyn Clock>,
    pub signals: AlertSignals,
}

pub struct Dispatcher {
    deps: DispatchDeps,
}

impl Dispatcher {
    pub fn new(deps: DispatchDeps) -> Self {
        Self { deps }
    }

    /// Runs until the shutdown, then looks once more, so that what has been decided last is on its way.
    pub async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let wait = self.flush_due().await;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = self.deps.signals.groups_woken() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.flush_due().await;
    }

    /// Flushes every group that is due, and answers how long nothing else is.
    async fn flush_due(&self) -> Duration {
        match self.try_flush_due().await {
            Ok(wait) => wait,
            Err(error) => {
                metrics::counter!("extrack_alert_dispatch_failures_total").increment(1);
                tracing::error!(%error, "groups of alerts can't be read or written, they are tried again");
                RETRY
            }
        }
    }

    async fn try_flush_due(&self) -> super::ports::PortResult<Duration> {
        let store = &self.deps.store;
        let mut changed_meanwhile = 0;
        loop {
            let now_ms = self.deps.clock.now_ms();
            let due = store.group_due(now_ms, GROUPS).await?;
            if due.is_empty() {
                break;
            }
            let flushes: Vec<_> = due.iter().map(|group| decide(group, now_ms)).collect();
            let wanted: usize = flushes.iter().map(|flush| flush.notifications.len()).sum();
            let queued = store.group_flush(flushes, now_ms).await?;
            if queued > 0 {
                metrics::counter!("extrack_notifications_decided_total").increment(queued as u64);
                self.deps.signals.wake_delivery();
            }
            // Whatever changed while it was looked at is read again, at once a few times.
            changed_meanwhile += usize::from(queued < wanted);
            if changed_meanwhile > 3 {
                return Ok(RETRY);
            }
        }
        let Some(next_ms) = store.group_next_due().await? else { return Ok(PATROL) };
        let wait_ms = u64::try_from(next_ms - self.deps.clock.now_ms()).unwrap_or(0);
        Ok(Duration::from_millis(wait_ms).min(PATROL))
    }
}
