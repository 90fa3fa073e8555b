//! One service's rules, open alerts and history, and what one turn does with them.

mod foreseen;
mod recall;
mod set_clock;
mod settle;
mod silence;
mod unsettled;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::alerts::destinations::{escalation_of, groups_of};
use crate::alerts::history::{Reach, ServiceHistory};
use crate::alerts::lifecycle::{self, Change};
use crate::alerts::ports::{
    AlertDraft, CommitError, EscalationDraft, MemoryChange, PortError, PortResult, Transition,
};
use crate::domain::{
    Alert, AlertId, AlertRule, AlertState, Catalog, ChannelId, GroupDraft, History,
    NotificationStatus, Observation, RuleMemory, UnixMillis, Verdict,
};

use super::Core;
use super::loads::{HistoryRequest, Loaded};
use foreseen::Foreseen;
use recall::{Recall, Recalled};
use unsettled::{Pending, Unsettled};

/// For a rule that can't say how far it looks back, until it can.
const LOOK_BACK_UNKNOWN: Duration = Duration::from_secs(600);

/// Ticks that were not taken before the time between is taken for a pause: a busy machine is late
/// by one or two.
const TICKS_MISSED: i64 = 4;

/// For a service without probes of its own.
const INTERVAL_UNKNOWN: Duration = Duration::from_secs(60);

/// The store gives an alert its number.
const NOT_YET: AlertId = AlertId(0);

/// What a lane is given for one turn.
pub(super) struct Turn {
    /// Observations that are too late to be judged, oldest first.
    pub(super) remembered: Vec<Arc<Observation>>,
    pub(super) judged: Option<Arc<Observation>>,
    /// Rules that look at the passing of time are judged as of this moment.
    pub(super) tick_ms: Option<UnixMillis>,
    /// Rules that have said nothing for too long are looked for as of this moment.
    pub(super) silence_ms: Option<UnixMillis>,
    /// Why the last run of the service's probes gave no answer, if it did not.
    pub(super) broken: Option<String>,
    /// Runs that wait for later turns.
    pub(super) waiting: HashSet<i64>,
    /// What was read back of the history.
    pub(super) loaded: Vec<Loaded>,
    pub(super) catalog: Arc<Catalog>,
}

pub(super) struct Lane {
    service: String,
    /// Open alerts by the key of their rule, as the store has them.
    alerts: BTreeMap<String, Alert>,
    /// By the key of its rule.
    memories: BTreeMap<String, RuleMemory>,
    rules: Vec<RuleSlot>,
    /// Version of the catalog that `rules` is from.
    version: u64,
    /// Swaps of rules up to which `rules` were asked how far they look back.
    swaps: u64,
    recall: Recall,
    /// The last one that was judged.
    judged: Option<Arc<Observation>>,
    /// Observations of the turn that are to be judged once the history is there, oldest first.
    returned: Vec<Arc<Observation>>,
    /// Since when nothing can have been overheard: the program was running.
    watched_since_ms: Option<UnixMillis>,
    ticked_ms: Option<UnixMillis>,
    unsettled: Unsettled,
    /// What `unsettled` comes to, by the key of the rule, where people are notified from memory.
    foreseen: BTreeMap<String, Foreseen>,
    /// By how much the clock had been set back when it was looked at last.
    set_back_ms: Option<i64>,
    /// A commit failed, or may have: what the store has must be read again before the next one.
    stale: bool,
}

struct RuleSlot {
    rule: Arc<AlertRule>,
    look_back: Option<Duration>,
    failing: bool,
    /// It was not judged because the history it looks at is not there.
    is_withheld: bool,
    /// As of when it last said `ok` or `breached`, else when it was first looked at.
    judged_ms: UnixMillis,
    /// How long it may say neither; none: for ever.
    no_data_after: Option<Duration>,
    is_silent: bool,
    /// As of when a tick judged it last: it is never judged as of an earlier moment.
    ticked_ms: UnixMillis,
}

