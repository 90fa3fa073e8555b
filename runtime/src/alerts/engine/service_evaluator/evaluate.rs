//! Evaluation of a service's rules over the part of its history that is known.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::pending::PendingChange;
use super::recall::Recalled;
use super::{Batch, LOOK_BACK_UNKNOWN, RuleSlot, ServiceEvaluator};
use crate::alerts::engine::Core;
use crate::alerts::evaluator::{Evaluation, RuleSession};
use crate::alerts::history::ServiceHistory;
use crate::alerts::ports::{PortError, PortResult, RuleRunner};
use crate::domain::{AlertRule, Catalog, History, Observation, UnixMillis, Verdict};

/// Why a rule is evaluated.
#[derive(Clone, Copy)]
enum Trigger<'a> {
    Observation(&'a Observation),
    Tick,
}

impl ServiceEvaluator {
    /// Evaluates the rules that ask for it as time passes.
    pub(super) async fn evaluate_tick(
        &mut self,
        core: &Core<impl RuleRunner>,
        batch: &Batch,
        tick_ms: UnixMillis,
    ) {
        let ticks = |slot: &RuleSlot| core.rules.ticks(slot.rule());
        if !self.rules.iter().any(ticks) {
            return;
        }
        self.follow_reach(core, &batch.catalog).await;
        let Some(history) = self.recall.history() else {
            return;
        };
        let later = Arc::new(history.at(tick_ms));
        for index in 0..self.rules.len() {
            if ticks(&self.rules[index]) {
                self.evaluate_rule(core, batch, index, &later, Trigger::Tick)
                    .await;
            }
        }
    }

    /// Evaluates the rules that look at the probe of the batch's observation.
    pub(super) async fn evaluate(&mut self, core: &Core<impl RuleRunner>, batch: &mut Batch) {
        self.follow_reach(core, &batch.catalog).await;
        if self.lacks_history(core) && self.recall.hold(core.settings.history_patience) {
            self.returned = batch
                .remembered
                .drain(..)
                .chain(batch.evaluated.take())
                .collect();
            return;
        }
        for observation in batch.remembered.iter().chain(&batch.evaluated) {
            let observation = self.not_ahead(core, observation);
            self.recall.push(&observation);
        }
        let Some(evaluated) = batch.evaluated.clone() else {
            return;
        };
        self.evaluated = Some(Arc::clone(&evaluated));
        self.evaluate_all(core, batch, &evaluated, |slot| {
            slot.rule().looks_at(&evaluated.probe)
        })
        .await;
    }

    /// Evaluates the rules that are wanted, as of the last observation.
    async fn evaluate_all(
        &mut self,
        core: &Core<impl RuleRunner>,
        batch: &Batch,
        evaluated: &Observation,
        is_wanted: impl Fn(&RuleSlot) -> bool,
    ) {
        let Some(history) = self.recall.history().cloned() else {
            return;
        };
        for index in 0..self.rules.len() {
            if is_wanted(&self.rules[index]) {
                let trigger = Trigger::Observation(evaluated);
                self.evaluate_rule(core, batch, index, &history, trigger)
                    .await;
            }
        }
    }

    async fn evaluate_rule(
        &mut self,
        core: &Core<impl RuleRunner>,
        batch: &Batch,
        index: usize,
        history: &Arc<ServiceHistory>,
        trigger: Trigger<'_>,
    ) {
        let slot = &mut self.rules[index];
        let look_back = slot.look_back.unwrap_or(LOOK_BACK_UNKNOWN);
        let (mut seen, mut beyond) = (Arc::clone(history), None);
        let gap = if !self
            .recall
            .reaches(look_back, slot.evaluator.moment(history))
        {
            Gap::Needed(self.recall.why(look_back))
        } else if self.recall.is_missing() {
            let (cut, is_beyond) = history.cut();
            (seen, beyond) = (Arc::new(cut), Some(is_beyond));
            Gap::MayBeNeeded(self.recall.why(look_back))
        } else {
            Gap::None
        };
        let mut session = LiveSession {
            core,
            rule: Arc::clone(slot.rule()),
            gap,
            beyond,
            is_withheld: false,
            was_called: false,
        };
        let evaluation = match trigger {
            Trigger::Tick => slot.evaluator.on_tick(&seen, &mut session).await,
            Trigger::Observation(observation) => {
                let retries = retries(&batch.catalog, observation);
                slot.evaluator
                    .on_observation(&seen, observation, retries, &mut session)
                    .await
            }
        };
        slot.is_withheld = session.is_withheld;
        if session.was_called {
            self.note_health(index, evaluation.verdict.as_ref().err());
        }
        self.take_evaluation(core, &batch.catalog, index, evaluation)
            .await;
    }

    async fn take_evaluation(
        &mut self,
        core: &Core<impl RuleRunner>,
        catalog: &Catalog,
        index: usize,
        evaluation: Evaluation,
    ) {
        self.note_evaluation(core, index, &evaluation);
        if let Some(outcome) = evaluation.into_outcome() {
            let key = self.rules[index].key().to_owned();
            self.add_pending(core, catalog, &key, PendingChange::Outcome(outcome))
                .await;
        }
    }

