//! [`AlertEngine`] takes in observations, evaluates the rules and commits what follows.
//!
//! Each service has an evaluator, which takes its observations one after another, so that its alerts
//! move in order. Evaluators run beside each other up to a bound, in batches with one observation to
//! evaluate, so that a slow rule delays nothing but its own service. An evaluator that is not running
//! is plain data here; nothing is locked.

mod loads;
mod service_evaluator;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{Alert, Catalog, ChannelId, Exclusion, Observation, RuleMemory, UnixMillis};

use super::clock::Clock;
use super::evaluator::TickPeriod;
use super::fault_log::FaultLog;
use super::ports::{HistoryLoader, PortResult, RuleRunner};
use super::signals::AlertSignals;
use crate::plugin_host::PluginHost;
use crate::store::{ControlStore, ResultStore};
use loads::{Loaded, Loads};
use service_evaluator::{Batch, ServiceEvaluator};

#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Services evaluated at the same time. Rules wait on nothing but the CPU, so this only has to
    /// outnumber the ones that run into their deadline.
    pub services_at_once: usize,
    /// Observations a service may be behind by before the oldest are no longer evaluated, only
    /// remembered.
    pub evaluated_behind: usize,
    /// Observations a service may be behind by before the oldest are dropped from the history in
    /// memory as well.
    pub kept_behind: usize,
    /// Deadline of one evaluation of one rule. The plugin host has a shorter deadline of its own;
    /// this one guards against its failing.
    pub rule_deadline: Duration,
    /// Passes that read histories back at the same time; the results keep as many readers for
    /// alerting.
    pub history_loads_at_once: usize,
    /// Histories read back in one pass at most: of thirty days, some 150 KB each until they are
    /// taken in.
    pub history_loads_together: usize,
    /// Deadline of one pass, from when the reading began.
    pub history_deadline: Duration,
    /// Longest time that observations wait for the history. After that, rules that look back no
    /// further than what is known go on without it: paging never waits for the results.
    pub history_patience: Duration,
    /// Time before a history that could not be read is read again; doubles up to the longest, and a
    /// quarter of it is left to chance.
    pub history_first_retry: Duration,
    pub history_longest_retry: Duration,
    /// Time before a transition whose commit failed is tried again; doubles up to `longest_retry`.
    pub first_retry: Duration,
    pub longest_retry: Duration,
    /// Time for the observations that are left when the program stops.
    pub grace: Duration,
    /// Time between two ticks, at which the rules that ask for it are evaluated although nothing
    /// arrived, and those without data are looked for.
    pub tick: Duration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            services_at_once: 64,
            evaluated_behind: 32,
            kept_behind: 1_024,
            rule_deadline: Duration::from_secs(30),
            history_loads_at_once: crate::store::results::ALERTING_READERS as usize,
            history_loads_together: 256,
            history_deadline: Duration::from_secs(30),
            history_patience: Duration::from_secs(2),
            history_first_retry: Duration::from_secs(2),
            history_longest_retry: Duration::from_secs(300),
            first_retry: Duration::from_secs(1),
            longest_retry: Duration::from_secs(30),
            grace: Duration::from_secs(5),
            tick: Duration::from_secs(15),
        }
    }
}

#[derive(Clone)]
pub struct EngineDeps<R = PluginHost, H = ResultStore> {
    pub rules: R,
    pub store: ControlStore,
    pub history: H,
    pub clock: Arc<dyn Clock>,
    pub signals: AlertSignals,
    pub settings: EngineSettings,
}

pub struct AlertEngine<R = PluginHost, H = ResultStore> {
    core: Arc<Core<R>>,
    slots: HashMap<String, EvaluatorSlot>,
    /// Services that have something to do and are not running, in the order in which they came to
    /// it.
    ready: VecDeque<String>,
    /// Services with a transition to be committed again, or observations that have waited long
    /// enough for a history, and when.
    retries: BTreeSet<(Instant, String)>,
    batches: JoinSet<ServiceEvaluator>,
    running: HashMap<Id, String>,
    loads: Loads<H>,
    /// Services with rules that lack a part of their history.
    partial: HashSet<String>,
}

/// Open alerts of the store, and memories of rules with their keys and services.
type Kept = (Vec<Alert>, Vec<(String, String, RuleMemory)>);

/// State that all services share.
struct Core<R> {
    rules: R,
    store: ControlStore,
    clock: Arc<dyn Clock>,
    signals: AlertSignals,
    settings: EngineSettings,
    /// Channels known to be in the store, by the version of the catalog.
    kept_channels: std::sync::Mutex<(u64, HashSet<ChannelId>)>,
    /// Transitions that could not be committed, and alerts that could not be read: one log line a
    /// minute each, not one a run.
    commit_faults: FaultLog,
    read_faults: FaultLog,
}