impl Lane {
    pub(super) fn new(service: String) -> Self {
        Self {
            service,
            alerts: BTreeMap::new(),
            memories: BTreeMap::new(),
            rules: Vec::new(),
            version: 0,
            swaps: 0,
            recall: Recall::default(),
            judged: None,
            returned: Vec::new(),
            watched_since_ms: None,
            ticked_ms: None,
            unsettled: Unsettled::default(),
            foreseen: BTreeMap::new(),
            set_back_ms: None,
            stale: false,
        }
    }

    /// One whose state went down with a panic.
    pub(super) fn lost(service: String) -> Self {
        Self {
            stale: true,
            ..Self::new(service)
        }
    }

    pub(super) fn adopt(&mut self, alert: Alert) {
        self.alerts.insert(alert.rule.clone(), alert);
    }

    pub(super) fn adopt_memory(&mut self, rule: String, memory: RuleMemory) {
        self.memories.insert(rule, memory);
    }

    /// Nothing waits for another commit.
    pub(super) fn is_settled(&self) -> bool {
        self.unsettled.is_empty() && !self.stale
    }

    /// Nothing would be lost with it.
    pub(super) fn is_idle(&self) -> bool {
        self.is_settled() && self.rules.is_empty() && self.alerts.is_empty()
    }