    /// Puts what was read back before what is known, and evaluates the rules that waited for it.
    pub(super) async fn take_in_history(
        &mut self,
        core: &Core<impl RuleRunner>,
        batch: &mut Batch,
    ) {
        if batch.loaded.is_empty() {
            return;
        }
        let later: HashSet<i64> = batch
            .remembered
            .iter()
            .chain(&batch.evaluated)
            .map(|run| run.run_id)
            .chain(batch.waiting.iter().copied())
            .collect();
        // What lies in the future is from before the clock was set back: it can't be placed.
        let first_ms = batch
            .remembered
            .first()
            .or(batch.evaluated.as_ref())
            .map(|run| run.ts_ms);
        let latest_ms = core.clock.now_ms().max(first_ms.unwrap_or(UnixMillis::MIN));
        for mut loaded in batch.loaded.drain(..) {
            if let Ok(past) = &mut loaded.past {
                past.observations.retain(|run| run.ts_ms <= latest_ms);
            }
            let recalled = self.recall.take_in(loaded, &later);
            self.note_recalled(recalled);
        }
        // The batch's own observation has them evaluated as well.
        if let Some(evaluated) = self
            .evaluated
            .clone()
            .filter(|_| batch.evaluated.is_none() && !self.recall.is_missing())
        {
            self.evaluate_all(core, batch, &evaluated, |slot| slot.is_withheld)
                .await;
        }
    }

    fn note_recalled(&self, recalled: Recalled) {
        let service = self.service.as_str();
        match recalled {
            Recalled::Whole { failures } if failures > 0 => {
                tracing::info!(
                    service,
                    failures,
                    "the history could be read, all rules are evaluated again"
                );
            }
            Recalled::Whole { .. } | Recalled::Stale => {}
            Recalled::Failed { failures, error } => {
                metrics::counter!("extrack_alert_history_failures_total").increment(1);
                if failures == 1 {
                    let error = error.as_str();
                    tracing::warn!(
                        service,
                        error,
                        "the history can't be read, rules that look back beyond the start have no opinion; it is tried again"
                    );
                }
            }
        }
    }

    /// Whether some rule needs what is missing of the history.
    fn lacks_history(&self, core: &Core<impl RuleRunner>) -> bool {
        let now_ms = core.clock.now_ms();
        let is_lacking = |slot: &RuleSlot| {
            !self
                .recall
                .reaches(slot.look_back.unwrap_or(LOOK_BACK_UNKNOWN), now_ms)
        };
        self.recall.is_missing() && self.rules.iter().any(is_lacking)
    }
}

/// Part of the history that is missing, with the reason for people.
enum Gap {
    None,
    /// The rule may ask for it without a window: how many runs in a row have failed, for example.
    MayBeNeeded(String),
    /// The rule looks back that far.
    Needed(String),
}

/// One evaluation of a rule by its plugin, unless its history is not there.
struct LiveSession<'a, R> {
    core: &'a Core<R>,
    rule: Arc<AlertRule>,
    gap: Gap,
    /// Set once the rule has asked for what is missing.
    beyond: Option<Arc<AtomicBool>>,
    is_withheld: bool,
    was_called: bool,
}

impl<R> LiveSession<'_, R> {
    fn withhold(&mut self, reason: String) -> PortResult<Verdict> {
        metrics::counter!("extrack_alert_evaluations_withheld_total").increment(1);
        self.is_withheld = true;
        Ok(Verdict::NoOpinion(reason))
    }
}

impl<R: RuleRunner> RuleSession for LiveSession<'_, R> {
    async fn evaluate(
        &mut self,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> PortResult<Verdict> {
        let reason = match std::mem::replace(&mut self.gap, Gap::None) {
            Gap::Needed(reason) => return self.withhold(reason),
            Gap::MayBeNeeded(reason) => reason,
            Gap::None => String::new(),
        };
        metrics::counter!("extrack_alert_evaluations_total").increment(1);
        self.was_called = true;
        let verdict = within(
            self.core.settings.rule_deadline,
            self.core.rules.evaluate(&self.rule, history, now_ms),
        )
        .await;
        let is_beyond = self
            .beyond
            .as_ref()
            .is_some_and(|beyond| beyond.load(Ordering::Relaxed));
        // More failures than are known make nothing better, but fewer may be too few.
        if is_beyond && matches!(verdict, Ok(Verdict::Ok(_))) {
            return self.withhold(reason);
        }
        verdict
    }
}

/// Returns how often the probe of an observation repeats a failed run.
fn retries(catalog: &Catalog, observation: &Observation) -> Option<u32> {
    let service = catalog.services.get(&observation.service)?;
    let mut probes = service.probes.iter();
    let probe = probes.find(|probe| probe.name == observation.probe)?;
    probe.retry.map(|retry| retry.times)
}

pub(super) async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = PortResult<T>>,
) -> PortResult<T> {
    tokio::time::timeout(deadline, work)
        .await
        .unwrap_or_else(|_| Err(PortError("no answer in time".to_owned())))
}
