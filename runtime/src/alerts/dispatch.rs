//! Turns what people have yet to be notified of into messages: mutes what is to be muted, looks at
//! each group when its moment has come, takes the steps of escalations, and commits the messages
//! together with what their channels know from then on.
//!
//! One loop of one task decides on all of them, under the same mutes, so that no alert that is
//! muted pages by another way. It lives from the control store alone. A crash leaves a group or a
//! step that is due, or messages that wait.

mod decide;
mod group;
mod recovery;
mod steps;
mod sweep;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{AlertGroup, Catalog, UnixMillis};
use crate::store::ControlStore;

use super::clock::Clock;
use super::ports::{PortError, PortResult};
use super::signals::AlertSignals;

pub use decide::decide;
pub use group::first_flush_ms;
pub use recovery::RecoveryHolds;
pub use sweep::{ActiveMutes, has_lost_its_cause, is_quiet_time, mutes_of};

use steps::Steps;
use sweep::Sweep;

/// Groups read at once; each has all its alerts.
const GROUPS: u32 = 128;

/// Interval of the looks at the groups without a call and with nothing due: the clock may have been
/// set.
const PATROL: Duration = Duration::from_secs(30);

/// Pages of groups between two looks at the catalog and the shutdown.
const LOOKS: usize = 16;

/// Pause before what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct DispatchDeps {
    pub store: ControlStore,
    pub clock: Arc<dyn Clock>,
    pub signals: AlertSignals,
}

pub struct Dispatcher {
    deps: DispatchDeps,
    /// Whether some alert was muted at the last look, or there was none yet.
    may_be_muted: bool,
    /// Alerts that stay muted for a while although what muted them has ended.
    recovery_holds: RecoveryHolds,
    /// Where the clock of the holds begins.
    started: Instant,
    steps: Steps,
}

impl Dispatcher {
    pub fn new(deps: DispatchDeps) -> Self {
        let (recovery_holds, started) = (RecoveryHolds::default(), Instant::now());
        Self {
            deps,
            may_be_muted: true,
            recovery_holds,
            started,
            steps: Steps::default(),
        }
    }

    /// Runs until the shutdown, then looks once more, so that what has been decided last is on its
    /// way. Nothing is decided before a catalog was published (version 0 is none), which has the
    /// mutes.
    pub async fn run(
        mut self,
        mut catalog: watch::Receiver<Arc<Catalog>>,
        shutdown: CancellationToken,
    ) {
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
            catalog.mark_unchanged();
            let wait = self.look(&catalog).await;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = self.deps.signals.groups_woken() => {}
                changed = catalog.changed(), if is_published => is_published = changed.is_ok(),
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.look(&catalog).await;
    }

    /// Mutes, flushes every group and takes every step that is due. Returns how long there is
    /// nothing else to do.
    pub(super) async fn look(&mut self, catalog: &watch::Receiver<Arc<Catalog>>) -> Duration {
        match self.try_look(catalog).await {
            Ok(wait) => wait,
            Err(error) => {
                metrics::counter!("extrack_alert_dispatch_failures_total").increment(1);
                tracing::error!(%error, "groups of alerts can't be read or written, they are tried again");
                RETRY
            }
        }
    }

    async fn try_look(&mut self, catalog: &watch::Receiver<Arc<Catalog>>) -> PortResult<Duration> {
        self.steps.begin_look();
        for _ in 0..LOOKS {
            // Read before the sweep, so that it has seen all of their alerts. What changes from
            // here on, be it by the sweep, is not decided on: the commit refuses it,
            // and it is read again.
            let due_ms = self.deps.clock.now_ms();
            let groups = self.deps.store.group_due(due_ms, GROUPS).await?;
            let steps = self.steps_due(due_ms).await?;
            let sweep = self.sweep(catalog).await?;
            if groups.is_empty() && steps.is_empty() && sweep.failed.is_none() {
                self.deps.signals.set_warnings(self.steps.warnings());
                return self.wait(due_ms, sweep.next_change_ms).await;
            }
            if !groups.is_empty() {
                self.flush(groups, &sweep).await?;
            }
            self.take(steps, &sweep).await;
            if let Some(error) = sweep.failed {
                return Err(error);
            }
        }
        // More is due: the loop looks at the shutdown in between.
        Ok(Duration::ZERO)
    }

    async fn flush(&self, groups: Vec<AlertGroup>, sweep: &Sweep) -> PortResult<()> {
        let now_ms = self.deps.clock.now_ms();
        let mutes = sweep.mutes.at(&sweep.firing, now_ms);
        let mut flushes = Vec::with_capacity(groups.len());
        for mut group in groups {
            let is_ahead = sweep.apply(&mut group, &mutes);
            let learned = self.deps.signals.unrecorded().take_over(&mut group);
            let mut flush = decide(
                &group,
                is_quiet_time(&group, &sweep.catalog, now_ms),
                now_ms,
            );
            flush.learn(learned);
            if is_ahead {
                flush.flush_at_ms = flush.flush_at_ms.or(group.flush_at_ms);
            }
            flushes.push(flush);
        }
        // What changed while it was looked at stays due, and is read again.
        let unrecorded = self.deps.signals.unrecorded();
        let queued = self
            .deps
            .store
            .group_flush(&flushes, now_ms)
            .await
            .map_err(PortError::from)
            .inspect_err(|error| unrecorded.offer_flushes(&flushes, &error.0, now_ms))?;
        unrecorded.flushed(&flushes);
        if queued > 0 {
            metrics::counter!("extrack_notifications_decided_total").increment(queued as u64);
            self.deps.signals.wake_delivery();
        }
        Ok(())
    }

    /// Returns the time until something is due that was not at a moment, or a silence, a window or
    /// a hold begins or ends.
    async fn wait(
        &self,
        due_ms: UnixMillis,
        next_change_ms: Option<UnixMillis>,
    ) -> PortResult<Duration> {
        let next_group_ms = self.deps.store.group_next_due(due_ms).await?;
        let next_step_ms = self.deps.store.escalation_next_due(due_ms).await?;
        let next_ms = next_group_ms
            .into_iter()
            .chain(next_step_ms)
            .chain(next_change_ms)
            .min();
        let now_ms = self.deps.clock.now_ms();
        let wait = next_ms.map_or(PATROL, |next_ms| millis_until(next_ms, now_ms));
        let steady_ms = self.started.elapsed().as_millis() as i64;
        let held = self
            .recovery_holds
            .next_end_ms()
            .map_or(PATROL, |end_ms| millis_until(end_ms, steady_ms));
        let retry = if self.steps.have_failed() {
            RETRY
        } else {
            PATROL
        };
        Ok(wait.min(held).min(retry).min(PATROL))
    }
}

fn millis_until(moment_ms: i64, now_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(moment_ms.saturating_sub(now_ms)).unwrap_or(0))
}
