//! How a service's evaluator follows changes around it: the catalog, swapped plugins, pauses of the
//! program, and how far the rules look back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::evaluate::within;
use super::{LOOK_BACK_UNKNOWN, RuleSlot, ServiceEvaluator};
use crate::alerts::engine::Core;
use crate::alerts::evaluator::{RuleEvaluator, TickPeriod};
use crate::alerts::history::Reach;
use crate::alerts::lifecycle;
use crate::alerts::ports::{PortError, RuleRunner};
use crate::domain::{AlertRule, Catalog, UnixMillis};

/// Ticks that were not taken before the time between counts as a pause: a busy machine is late by
/// one or two.
const TICKS_MISSED: i64 = 4;

/// Interval of a service without probes of its own.
const INTERVAL_UNKNOWN: Duration = Duration::from_secs(60);

impl ServiceEvaluator {
    /// Takes over the rules of the catalog. An alert whose rule is gone has to be closed.
    pub(super) fn apply_catalog(&mut self, core: &Core<impl RuleRunner>, catalog: &Catalog) {
        if self.version != catalog.version {
            self.version = catalog.version;
            let was_paused = self.is_paused;
            self.is_paused = catalog.paused.contains_key(&self.service);
            if was_paused && !self.is_paused {
                // Nothing was observed meanwhile, as in a pause of the program.
                self.watched_since_ms = None;
            }
            self.replace_rules(core, catalog);
        }
        let is_suspended = catalog.is_suspended(&self.service);
        let rules = &self.rules;
        self.pending.follow(
            |key| is_suspended || rules.iter().any(|slot| slot.key() == key),
            self.unruled.keys(),
        );
        self.follow_foreseen(core);
    }

    fn replace_rules(&mut self, core: &Core<impl RuleRunner>, catalog: &Catalog) {
        let now_ms = core.clock.now_ms();
        let mut before: BTreeMap<String, RuleSlot> = self
            .rules
            .drain(..)
            .map(|slot| (slot.key().to_owned(), slot))
            .collect();
        for rule in catalog.rules_in_force(&self.service) {
            let no_data_after = lifecycle::no_data_after(rule, catalog);
            let slot = match before.remove(&rule.key) {
                Some(mut slot) if is_same(slot.rule(), rule) => {
                    slot.evaluator.set_rule(Arc::clone(rule), no_data_after);
                    slot
                }
                edited => {
                    let state = match edited {
                        Some(slot) => slot.evaluator.into_state(),
                        // The state of a rule that is back, or from before the start.
                        None => self.unruled.remove(&rule.key).unwrap_or_default(),
                    };
                    RuleSlot {
                        evaluator: RuleEvaluator::new(
                            Arc::clone(rule),
                            no_data_after,
                            state,
                            now_ms,
                        ),
                        look_back: None,
                        is_failing: false,
                        is_withheld: false,
                    }
                }
            };
            self.rules.push(slot);
        }
        for (key, slot) in before {
            core.signals.rule_statuses().forget(&key);
            let state = slot.evaluator.into_state();
            if !state.is_empty() {
                self.unruled.insert(key, state);
            }
        }
    }

    /// Another version may look back further: all rules are asked again when they are needed next.
    pub(super) fn follow_swaps(&mut self, core: &Core<impl RuleRunner>) {
        let swaps = core.rules.swaps();
        if self.swaps != swaps {
            self.swaps = swaps;
            self.rules.iter_mut().for_each(|slot| slot.look_back = None);
        }
    }

    /// Notices time in which the program did not run, or the machine slept: nothing could be
    /// observed in it.
    pub(super) fn follow_clock(
        &mut self,
        core: &Core<impl RuleRunner>,
        tick_ms: Option<UnixMillis>,
    ) {
        let longest_ms = TickPeriod::from(core.settings.tick)
            .ms()
            .saturating_mul(TICKS_MISSED);
        let has_slept = tick_ms
            .zip(self.ticked_ms)
            .is_some_and(|(now_ms, before_ms)| now_ms - before_ms > longest_ms);
        self.ticked_ms = tick_ms.or(self.ticked_ms);
        if self.watched_since_ms.is_none() || has_slept {
            let now_ms = core.clock.now_ms();
            self.watched_since_ms = Some(now_ms);
            self.recall.watch_since(now_ms);
        }
    }

    /// Makes the history reach as far as the rules look back, or notes what is missing.
    pub(super) async fn follow_reach(&mut self, core: &Core<impl RuleRunner>, catalog: &Catalog) {
        let reach = self.reach(core, catalog).await;
        self.recall
            .set_reach(reach, self.watched_since_ms, core.clock.now_ms());
    }

    async fn reach(&mut self, core: &Core<impl RuleRunner>, catalog: &Catalog) -> Reach {
        for index in 0..self.rules.len() {
            if self.rules[index].look_back.is_none() {
                let rule = Arc::clone(self.rules[index].rule());
                let look_back =
                    within(core.settings.rule_deadline, core.rules.look_back(&rule)).await;
                self.note_health(index, look_back.as_ref().err());
                self.rules[index].look_back = look_back.ok();
            }
        }
        let look_back = self
            .rules
            .iter()
            .map(|slot| slot.look_back.unwrap_or(LOOK_BACK_UNKNOWN))
            .max();
        let service = catalog.services.get(&self.service);
        let interval =
            service.and_then(|service| service.probes.iter().map(|probe| probe.interval).max());
        Reach {
            look_back: look_back.unwrap_or_default(),
            interval: interval.unwrap_or(INTERVAL_UNKNOWN),
        }
    }

    /// Logs once that a rule can't be evaluated, and once that it can again. Meanwhile it neither
    /// fires nor resolves.
    pub(super) fn note_health(&mut self, index: usize, error: Option<&PortError>) {
        let slot = &mut self.rules[index];
        let rule = slot.evaluator.rule();
        let (service, name) = (self.service.as_str(), rule.name.as_str());
        match error {
            Some(error) => {
                metrics::counter!("extrack_alert_rule_errors_total", "rule" => rule.key.clone())
                    .increment(1);
                if !slot.is_failing {
                    tracing::error!(service, rule = name, %error, "the rule can't be evaluated, its alert stays as it is");
                }
            }
            None if slot.is_failing => {
                tracing::info!(service, rule = name, "the rule can be evaluated again")
            }
            None => {}
        }
        slot.is_failing = error.is_some();
    }
}

fn is_same(before: &AlertRule, now: &AlertRule) -> bool {
    before.plugin == now.plugin && before.settings == now.settings
}