/// A service's evaluator while it is not running, and what waits for it.
#[derive(Default)]
struct EvaluatorSlot {
    evaluator: Option<ServiceEvaluator>,
    is_running: bool,
    queue: VecDeque<Arc<Observation>>,
    /// Why the last run of its probes gave no answer, if it did not.
    broken: Option<String>,
    /// The catalog or a failed commit has to be looked at, even without an observation.
    is_due: bool,
    /// Moment as of which rules that ask for it are to be evaluated.
    tick_ms: Option<UnixMillis>,
    /// Moment as of which rules without data are to be looked for.
    silence_ms: Option<UnixMillis>,
    /// Parts of its history that were read back.
    loaded: Vec<Loaded>,
    is_queued: bool,
    retry_at: Option<Instant>,
    failures: u32,
}

impl EvaluatorSlot {
    fn has_work(&self) -> bool {
        let is_news = self.tick_ms.is_some() || self.silence_ms.is_some() || !self.queue.is_empty();
        self.is_due || !self.loaded.is_empty() || (is_news && !self.is_held())
    }

    /// Whether its history is expected any moment.
    fn is_held(&self) -> bool {
        let held_until = self
            .evaluator
            .as_ref()
            .and_then(ServiceEvaluator::held_until);
        self.loaded.is_empty() && held_until.is_some_and(|until| Instant::now() < until)
    }
}

impl<R: RuleRunner, H: HistoryLoader> AlertEngine<R, H> {
    pub fn new(deps: EngineDeps<R, H>) -> Self {
        let EngineDeps {
            rules,
            store,
            history,
            clock,
            signals,
            settings,
        } = deps;
        Self {
            loads: Loads::new(history, &settings),
            core: Arc::new(Core {
                rules,
                store,
                clock,
                signals,
                settings,
                kept_channels: std::sync::Mutex::default(),
                commit_faults: FaultLog::default(),
                read_faults: FaultLog::default(),
            }),
            slots: HashMap::new(),
            ready: VecDeque::new(),
            retries: BTreeSet::new(),
            batches: JoinSet::new(),
            running: HashMap::new(),
            partial: HashSet::new(),
        }
    }

