//! Turns what has yet to be told into messages: mutes what is to be muted, looks at each group when its moment has come, and
//! commits the messages together with what their channels know from then on.
//!
//! It lives from the groups in the control store alone. A crash leaves a group that is due, or messages that wait.

mod decide;
mod group;
mod sweep;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::{Catalog, UnixMillis};

use super::clock::Clock;
use super::ports::{AlertStore, PortResult};
use super::signals::AlertSignals;

pub use decide::decide;
pub use group::first_flush_ms;
pub use sweep::{is_quiet_time, labelled, mutes_of};

/// Groups read at once; each has all its alerts.
const GROUPS: u32 = 128;

/// The groups are looked at this often even if nobody called and nothing is due: the clock may have been set.
const PATROL: Duration = Duration::from_secs(30);

/// Pages of groups between two looks at the catalog and the shutdown.
const LOOKS: usize = 16;

/// Before what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct DispatchDeps {
    pub store: Arc<dyn AlertStore>,
    pub clock: Arc<dyn Clock>,
    pub signals: AlertSignals,
}

pub struct Dispatcher {
    deps: DispatchDeps,
    /// Some alert was muted when it was looked at last, or nobody has looked yet.
    may_be_muted: bool,
}

impl Dispatcher {
    pub fn new(deps: DispatchDeps) -> Self {
        Self { deps, may_be_muted: true }
    }

    /// Runs until the shutdown, then looks once more, so that what has been decided last is on its way. Nothing is told before a
    /// catalog was published (version 0 is none), which says what mutes what.
    pub async fn run(mut self, mut catalog: watch::Receiver<Arc<Catalog>>, shutdown: CancellationToken) {
        let published = async {
            // An error means that the publisher is gone; the shutdown follows.
            let _ = catalog.wait_for(|catalog| catalog.version > 0).await;
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = published => {}
        }
        let mut is_published = true;
        while !shutdown.is_cancelled() {
            let current = catalog.borrow_and_update().clone();
            let wait = self.look(current).await;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = self.deps.signals.groups_woken() => {}
                changed = catalog.changed(), if is_published => is_published = changed.is_ok(),
                () = tokio::time::sleep(wait) => {}
            }
        }
        let current = catalog.borrow().clone();
        self.look(current).await;
    }

    /// Mutes, then flushes every group that is due. Answers how long there is nothing else to do.
    async fn look(&mut self, catalog: Arc<Catalog>) -> Duration {
        match self.try_look(catalog).await {
            Ok(wait) => wait,
            Err(error) => {
                metrics::counter!("extrack_alert_dispatch_failures_total").increment(1);
                tracing::error!(%error, "groups of alerts can't be read or written, they are tried again");
                RETRY
            }
        }
    }

    async fn try_look(&mut self, catalog: Arc<Catalog>) -> PortResult<Duration> {
        for _ in 0..LOOKS {
            let sweep = self.sweep(Arc::clone(&catalog)).await?;
            let now_ms = self.deps.clock.now_ms();
            let due = self.deps.store.group_due(now_ms, GROUPS).await?;
            if due.is_empty() {
                return self.wait(sweep.next_change_ms).await;
            }
            let mut flushes = Vec::with_capacity(due.len());
            for mut group in due.into_iter().filter(|group| sweep.covers(group)) {
                sweep.hold(&mut group, now_ms);
                let learned = self.deps.signals.unrecorded().take_over(&mut group);
                let mut flush = decide(&group, is_quiet_time(&group, &catalog, now_ms), now_ms);
                flush.learn(learned);
                flushes.push(flush);
            }
            // What changed while it was looked at stays due, and is read again.
            let offered = flushes.clone();
            let queued = self.deps.store.group_flush(flushes, now_ms).await.inspect_err(|error| {
                self.deps.signals.unrecorded().offer_flushes(&offered, &error.0, now_ms);
            })?;
            self.deps.signals.unrecorded().flushed(&offered);
            if queued > 0 {
                metrics::counter!("extrack_notifications_decided_total").increment(queued as u64);
                self.deps.signals.wake_delivery();
            }
        }
        // More is due: the loop looks at the shutdown in between.
        Ok(Duration::ZERO)
    }

    /// Until a group is due, or a silence or a window begins or ends.
    async fn wait(&self, next_change_ms: Option<UnixMillis>) -> PortResult<Duration> {
        let next_group_ms = self.deps.store.group_next_due().await?;
        let Some(next_ms) = next_group_ms.into_iter().chain(next_change_ms).min() else { return Ok(PATROL) };
        let wait_ms = u64::try_from(next_ms - self.deps.clock.now_ms()).unwrap_or(0);
        Ok(Duration::from_millis(wait_ms).min(PATROL))
    }
}
