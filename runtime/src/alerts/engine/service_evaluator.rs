//! One service's rules with their open alerts, its history, and what one batch of observations does
//! with them. [`ServiceEvaluator`] adds to the rules' evaluators what is live: history that has to
//! be read back, commits that fail, a catalog and a clock that change.

mod commit;
mod evaluate;
mod follow;
mod foreseen;
mod pending;
mod recall;
mod set_clock;
mod status;
mod transition;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::alerts::evaluator::{RuleEvaluator, RuleState};
use crate::domain::{Alert, AlertRule, Catalog, Observation, RuleMemory, UnixMillis};

use super::Core;
use super::loads::{HistoryRequest, Loaded};
use crate::alerts::ports::RuleRunner;
use pending::PendingChanges;
use recall::Recall;

/// Look-back of a rule that can't report its own, until it can.
const LOOK_BACK_UNKNOWN: Duration = Duration::from_secs(600);

/// Work of one run of a [`ServiceEvaluator`].
pub(super) struct Batch {
    /// Observations that are too late to be evaluated, oldest first.
    pub(super) remembered: Vec<Arc<Observation>>,
    pub(super) evaluated: Option<Arc<Observation>>,
    /// Moment as of which rules that ask for it are evaluated.
    pub(super) tick_ms: Option<UnixMillis>,
    /// Moment as of which rules without data are looked for.
    pub(super) silence_ms: Option<UnixMillis>,
    /// Why the last run of the service's probes gave no answer, if it did not.
    pub(super) broken: Option<String>,
    /// Runs that wait for later batches.
    pub(super) waiting: HashSet<i64>,
    /// Parts of the history that were read back.
    pub(super) loaded: Vec<Loaded>,
    pub(super) catalog: Arc<Catalog>,
}

pub(super) struct ServiceEvaluator {
    service: String,
    rules: Vec<RuleSlot>,
    /// States of rules that are not in the catalog, or not yet, by the key of the rule. Alerts in
    /// them have to be closed.
    unruled: BTreeMap<String, RuleState>,
    /// Version of the catalog that `rules` is from.
    version: u64,
    /// Swaps of rules up to which `rules` were asked how far they look back.
    swaps: u64,
    recall: Recall,
    /// The last observation that was evaluated.
    evaluated: Option<Arc<Observation>>,
    /// Observations of the batch that are to be evaluated once the history is there, oldest first.
    returned: Vec<Arc<Observation>>,
    /// Moment since which the program has been running without a pause.
    watched_since_ms: Option<UnixMillis>,
    ticked_ms: Option<UnixMillis>,
    /// As of the catalog that `rules` is from.
    is_paused: bool,
    pending: PendingChanges,
    /// States that `pending` leads to, by the key of the rule, where people are notified from
    /// memory.
    foreseen: BTreeMap<String, RuleState>,
    /// Time by which the clock had been set back when it was looked at last.
    set_back_ms: Option<i64>,
    /// A commit failed, or may have: what the store has must be read again before the next one.
    is_stale: bool,
}

struct RuleSlot {
    evaluator: RuleEvaluator,
    look_back: Option<Duration>,
    is_failing: bool,
    /// The rule was not evaluated because the history it looks at is not there.
    is_withheld: bool,
}

impl RuleSlot {
    fn rule(&self) -> &Arc<AlertRule> {
        self.evaluator.rule()
    }

    fn key(&self) -> &str {
        &self.rule().key
    }
}

impl ServiceEvaluator {
    pub(super) fn new(service: String) -> Self {
        Self {
            service,
            rules: Vec::new(),
            unruled: BTreeMap::new(),
            version: 0,
            swaps: 0,
            recall: Recall::default(),
            evaluated: None,
            returned: Vec::new(),
            watched_since_ms: None,
            ticked_ms: None,
            is_paused: false,
            pending: PendingChanges::default(),
            foreseen: BTreeMap::new(),
            set_back_ms: None,
            is_stale: false,
        }
    }

