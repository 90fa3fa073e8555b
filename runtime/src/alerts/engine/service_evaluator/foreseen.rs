//! Changes that can't be committed, applied to a rule's alert in memory as each of them comes, so
//! that every outage and every end of one is sent while the store is not there. A commit that
//! succeeds later decides anew.

use super::ServiceEvaluator;
use super::pending::PendingChange;
use crate::alerts::engine::Core;
use crate::alerts::ports::RuleRunner;
use crate::domain::Catalog;

impl ServiceEvaluator {
    /// Takes in the newest change of a rule, or all that are pending if nothing was foreseen yet.
    /// `fault`: why they are not committed.
    pub(super) fn foresee(
        &mut self,
        core: &Core<impl RuleRunner>,
        catalog: &Catalog,
        key: &str,
        fault: &str,
    ) {
        let Some(rule) = self.slot(key).map(|slot| slot.rule().clone()) else {
            return;
        };
        let pending = self.pending.of(key);
        let (mut state, known) = match self.foreseen.remove(key) {
            Some(state) => (state, pending.len().saturating_sub(1)),
            None => (self.state(key).cloned().unwrap_or_default(), 0),
        };
        for change in pending.skip(known) {
            let PendingChange::Outcome(outcome) = change else {
                continue;
            };
            let decided = state.decide(outcome, &rule);
            if let Some(change) = &decided.change {
                let now_ms = core.clock.now_ms();
                core.signals
                    .unrecorded()
                    .offer(Some(&rule), change, catalog, fault, now_ms);
            }
            state.apply(&decided);
        }
        self.foreseen.insert(key.to_owned(), state);
    }

    /// Ends what was foreseen of a rule: all of it is committed, or the rule is gone.
    pub(super) fn end_foreseen(&mut self, core: &Core<impl RuleRunner>, key: &str) {
        if self.foreseen.remove(key).is_some() {
            let alert = self.state(key).and_then(|state| state.alert.as_ref());
            core.signals
                .unrecorded()
                .settled(key, alert, core.clock.now_ms());
        }
    }

    /// Ends what was foreseen of rules that are gone.
    pub(super) fn follow_foreseen(&mut self, core: &Core<impl RuleRunner>) {
        let is_gone = |key: &&String| {
            !self
                .pending
                .of(key)
                .any(|pending| !matches!(pending, PendingChange::Removed))
        };
        let gone: Vec<String> = self.foreseen.keys().filter(is_gone).cloned().collect();
        gone.iter().for_each(|key| self.end_foreseen(core, key));
    }
}
