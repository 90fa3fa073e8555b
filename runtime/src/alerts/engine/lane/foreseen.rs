//! What the verdicts that can't be committed make of a rule's alert, judged in memory as each of
//! them comes, so that every outage and every end of one is sent while the store is not there. What
//! is committed later is decided on anew.

use super::unsettled::Pending;
use super::{Lane, NOT_YET};
use crate::alerts::engine::Core;
use crate::alerts::lifecycle::{self, alert_of};
use crate::domain::{Alert, Catalog, RuleMemory};

pub(super) struct Foreseen {
    alert: Option<Alert>,
    memory: RuleMemory,
}

impl Lane {
    /// Takes in the newest verdict of a rule, or all that wait if nothing was foreseen yet.
    /// `fault`: why they are not committed.
    pub(super) fn foresee(&mut self, core: &Core, catalog: &Catalog, key: &str, fault: &str) {
        let Some(rule) = self
            .rules
            .iter()
            .find(|slot| slot.rule.key == key)
            .map(|slot| slot.rule.clone())
        else {
            return;
        };
        let (before, is_begun) = match self.foreseen.remove(key) {
            Some(before) => (before, true),
            None => {
                let memory = self.memories.get(key).copied().unwrap_or_default();
                (
                    Foreseen {
                        alert: self.alerts.get(key).cloned(),
                        memory,
                    },
                    false,
                )
            }
        };
        let Foreseen {
            mut alert,
            mut memory,
        } = before;
        let waiting = self.unsettled.of(key);
        let known = if is_begun {
            waiting.len().saturating_sub(1)
        } else {
            0
        };
        for pending in waiting.skip(known) {
            let judged = match pending {
                Pending::Judged { verdict, now_ms } => {
                    lifecycle::judge(alert.as_ref(), &memory, verdict, &rule, *now_ms)
                }
                Pending::Silent { finding, now_ms } => lifecycle::judge_no_data(
                    alert.as_ref(),
                    &memory,
                    finding.clone(),
                    &rule,
                    *now_ms,
                ),
                Pending::Removed => continue,
            };
            memory = judged.memory;
            if let Some(change) = judged.change {
                let now_ms = core.deps.clock.now_ms();
                core.deps
                    .signals
                    .unrecorded()
                    .offer(Some(&rule), &change, catalog, fault, now_ms);
                let changed = alert_of(&change.alert, change.alert.id.unwrap_or(NOT_YET));
                alert = Some(changed).filter(|alert| alert.state.is_open());
            }
        }
        self.foreseen
            .insert(key.to_owned(), Foreseen { alert, memory });
    }

    /// All that the rule led to is committed, or the rule is gone.
    pub(super) fn end_foreseen(&mut self, core: &Core, key: &str) {
        if self.foreseen.remove(key).is_some() {
            core.deps.signals.unrecorded().settled(
                key,
                self.alerts.get(key),
                core.deps.clock.now_ms(),
            );
        }
    }

    /// The rules are these now.
    pub(super) fn follow_foreseen(&mut self, core: &Core) {
        let is_gone = |key: &&String| {
            !self
                .unsettled
                .of(key)
                .any(|pending| !matches!(pending, Pending::Removed))
        };
        let gone: Vec<String> = self.foreseen.keys().filter(is_gone).cloned().collect();
        gone.iter().for_each(|key| self.end_foreseen(core, key));
    }
}