    /// An evaluator in place of one that was lost in a panic.
    pub(super) fn replacement(service: String) -> Self {
        Self {
            is_stale: true,
            ..Self::new(service)
        }
    }

    pub(super) fn adopt(&mut self, alert: Alert) {
        let state = self.unruled.entry(alert.rule.clone()).or_default();
        state.alert = Some(alert);
    }

    pub(super) fn adopt_memory(&mut self, rule: String, memory: RuleMemory) {
        let state = self.unruled.entry(rule).or_default();
        state.memory = Some(memory);
    }

    /// Whether everything is committed.
    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_empty() && !self.is_stale
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_idle(&self) -> bool {
        self.is_settled()
            && self.rules.is_empty()
            && self.unruled.values().all(|state| state.alert.is_none())
    }

    /// Moment before which observations are not to be evaluated, unless the history comes.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.recall.held_until()
    }

    /// Whether rules lack a part of the history that could not be read.
    pub(super) fn is_partial(&self) -> bool {
        !self.rules.is_empty() && self.recall.is_overdue()
    }

    /// Returns which part of the history is to be read, and how long that has to wait.
    pub(super) fn history_request(
        &mut self,
        core: &Core<impl RuleRunner>,
    ) -> Option<(HistoryRequest, Duration)> {
        if self.rules.is_empty() {
            return None;
        }
        self.recall
            .request(&self.service, &core.settings, core.clock.now_ms())
    }

    /// Returns the observations that were not evaluated in the batch, oldest first.
    pub(super) fn take_returned(&mut self) -> Vec<Arc<Observation>> {
        std::mem::take(&mut self.returned)
    }

    pub(super) async fn run_batch(
        mut self,
        core: &Core<impl RuleRunner>,
        mut batch: Batch,
    ) -> Self {
        // The service may have been deleted and made again since the catalog before, which forgets
        // what a person resolved.
        let is_concerned = self
            .states()
            .any(|state| state.alert.is_some() || state.memory().is_held);
        if self.is_stale || is_concerned && self.version != batch.catalog.version {
            self.is_stale = true;
            // A failure is logged, and tried again before anything is committed.
            let _ = self.read_alerts(core).await;
        }
        self.apply_catalog(core, &batch.catalog);
        self.follow_swaps(core);
        self.follow_set_back(core);
        self.follow_clock(core, batch.tick_ms);
        // First what is left from before: a breach that could not be committed is not forgotten
        // because it is over.
        for key in self.pending.keys() {
            // A failure was logged when the change was made.
            let _ = self.commit_pending(core, &batch.catalog, &key).await;
        }
        self.take_in_history(core, &mut batch).await;
        if !self.rules.is_empty() && (batch.evaluated.is_some() || !batch.remembered.is_empty()) {
            self.evaluate(core, &mut batch).await;
        }
        // While observations wait to be evaluated, a silence can't be seen.
        if let Some(tick_ms) = batch.tick_ms.filter(|_| batch.waiting.is_empty()) {
            self.evaluate_tick(core, &batch, tick_ms).await;
        }
        if let Some(silence_ms) = batch.silence_ms.filter(|_| batch.waiting.is_empty()) {
            self.look_for_silence(core, &batch.catalog, batch.broken.as_deref(), silence_ms)
                .await;
        }
        self
    }

    fn slot(&self, key: &str) -> Option<&RuleSlot> {
        self.rules.iter().find(|slot| slot.key() == key)
    }

    fn states(&self) -> impl Iterator<Item = &RuleState> {
        self.rules
            .iter()
            .map(|slot| slot.evaluator.state())
            .chain(self.unruled.values())
    }

    fn state(&self, key: &str) -> Option<&RuleState> {
        self.slot(key)
            .map(|slot| slot.evaluator.state())
            .or_else(|| self.unruled.get(key))
    }

    fn state_mut(&mut self, key: &str) -> Option<&mut RuleState> {
        match self.rules.iter_mut().find(|slot| slot.key() == key) {
            Some(slot) => Some(slot.evaluator.state_mut()),
            None => self.unruled.get_mut(key),
        }
    }
}