    /// Observations are not to be judged before then, unless the history comes.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.recall.held_until()
    }

    /// Rules lack a part of the history that could not be read.
    pub(super) fn is_partial(&self) -> bool {
        !self.rules.is_empty() && self.recall.is_overdue()
    }

    /// Which part of the history is to be read, and how long that has to wait.
    pub(super) fn history_request(&mut self, core: &Core) -> Option<(HistoryRequest, Duration)> {
        if self.rules.is_empty() {
            return None;
        }
        self.recall
            .request(&self.service, &core.deps.settings, core.deps.clock.now_ms())
    }

    /// Observations that were not judged in the turn, oldest first.
    pub(super) fn take_returned(&mut self) -> Vec<Arc<Observation>> {
        std::mem::take(&mut self.returned)
    }

    pub(super) async fn take_turn(mut self, core: &Core, mut turn: Turn) -> Self {
        // The service may have been deleted and made again since the catalog before, which forgets
        // what a person resolved.
        let is_concerned =
            !self.alerts.is_empty() || self.memories.values().any(|memory| memory.is_held);
        if self.stale || is_concerned && self.version != turn.catalog.version {
            self.stale = true;
            // Noted, and tried again before anything is committed.
            let _ = self.read_alerts(core).await;
        }
        self.follow(core, &turn.catalog);
        self.follow_swaps(core);
        self.follow_set_back(core);
        self.follow_clock(core, turn.tick_ms);
        // First what is left from before: a breach that could not be committed is not forgotten
        // because it is over.
        for key in self.unsettled.keys() {
            // That it can't be committed was noted when it was judged.
            let _ = self.settle(core, &turn.catalog, &key).await;
        }
        self.take_in_history(core, &mut turn).await;
        if !self.rules.is_empty() && (turn.judged.is_some() || !turn.remembered.is_empty()) {
            self.judge(core, &mut turn).await;
        }
        // With observations still to be judged nobody can say that there are none.
        if let Some(tick_ms) = turn.tick_ms.filter(|_| turn.waiting.is_empty()) {
            self.judge_tick(core, &turn, tick_ms).await;
        }
        if let Some(silence_ms) = turn.silence_ms.filter(|_| turn.waiting.is_empty()) {
            self.look_for_silence(core, &turn.catalog, turn.broken.as_deref(), silence_ms)
                .await;
        }
        self
    }

    /// Takes over the rules of the catalog. An alert whose rule is gone has to be closed.
    fn follow(&mut self, core: &Core, catalog: &Catalog) {
        if self.version != catalog.version {
            let now_ms = core.deps.clock.now_ms();
            self.version = catalog.version;
            let mut before: BTreeMap<String, RuleSlot> = self
                .rules
                .drain(..)
                .map(|slot| (slot.rule.key.clone(), slot))
                .collect();
            for rule in catalog.rules.get(&self.service).into_iter().flatten() {
                let same = before.remove(&rule.key).filter(|slot| {
                    slot.rule.plugin == rule.plugin && slot.rule.settings == rule.settings
                });
                let no_data_after = lifecycle::no_data_after(rule, catalog);
                let slot = same.unwrap_or_else(|| RuleSlot::new(Arc::clone(rule), now_ms));
                self.rules.push(RuleSlot {
                    rule: Arc::clone(rule),
                    no_data_after,
                    ..slot
                });
            }
            before
                .keys()
                .for_each(|key| core.deps.signals.standings().forget(key));
        }
        let rules = &self.rules;
        // A service that can't run keeps its alerts as they are: whether it is well is not known.
        let is_stopped = catalog.stopped.contains_key(&self.service);
        // A rule that comes back under the same key begins anew.
        let kept = self.alerts.keys().chain(self.memories.keys());
        self.unsettled.follow(
            |key| is_stopped || rules.iter().any(|slot| slot.rule.key == key),
            kept,
        );
        self.follow_foreseen(core);
    }

    /// Another version may look back further: all are asked again when they are needed next.
    fn follow_swaps(&mut self, core: &Core) {
        let swaps = core.deps.rules.swaps();
        if self.swaps != swaps {
            self.swaps = swaps;
            self.rules.iter_mut().for_each(|slot| slot.look_back = None);
        }
    }

    /// Time in which the program did not run, or the machine slept, is time in which nothing could
    /// be heard.
    fn follow_clock(&mut self, core: &Core, tick_ms: Option<UnixMillis>) {
        let longest_ms = i64::try_from(core.deps.settings.tick.as_millis())
            .unwrap_or(i64::MAX)
            .saturating_mul(TICKS_MISSED);
        let slept = tick_ms
            .zip(self.ticked_ms)
            .is_some_and(|(now_ms, before_ms)| now_ms - before_ms > longest_ms);
        self.ticked_ms = tick_ms.or(self.ticked_ms);
        if self.watched_since_ms.is_none() || slept {
            let now_ms = core.deps.clock.now_ms();
            self.watched_since_ms = Some(now_ms);
            self.recall.watch_since(now_ms);
        }
    }

    /// Judges the rules that look at the passing of time, although nothing arrived.
    async fn judge_tick(&mut self, core: &Core, turn: &Turn, tick_ms: UnixMillis) {
        if !self
            .rules
            .iter()
            .any(|slot| core.deps.rules.ticks(&slot.rule))
        {
            return;
        }
        self.follow_reach(core, &turn.catalog).await;
        let Some(later) = self
            .recall
            .history()
            .map(|history| Arc::new(history.at(tick_ms)))
        else {
            return;
        };
        for index in 0..self.rules.len() {
            let rule = Arc::clone(&self.rules[index].rule);
            if core.deps.rules.ticks(&rule) {
                self.rules[index].ticked_ms = later.now_ms();
                self.judge_one(core, turn, index, &later, false).await;
            }
        }
    }

    async fn judge(&mut self, core: &Core, turn: &mut Turn) {
        self.follow_reach(core, &turn.catalog).await;
        if self.lacks_history(core) && self.recall.hold(core.deps.settings.history_patience) {
            self.returned = turn
                .remembered
                .drain(..)
                .chain(turn.judged.take())
                .collect();
            return;
        }
        for observation in turn.remembered.iter().chain(&turn.judged) {
            let observation = self.not_ahead(core, observation);
            self.recall.push(&observation);
        }
        let Some(judged) = turn.judged.clone() else {
            return;
        };
        self.judged = Some(Arc::clone(&judged));
        self.judge_all(core, turn, &judged, |slot| {
            slot.rule.looks_at(&judged.probe)
        })
        .await;
    }

    /// Judges the rules that are wanted, as of the last observation.
    async fn judge_all(
        &mut self,
        core: &Core,
        turn: &Turn,
        judged: &Observation,
        is_wanted: impl Fn(&RuleSlot) -> bool,
    ) {
        let Some(history) = self.recall.history().cloned() else {
            return;
        };
        let is_retrying = is_retrying(&turn.catalog, &history, judged);
        for index in 0..self.rules.len() {
            if !is_wanted(&self.rules[index]) {
                continue;
            }
            if self.rules[index].ticked_ms > history.now_ms() {
                let later = Arc::new(history.at(self.rules[index].ticked_ms));
                self.judge_one(core, turn, index, &later, is_retrying).await;
            } else {
                self.judge_one(core, turn, index, &history, is_retrying)
                    .await;
            }
        }
    }

    /// `is_retrying`: the run that is looked at is repeated soon.
    async fn judge_one(
        &mut self,
        core: &Core,
        turn: &Turn,
        index: usize,
        history: &Arc<ServiceHistory>,
        is_retrying: bool,
    ) {
        let now_ms = history.now_ms();
        let rule = Arc::clone(&self.rules[index].rule);
        let look_back = self.rules[index].look_back.unwrap_or(LOOK_BACK_UNKNOWN);
        self.rules[index].is_withheld = !self.recall.reaches(look_back, now_ms);
        if self.rules[index].is_withheld {
            metrics::counter!("extrack_alert_evaluations_withheld_total").increment(1);
            let verdict = Ok(Verdict::NoOpinion(self.recall.why(look_back)));
            self.note_verdict(core, index, &verdict, false, now_ms);
            return;
        }
        let cut = self.recall.is_missing().then(|| history.cut());
        let whole = cut
            .as_ref()
            .map_or(history.as_ref(), |(history, _)| history);
        let seen: Arc<dyn History> = match &rule.probes {
            Some(probes) => Arc::new(whole.of_probes(probes)),
            None if cut.is_some() => Arc::new(whole.clone()),
            None => Arc::clone(history) as Arc<dyn History>,
        };
        let mut verdict = evaluate(core, &rule, seen, now_ms).await;
        // More failures than are known make nothing better, but fewer may be too few.
        let is_beyond = cut.is_some_and(|(_, beyond)| beyond.load(Ordering::Relaxed));
        if is_beyond && matches!(verdict, Ok(Verdict::Ok(_))) {
            self.rules[index].is_withheld = true;
            metrics::counter!("extrack_alert_evaluations_withheld_total").increment(1);
            verdict = Ok(Verdict::NoOpinion(self.recall.why(look_back)));
        }
        self.note_health(index, verdict.as_ref().err());
        // The service has another chance before anybody suspects it.
        let is_withheld = is_retrying
            && matches!(verdict, Ok(Verdict::Breached(_)))
            && !self.alerts.contains_key(&rule.key);
        self.note_verdict(core, index, &verdict, is_withheld, now_ms);
        if let Ok(verdict @ (Verdict::Ok(_) | Verdict::Breached(_))) = verdict
            && !is_withheld
        {
            self.take_in(
                core,
                &turn.catalog,
                &rule.key,
                Pending::Judged { verdict, now_ms },
            )
            .await;
        }
    }

    /// What was read back takes its place before what is known; rules that waited for it are
    /// judged.
    async fn take_in_history(&mut self, core: &Core, turn: &mut Turn) {
        if turn.loaded.is_empty() {
            return;
        }
        let later = turn
            .remembered
            .iter()
            .chain(&turn.judged)
            .map(|run| run.run_id);
        let later: HashSet<i64> = later.chain(turn.waiting.iter().copied()).collect();
        // What lies in the future is from before the clock was set back: it can't be placed.
        let first_ms = turn
            .remembered
            .first()
            .or(turn.judged.as_ref())
            .map(|run| run.ts_ms);
        let latest_ms = core
            .deps
            .clock
            .now_ms()
            .max(first_ms.unwrap_or(UnixMillis::MIN));
        for mut loaded in turn.loaded.drain(..) {
            if let Ok(past) = &mut loaded.past {
                past.observations.retain(|run| run.ts_ms <= latest_ms);
            }
            let recalled = self.recall.take_in(loaded, &later);
            self.note_recalled(recalled);
        }
        // The turn's own observation has them judged as well.
        if let Some(judged) = self
            .judged
            .clone()
            .filter(|_| turn.judged.is_none() && !self.recall.is_missing())
        {
            self.judge_all(core, turn, &judged, |slot| slot.is_withheld)
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
                    "the history could be read, all rules are judged again"
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

    /// The history reaches as far as the rules look back, or it is known what is missing.
    async fn follow_reach(&mut self, core: &Core, catalog: &Catalog) {
        let reach = self.reach(core, catalog).await;
        self.recall
            .set_reach(reach, self.watched_since_ms, core.deps.clock.now_ms());
    }

    /// Some rule could say more with what is missing.
    fn lacks_history(&self, core: &Core) -> bool {
        let now_ms = core.deps.clock.now_ms();
        let is_lacking = |slot: &RuleSlot| {
            !self
                .recall
                .reaches(slot.look_back.unwrap_or(LOOK_BACK_UNKNOWN), now_ms)
        };
        self.recall.is_missing() && self.rules.iter().any(is_lacking)
    }

    async fn reach(&mut self, core: &Core, catalog: &Catalog) -> Reach {
        for index in 0..self.rules.len() {
            if self.rules[index].look_back.is_none() {
                let rule = Arc::clone(&self.rules[index].rule);
                let look_back = within(
                    core.deps.settings.rule_deadline,
                    core.deps.rules.look_back(&rule),
                )
                .await;
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

    /// A rule that can't say anything neither fires nor resolves; it is complained about once,
    /// until it recovers.
    fn note_health(&mut self, index: usize, error: Option<&PortError>) {
        let slot = &mut self.rules[index];
        let (service, rule) = (self.service.as_str(), slot.rule.name.as_str());
        match error {
            Some(error) => {
                metrics::counter!("extrack_alert_rule_errors_total", "rule" => slot.rule.key.clone()).increment(1);
                if !slot.failing {
                    tracing::error!(service, rule, %error, "the rule can't be evaluated, its alert stays as it is");
                }
            }
            None if slot.failing => {
                tracing::info!(service, rule, "the rule can be evaluated again")
            }
            None => {}
        }
        slot.failing = error.is_some();
    }
}

impl RuleSlot {
    fn new(rule: Arc<AlertRule>, now_ms: UnixMillis) -> Self {
        Self {
            rule,
            look_back: None,
            failing: false,
            is_withheld: false,
            judged_ms: now_ms,
            no_data_after: None,
            is_silent: false,
            ticked_ms: 0,
        }
    }
}

/// The run failed, and its probe repeats it soon: fewer runs in a row have failed than its retries
/// are.
fn is_retrying(catalog: &Catalog, history: &ServiceHistory, judged: &Observation) -> bool {
    let service = catalog.services.get(&judged.service);
    let probe = service.and_then(|service| {
        service
            .probes
            .iter()
            .find(|probe| probe.name == judged.probe)
    });
    probe
        .and_then(|probe| probe.retry)
        .is_some_and(|retry| history.is_retried(judged, retry.times))
}

async fn evaluate(
    core: &Core,
    rule: &AlertRule,
    history: Arc<dyn History>,
    now_ms: UnixMillis,
) -> PortResult<Verdict> {
    metrics::counter!("extrack_alert_evaluations_total").increment(1);
    within(
        core.deps.settings.rule_deadline,
        core.deps.rules.evaluate(rule, history, now_ms),
    )
    .await
}

async fn within<T>(deadline: Duration, work: impl Future<Output = PortResult<T>>) -> PortResult<T> {
    tokio::time::timeout(deadline, work)
        .await
        .unwrap_or_else(|_| Err(PortError("no answer in time".to_owned())))
}

/// Commits one change together with the groups whose channels are to be told of it, then says so.
/// `before`: the alert as it is.
async fn commit(
    core: &Core,
    catalog: &Catalog,
    rule: Option<&AlertRule>,
    before: Option<&Alert>,
    change: Change,
    memory: MemoryChange,
) -> Result<Alert, CommitError> {
    let is_firing = change.notify == Some(NotificationStatus::Firing);
    // Whoever is in a group with it is told of its end, and of what else happens to it.
    let was_told = change
        .event
        .from
        .is_some_and(|from| from != AlertState::Pending);
    // More severe than before, it may go to others as well.
    let is_raised = before.is_some_and(|before| change.alert.severity > before.severity);
    let groups = match is_firing && (!was_told || is_raised) {
        true => groups(core, catalog, rule, &change.alert).await?,
        false => Vec::new(),
    };
    let is_news = is_firing && was_told;
    let escalation = match is_firing && !was_told {
        true => escalation(catalog, rule, &change.alert),
        false => None,
    };
    let (alert, event, memory) = (change.alert, change.event, Some(memory));
    let transition = Transition {
        alert,
        event,
        groups,
        is_news,
        memory,
        escalation,
    };
    let committed = core.deps.store.transition_commit(transition).await?;
    core.deps
        .signals
        .unrecorded()
        .recorded(&committed.alert, core.deps.clock.now_ms());
    metrics::counter!("extrack_alert_transitions_total", "to" => committed.event.to.as_str())
        .increment(1);
    let (alert, reason) = (&committed.alert, committed.event.reason.as_str());
    let (service, rule, state) = (
        alert.service.as_str(),
        alert.name.as_str(),
        alert.state.as_str(),
    );
    tracing::info!(
        service,
        rule,
        state,
        alert = alert.id.0,
        reason,
        "alert is {state}"
    );
    core.deps
        .signals
        .committed(&committed.alert, &committed.event);
    Ok(committed.alert)
}

/// By which others are told if nobody comes.
fn escalation(
    catalog: &Catalog,
    rule: Option<&AlertRule>,
    alert: &AlertDraft,
) -> Option<EscalationDraft> {
    let policy = escalation_of(rule?, &lifecycle::alert_of(alert, NOT_YET), catalog)?;
    let progress = policy.begin(alert.fired_ms.unwrap_or(alert.updated_ms))?;
    let wait_ms = policy.wait(progress)?.as_millis() as i64;
    Some(EscalationDraft {
        policy: policy.name.clone(),
        progress,
        wait_ms,
    })
}

/// Where an alert that fires is told of, with channels that are in the store.
async fn groups(
    core: &Core,
    catalog: &Catalog,
    rule: Option<&AlertRule>,
    alert: &AlertDraft,
) -> PortResult<Vec<GroupDraft>> {
    let Some(rule) = rule else {
        return Ok(Vec::new());
    };
    let mut groups = Vec::new();
    for group in groups_of(
        rule,
        &lifecycle::alert_of(alert, NOT_YET),
        catalog,
        core.deps.clock.now_ms(),
    ) {
        if keep_channel(core, catalog, &group.channel).await? {
            groups.push(group);
        }
    }
    Ok(groups)
}

/// Keeps a channel in the store first, so that it can be told of the end as well. False where there
/// is none of that id.
async fn keep_channel(core: &Core, catalog: &Catalog, id: &ChannelId) -> PortResult<bool> {
    let Some(channel) = catalog.channels.get(id) else {
        metrics::counter!("extrack_alert_channels_unknown_total").increment(1);
        tracing::error!(
            channel = id.0,
            "a rule names a channel that is not in the catalog, it is not told"
        );
        return Ok(false);
    };
    let is_kept =
        |kept: &(u64, HashSet<ChannelId>)| kept.0 == catalog.version && kept.1.contains(id);
    if !core.kept_channels.lock().is_ok_and(|kept| is_kept(&kept)) {
        core.deps.store.channel_put(Arc::clone(channel)).await?;
        if let Ok(mut kept) = core.kept_channels.lock() {
            if kept.0 != catalog.version {
                *kept = (catalog.version, HashSet::new());
            }
            kept.1.insert(id.clone());
        }
    }
    Ok(true)
}
