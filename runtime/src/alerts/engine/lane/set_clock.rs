//! What a lane does when the wall clock was set back: moments that it keeps in mind and that now
//! lie in the future would hold up its rules for as long as the clock was set back by.

use std::sync::Arc;

use super::Lane;
use crate::alerts::engine::Core;
use crate::domain::{AlertState, Observation};

/// What was kept over a restart and is from further in the future than this is from before the
/// clock was set back.
const FUTURE_MS: i64 = 10 * 60_000;

impl Lane {
    pub(super) fn follow_set_back(&mut self, core: &Core) {
        let back_ms = core.deps.signals.clock_jumps().back_ms();
        let before_ms = self.set_back_ms.replace(back_ms);
        let by_ms = back_ms - before_ms.unwrap_or(back_ms);
        if before_ms.is_some() && by_ms == 0 {
            return;
        }
        let now_ms = core.deps.clock.now_ms();
        let latest_ms = if by_ms > 0 {
            now_ms
        } else {
            now_ms.saturating_add(FUTURE_MS)
        };
        for alert in self
            .alerts
            .values_mut()
            .filter(|alert| alert.state == AlertState::Pending)
        {
            if alert.started_ms > latest_ms {
                alert.started_ms = now_ms;
            }
        }
        for memory in self.memories.values_mut() {
            memory.clear_since_ms = memory
                .clear_since_ms
                .map(|ms| if ms > latest_ms { now_ms } else { ms });
        }
        if by_ms == 0 {
            return;
        }
        for slot in &mut self.rules {
            slot.judged_ms = slot.judged_ms.min(now_ms);
            slot.ticked_ms = slot.ticked_ms.min(now_ms);
        }
        self.ticked_ms = self.ticked_ms.map(|ms| ms.min(now_ms));
        self.watched_since_ms = self.watched_since_ms.map(|ms| ms.min(now_ms));
        self.recall.set_back(by_ms, self.watched_since_ms);
    }

    /// A run that was stamped before the clock was set back happened now at the latest.
    pub(super) fn not_ahead(
        &self,
        core: &Core,
        observation: &Arc<Observation>,
    ) -> Arc<Observation> {
        let now_ms = core.deps.clock.now_ms();
        match self.set_back_ms.is_some_and(|back_ms| back_ms > 0) && observation.ts_ms > now_ms {
            true => Arc::new(Observation {
                ts_ms: now_ms,
                ..observation.as_ref().clone()
            }),
            false => Arc::clone(observation),
        }
    }
}
