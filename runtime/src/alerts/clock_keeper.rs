//! Sees to what waits in the control store when the wall clock jumps: set back, nothing waits
//! longer for it; set ahead, what is due is found at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::ports::PortResult;
use super::signals::AlertSignals;
use crate::store::ControlStore;

/// How soon a jump that the scheduler noticed is seen to.
const PERIOD: Duration = Duration::from_secs(1);

/// Periods after which a failure is reported: another part may be writing, or the disk be full.
const RETRY_PERIODS: u32 = 5;

pub struct ClockKeeper {
    store: ControlStore,
    clock: Arc<dyn Clock>,
    signals: AlertSignals,
    is_clamped: bool,
    back_ms: i64,
    ahead: Duration,
}

impl ClockKeeper {
    pub fn new(store: ControlStore, clock: Arc<dyn Clock>, signals: AlertSignals) -> Self {
        Self {
            store,
            clock,
            signals,
            is_clamped: false,
            back_ms: 0,
            ahead: Duration::ZERO,
        }
    }

    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.look().await {
                tracing::error!(%error, "due moments can't be moved with the clock, it is tried again");
                ticks.reset_after(PERIOD * RETRY_PERIODS);
            }
        }
    }

    pub(super) async fn look(&mut self) -> PortResult<()> {
        let now_ms = self.clock.now_ms();
        if !self.is_clamped {
            let changed = self.store.due_clamp(now_ms).await?;
            self.is_clamped = true;
            self.note(
                changed,
                "the program starts, and the clock may have been set back before",
            );
        }
        let jumps = self.signals.clock_jumps();
        let (back_ms, ahead) = (jumps.back_ms(), jumps.ahead());
        if back_ms != self.back_ms {
            let changed = self
                .store
                .due_set_back(back_ms - self.back_ms, now_ms)
                .await?;
            self.back_ms = back_ms;
            self.note(changed, "the clock was set back");
        }
        if ahead != self.ahead {
            self.ahead = ahead;
            self.signals.wake_all();
        }
        Ok(())
    }

    fn note(&self, changed: u64, why: &str) {
        if changed > 0 {
            tracing::warn!(
                changed,
                "{why}: groups, messages and escalations are due as if it had not been"
            );
            self.signals.wake_all();
        }
    }
}

#[cfg(test)]
mod tests;
