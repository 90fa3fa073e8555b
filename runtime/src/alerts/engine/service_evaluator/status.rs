//! Rules without data, and the status of each rule for people who ask.

use super::ServiceEvaluator;
use super::pending::PendingChange;
use crate::alerts::engine::Core;
use crate::alerts::evaluator::Evaluation;
use crate::alerts::ports::RuleRunner;
use crate::domain::{Catalog, UnixMillis};

impl ServiceEvaluator {
    /// Whether some rule has been without a verdict for too long, and that was not acted on yet.
    pub(in crate::alerts::engine) fn is_overdue(&self, now_ms: UnixMillis) -> bool {
        let due_ms = |slot: &super::RuleSlot| slot.evaluator.silence_due_ms();
        self.rules
            .iter()
            .filter_map(due_ms)
            .any(|due_ms| due_ms <= now_ms)
    }

    pub(super) async fn look_for_silence(
        &mut self,
        core: &Core<impl RuleRunner>,
        catalog: &Catalog,
        broken: Option<&str>,
        now_ms: UnixMillis,
    ) {
        for index in 0..self.rules.len() {
            let evaluator = &mut self.rules[index].evaluator;
            let Some(notice) = evaluator.on_silence(now_ms, broken) else {
                continue;
            };
            let rule = evaluator.rule().clone();
            if notice.is_new {
                core.signals.rule_statuses().change(&rule.key, |status| {
                    status.no_data_since_ms = Some(notice.since_ms)
                });
                metrics::counter!("extrack_alert_rules_without_data_total").increment(1);
                let (service, counts_as) = (self.service.as_str(), rule.options.no_data.as_str());
                tracing::warn!(
                    service,
                    rule = rule.name,
                    counts_as,
                    "no data: {}",
                    notice.finding.summary
                );
            }
            if let Some(outcome) = notice.outcome {
                let pending = PendingChange::Outcome(outcome);
                self.add_pending(core, catalog, &rule.key, pending).await;
            }
        }
    }

    pub(super) fn note_evaluation(
        &self,
        core: &Core<impl RuleRunner>,
        index: usize,
        evaluation: &Evaluation,
    ) {
        let now_ms = core.clock.now_ms();
        let key = self.rules[index].key();
        core.signals.rule_statuses().change(key, |status| {
            status.evaluated_ms = Some(now_ms);
            status.verdict = evaluation.verdict.as_ref().ok().cloned();
            status.error = evaluation.verdict.as_ref().err().map(ToString::to_string);
            status.is_retrying = evaluation.is_retrying;
            if evaluation.is_decided() {
                status.no_data_since_ms = None;
            }
        });
    }

    pub(super) fn note_memory(&self, core: &Core<impl RuleRunner>, key: &str) {
        let Some(memory) = self.state(key).and_then(|state| state.memory) else {
            return;
        };
        core.signals.rule_statuses().change(key, |status| {
            status.is_flapping = memory.is_flapping;
            status.is_held = memory.is_held;
        });
    }
}