    /// Runs until the shutdown. Nothing is evaluated before a catalog was published (version 0 is
    /// none), because an alert without its rule would be resolved, and before the open alerts
    /// were read.
    pub async fn run(
        mut self,
        mut observations: mpsc::Receiver<Arc<Observation>>,
        mut catalog: watch::Receiver<Arc<Catalog>>,
        shutdown: CancellationToken,
    ) {
        let started = async {
            // An error means that the publisher is gone; the shutdown follows.
            let _ = catalog.wait_for(|catalog| catalog.version > 0).await;
            self.read_open_alerts().await
        };
        let open = tokio::select! {
            () = shutdown.cancelled() => return,
            open = started => open,
        };
        self.adopt(open);
        let mut current = catalog.borrow_and_update().clone();
        self.all_due(&current);
        let (mut published, mut arriving) = (true, true);
        self.tick(&current);
        let mut tick_at = self.next_tick();
        loop {
            self.start_batches(&current);
            self.loads.start();
            let (retry_at, load_at) = (self.retries.first().map(|(at, _)| *at), self.loads.next());
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = self.batches.join_next_with_id() => self.end_batch(ended),
                changed = catalog.changed(), if published => match changed {
                    Ok(()) => {
                        current = catalog.borrow_and_update().clone();
                        self.all_due(&current);
                    }
                    Err(_) => published = false,
                },
                Some(loaded) = self.loads.ended() => self.take_loaded(loaded),
                () = sleep_until(load_at), if load_at.is_some() => {}
                () = sleep_until(retry_at), if retry_at.is_some() => self.retry_due(),
                () = tokio::time::sleep_until(tick_at) => {
                    self.tick(&current);
                    tick_at = self.next_tick();
                }
                observation = observations.recv(), if arriving => match observation {
                    Some(observation) => self.accept(observation, &current),
                    None => arriving = false,
                },
            }
        }
        while let Ok(observation) = observations.try_recv() {
            self.accept(observation, &current);
        }
        self.finish(&current).await;
    }

    async fn read_open_alerts(&self) -> Kept {
        let settings = &self.core.settings;
        let mut wait = settings.first_retry;
        loop {
            let store = &self.core.store;
            let read = async {
                PortResult::Ok((
                    store.alert_open_list().await?,
                    store.rule_memory_list(None).await?,
                ))
            };
            match read.await {
                Ok(kept) => return kept,
                Err(error) => {
                    tracing::error!(%error, "the open alerts can't be read, no rule is evaluated until they are")
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(settings.longest_retry);
        }
    }

    /// Gives each open alert to the evaluator of its service, which looks at it at once: its rule may
    /// be gone.
    fn adopt(&mut self, (open, memories): Kept) {
        for (rule, slug, memory) in memories {
            let evaluator = &mut self.slots.entry(slug.clone()).or_default().evaluator;
            evaluator
                .get_or_insert_with(|| ServiceEvaluator::new(slug))
                .adopt_memory(rule, memory);
        }
        for alert in open {
            let slug = alert.service.clone();
            let slot = self.slots.entry(slug.clone()).or_default();
            slot.evaluator
                .get_or_insert_with(|| ServiceEvaluator::new(slug.clone()))
                .adopt(alert);
            slot.is_due = true;
            self.make_ready(&slug);
        }
    }

    fn accept(&mut self, observation: Arc<Observation>, catalog: &Catalog) {
        if observation.excluded == Some(Exclusion::Paused) {
            return;
        }
        // A run that did not take place, or whose check broke, is no news of the service: its
        // alerts stay as they are.
        if observation.is_check_broken() {
            if let Some(slot) = self.slots.get_mut(&observation.service) {
                slot.broken = observation
                    .failure
                    .as_ref()
                    .map(|failure| failure.message.clone());
            }
            return;
        }
        let slug = observation.service.clone();
        let ruled = catalog
            .rules
            .get(&slug)
            .is_some_and(|rules| !rules.is_empty());
        if !ruled && !self.slots.contains_key(&slug) {
            return;
        }
        let slot = self.slots.entry(slug.clone()).or_default();
        slot.broken = None;
        slot.queue.push_back(observation);
        if slot.queue.len() > self.core.settings.kept_behind {
            slot.queue.pop_front();
            metrics::counter!("extrack_alert_observations_dropped_total").increment(1);
        }
        self.make_ready(&slug);
    }

    fn make_ready(&mut self, slug: &str) {
        let Some(slot) = self.slots.get_mut(slug) else {
            return;
        };
        if !slot.is_running && !slot.is_queued && slot.has_work() {
            slot.is_queued = true;
            self.ready.push_back(slug.to_owned());
        }
    }

    /// Has the rules of all services looked at, whether anything was observed of them or not.
    fn all_due(&mut self, catalog: &Catalog) {
        for (slug, _) in catalog.rules.iter().filter(|(_, rules)| !rules.is_empty()) {
            self.slots.entry(slug.clone()).or_default();
        }
        let slugs: Vec<String> = self.slots.keys().cloned().collect();
        for slug in slugs {
            if let Some(slot) = self.slots.get_mut(&slug) {
                slot.is_due = true;
            }
            self.make_ready(&slug);
        }
    }

    /// Makes services ready that have a rule which asks for ticks, or one without data, whether
    /// anything was observed of them or not. A tick takes the place of one that was not taken yet.
    fn tick(&mut self, catalog: &Catalog) {
        let now_ms = self.core.clock.now_ms();
        self.core.signals.beat(now_ms);
        let tick_ms = self.tick_period().at_or_before(now_ms);
        for slug in catalog.rules.keys() {
            let mut rules = catalog.rules_in_force(slug).iter();
            if rules.any(|rule| self.core.rules.ticks(rule)) {
                self.slots.entry(slug.clone()).or_default().tick_ms = Some(tick_ms);
                self.make_ready(slug);
            }
        }
        let is_overdue = |slot: &EvaluatorSlot| {
            slot.evaluator
                .as_ref()
                .is_some_and(|evaluator| evaluator.is_overdue(tick_ms))
        };
        let overdue = self.slots.iter_mut().filter(|(_, slot)| is_overdue(slot));
        let slugs: Vec<String> = overdue
            .map(|(slug, slot)| {
                slot.silence_ms = Some(tick_ms);
                slug.clone()
            })
            .collect();
        slugs.iter().for_each(|slug| self.make_ready(slug));
    }

    /// Returns the moment of the next tick, by the clock each time anew: it may have been set.
    fn next_tick(&self) -> Instant {
        let left = self.tick_period().until_next(self.core.clock.now_ms());
        // Clocks differ by a little, and a tick that came too early would belong to the moment
        // before.
        Instant::now() + left + Duration::from_millis(2)
    }

    fn tick_period(&self) -> TickPeriod {
        self.core.settings.tick.into()
    }

    fn take_loaded(&mut self, histories: Vec<(String, Loaded)>) {
        for (slug, loaded) in histories {
            if let Some(slot) = self.slots.get_mut(&slug) {
                slot.loaded.push(loaded);
            }
            self.make_ready(&slug);
        }
    }

    fn retry_due(&mut self) {
        let now = Instant::now();
        while self.retries.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, slug)) = self.retries.pop_first() else {
                break;
            };
            if let Some(slot) = self.slots.get_mut(&slug) {
                slot.retry_at = None;
                slot.is_due = true;
            }
            self.make_ready(&slug);
        }
    }

    fn start_batches(&mut self, catalog: &Arc<Catalog>) {
        while self.running.len() < self.core.settings.services_at_once {
            let Some(slug) = self.ready.pop_front() else {
                break;
            };
            let Some(slot) = self.slots.get_mut(&slug) else {
                continue;
            };
            slot.is_queued = false;
            slot.is_running = true;
            slot.is_due = false;
            let is_held = slot.is_held();
            let (tick_ms, silence_ms) = if is_held {
                (None, None)
            } else {
                (slot.tick_ms.take(), slot.silence_ms.take())
            };
            let most = if is_held {
                usize::MAX
            } else {
                self.core.settings.evaluated_behind
            };
            let behind = slot.queue.len().saturating_sub(most);
            if behind > 0 {
                metrics::counter!("extrack_alert_evaluations_coalesced_total")
                    .increment(behind as u64);
            }
            let batch = Batch {
                remembered: slot.queue.drain(..behind).collect(),
                evaluated: if is_held {
                    None
                } else {
                    slot.queue.pop_front()
                },
                waiting: slot
                    .queue
                    .iter()
                    .map(|observation| observation.run_id)
                    .collect(),
                tick_ms,
                silence_ms,
                loaded: std::mem::take(&mut slot.loaded),
                broken: slot.broken.clone(),
                catalog: Arc::clone(catalog),
            };
            // Taken away by a panic: begins anew with what the stores know.
            let evaluator = slot
                .evaluator
                .take()
                .unwrap_or_else(|| ServiceEvaluator::new(slug.clone()));
            let core = Arc::clone(&self.core);
            let id = self
                .batches
                .spawn(async move { evaluator.run_batch(&core, batch).await })
                .id();
            self.running.insert(id, slug);
        }
    }

    fn end_batch(&mut self, ended: Result<(Id, ServiceEvaluator), JoinError>) {
        let (id, evaluator) = match ended {
            Ok((id, evaluator)) => (id, Ok(evaluator)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(slug) = self.running.remove(&id) else {
            return;
        };
        let Some(slot) = self.slots.get_mut(&slug) else {
            return;
        };
        slot.is_running = false;
        if let Some(at) = slot.retry_at.take() {
            self.retries.remove(&(at, slug.clone()));
        }
        let mut evaluator = evaluator.unwrap_or_else(|error| {
            tracing::error!(service = slug, %error, "the evaluation of an observation panicked, the alerts are read again");
            ServiceEvaluator::replacement(slug.clone())
        });
        evaluator
            .take_returned()
            .into_iter()
            .rev()
            .for_each(|observation| slot.queue.push_front(observation));
        let settings = &self.core.settings;
        let mut retry_at = evaluator
            .held_until()
            .filter(|until| Instant::now() < *until);
        if evaluator.is_settled() {
            slot.failures = 0;
        } else {
            let wait = settings
                .first_retry
                .saturating_mul(1 << slot.failures.min(16))
                .min(settings.longest_retry);
            slot.failures += 1;
            let at = Instant::now() + wait;
            retry_at = Some(retry_at.map_or(at, |held| held.min(at)));
        }
        slot.retry_at = retry_at;
        self.retries.extend(retry_at.map(|at| (at, slug.clone())));
        if let Some((request, after)) = evaluator.history_request(&self.core) {
            self.loads.push(request, after);
        }
        let was_partial = if evaluator.is_partial() {
            !self.partial.insert(slug.clone())
        } else {
            self.partial.remove(&slug)
        };
        if was_partial != evaluator.is_partial() {
            metrics::gauge!("extrack_alert_histories_missing").set(self.partial.len() as f64);
        }
        if evaluator.is_idle() && !slot.has_work() {
            self.slots.remove(&slug);
            return;
        }
        slot.evaluator = Some(evaluator);
        self.make_ready(&slug);
    }

    /// Evaluates what has already arrived; what is not done in time comes up again with the next
    /// observation after a start.
    async fn finish(mut self, catalog: &Arc<Catalog>) {
        let grace = self.core.settings.grace;
        let rest = async {
            loop {
                self.start_batches(catalog);
                self.loads.start();
                let retry_at = self.retries.first().map(|(at, _)| *at);
                let is_held = self
                    .slots
                    .values()
                    .any(|slot| slot.is_held() && !slot.queue.is_empty());
                tokio::select! {
                    biased;
                    Some(ended) = self.batches.join_next_with_id() => self.end_batch(ended),
                    Some(loaded) = self.loads.ended(), if is_held => self.take_loaded(loaded),
                    () = sleep_until(retry_at), if is_held && retry_at.is_some() => self.retry_due(),
                    else => break,
                }
            }
        };
        if tokio::time::timeout(grace, rest).await.is_err() {
            tracing::warn!(
                "stopped before every observation was evaluated, the next ones of these services decide"
            );
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
