//! Correction of a service's moments when the wall clock was set back: those that now lie in the
//! future would hold up its rules for as long as the clock was set back by.

use std::sync::Arc;

use super::ServiceEvaluator;
use crate::alerts::engine::Core;
use crate::alerts::ports::RuleRunner;
use crate::domain::Observation;

/// Limit for moments that were kept over a restart: those further in the future are from before the
/// clock was set back.
const FUTURE_MS: i64 = 10 * 60_000;

impl ServiceEvaluator {
    pub(super) fn follow_set_back(&mut self, core: &Core<impl RuleRunner>) {
        let back_ms = core.signals.clock_jumps().back_ms();
        let before_ms = self.set_back_ms.replace(back_ms);
        let by_ms = back_ms - before_ms.unwrap_or(back_ms);
        if before_ms.is_some() && by_ms == 0 {
            return;
        }
        let now_ms = core.clock.now_ms();
        let latest_ms = if by_ms > 0 {
            now_ms
        } else {
            now_ms.saturating_add(FUTURE_MS)
        };
        let ruled = self.rules.iter_mut().map(|slot| slot.evaluator.state_mut());
        ruled
            .chain(self.unruled.values_mut())
            .for_each(|state| state.set_clock_back(latest_ms, now_ms));
        if by_ms == 0 {
            return;
        }
        for slot in &mut self.rules {
            slot.evaluator.set_clock_back(now_ms);
        }
        self.ticked_ms = self.ticked_ms.map(|ms| ms.min(now_ms));
        self.watched_since_ms = self.watched_since_ms.map(|ms| ms.min(now_ms));
        self.recall.set_back(by_ms, self.watched_since_ms);
    }

    /// Returns a run that was stamped before the clock was set back as one that happened now.
    pub(super) fn not_ahead(
        &self,
        core: &Core<impl RuleRunner>,
        observation: &Arc<Observation>,
    ) -> Arc<Observation> {
        let now_ms = core.clock.now_ms();
        if self.set_back_ms.is_some_and(|back_ms| back_ms > 0) && observation.ts_ms > now_ms {
            Arc::new(Observation {
                ts_ms: now_ms,
                ..observation.as_ref().clone()
            })
        } else {
            Arc::clone(observation)
        }
    }
}
