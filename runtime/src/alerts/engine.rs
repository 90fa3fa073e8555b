//! Takes in observations, has the rules judge them, commits what follows.
//!
//! Each service is a lane: its observations are judged one after another, so that its alerts move
//! in order. Lanes run beside each other up to a bound, one observation a turn, so that a slow rule
//! delays nothing but its own service. A lane that is not running is plain data here; nothing is
//! locked.

mod lane;
mod loads;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{Alert, Catalog, ChannelId, Observation, RuleMemory, UnixMillis};

use super::clock::Clock;
use super::fault_log::FaultLog;
use super::ports::{AlertStore, HistoryLoader, PortResult, RuleRunner};
use super::signals::AlertSignals;
use lane::{Lane, Turn};
use loads::{Loaded, Loads};

#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Services judged at the same time. Rules wait on nothing but the CPU, so this only has to
    /// outnumber the ones that run into their deadline.
    pub lanes_at_once: usize,
    /// Observations a lane may be behind by before the oldest are no longer judged, only
    /// remembered.
    pub judged_behind: usize,
    /// Observations a lane may be behind by before the oldest are dropped from the history in
    /// memory as well.
    pub kept_behind: usize,
    /// One rule, one observation. The plugin host has a shorter deadline of its own; this one
    /// guards against its failing.
    pub rule_deadline: Duration,
    /// Histories read back at the same time; the results keep as many readers for alerting.
    pub history_loads_at_once: usize,
    /// For reading one service's history back, from when its turn came.
    pub history_deadline: Duration,
    /// How long observations wait for the history. After that, rules that look back no further
    /// than what is known go on without it: paging never waits for the results.
    pub history_patience: Duration,
    /// Before a history that could not be read is read again; doubles up to the longest, and a
    /// quarter of it is left to chance.
    pub history_first_retry: Duration,
    pub history_longest_retry: Duration,
    /// Before a transition whose commit failed is tried again; doubles up to `longest_retry`.
    pub first_retry: Duration,
    pub longest_retry: Duration,
    /// For the turns still to be taken when the program stops.
    pub grace: Duration,
    /// How often the rules that ask for it are judged although nothing arrived, and those that say
    /// nothing are looked for. The moments are whole multiples of it since 1970, so that a
    /// backtest has the same ones.
    pub tick: Duration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            lanes_at_once: 64,
            judged_behind: 32,
            kept_behind: 1_024,
            rule_deadline: Duration::from_secs(30),
            history_loads_at_once: crate::store::results::ALERTING_READERS as usize,
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
pub struct EngineDeps {
    pub rules: Arc<dyn RuleRunner>,
    pub store: Arc<dyn AlertStore>,
    pub history: Arc<dyn HistoryLoader>,
    pub clock: Arc<dyn Clock>,
    pub signals: AlertSignals,
    pub settings: EngineSettings,
}

pub struct AlertEngine {
    core: Arc<Core>,
    stalls: HashMap<String, Stall>,
    /// Lanes that have something to do and are not running, in the order in which they came to it.
    ready: VecDeque<String>,
    /// Lanes with a transition to be committed again, or observations that have waited long enough
    /// for a history, and when.
    retries: BTreeSet<(Instant, String)>,
    turns: JoinSet<Lane>,
    running: HashMap<Id, String>,
    loads: Loads,
    /// Services with rules that lack a part of their history.
    partial: HashSet<String>,
}

/// What the store has of before: open alerts, and what rules remember with their keys and services.
type Kept = (Vec<Alert>, Vec<(String, String, RuleMemory)>);

/// What lanes share.
struct Core {
    deps: EngineDeps,
    /// Channels known to be in the store, by the version of the catalog.
    kept_channels: std::sync::Mutex<(u64, HashSet<ChannelId>)>,
    /// Transitions that could not be committed, and alerts that could not be read: one line a
    /// minute each, not one a run.
    commit_faults: FaultLog,
    read_faults: FaultLog,
}

/// A lane's place: its state while it is not running, and what waits for it.
#[derive(Default)]
struct Stall {
    lane: Option<Lane>,
    running: bool,
    queue: VecDeque<Arc<Observation>>,
    /// Why the last run of its probes gave no answer, if it did not.
    broken: Option<String>,
    /// Has to look at the catalog or at a failed commit, even without an observation.
    due: bool,
    /// Has to judge the rules that look at the passing of time, as of this moment.
    tick_ms: Option<UnixMillis>,
    /// Has to look for rules that have said nothing for too long, as of this moment.
    silence_ms: Option<UnixMillis>,
    /// What was read back of its history.
    loaded: Vec<Loaded>,
    queued: bool,
    retry_at: Option<Instant>,
    failures: u32,
}

impl Stall {
    fn has_work(&self) -> bool {
        let is_news = self.tick_ms.is_some() || self.silence_ms.is_some() || !self.queue.is_empty();
        self.due || !self.loaded.is_empty() || (is_news && !self.is_held())
    }

    /// Its history is expected any moment.
    fn is_held(&self) -> bool {
        let held_until = self.lane.as_ref().and_then(Lane::held_until);
        self.loaded.is_empty() && held_until.is_some_and(|until| Instant::now() < until)
    }
}

impl AlertEngine {
    pub fn new(deps: EngineDeps) -> Self {
        Self {
            core: Arc::new(Core {
                deps,
                kept_channels: std::sync::Mutex::default(),
                commit_faults: FaultLog::default(),
                read_faults: FaultLog::default(),
            }),
            stalls: HashMap::new(),
            ready: VecDeque::new(),
            retries: BTreeSet::new(),
            turns: JoinSet::new(),
            running: HashMap::new(),
            loads: Loads::default(),
            partial: HashSet::new(),
        }
    }

    /// Runs until the shutdown. Nothing is judged before a catalog was published (version 0 is
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
            self.start_turns(&current);
            self.loads.start(&self.core);
            let (retry_at, load_at) = (
                self.retries.first().map(|(at, _)| *at),
                self.loads.next(&self.core),
            );
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = self.turns.join_next_with_id() => self.end_turn(ended),
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
        let settings = &self.core.deps.settings;
        let mut wait = settings.first_retry;
        loop {
            let store = &self.core.deps.store;
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

    /// Gives each open alert to its lane, which looks at it at once: its rule may be gone.
    fn adopt(&mut self, (open, memories): Kept) {
        for (rule, slug, memory) in memories {
            let lane = &mut self.stalls.entry(slug.clone()).or_default().lane;
            lane.get_or_insert_with(|| Lane::new(slug))
                .adopt_memory(rule, memory);
        }
        for alert in open {
            let slug = alert.service.clone();
            let stall = self.stalls.entry(slug.clone()).or_default();
            stall
                .lane
                .get_or_insert_with(|| Lane::new(slug.clone()))
                .adopt(alert);
            stall.due = true;
            self.make_ready(&slug);
        }
    }

    fn accept(&mut self, observation: Arc<Observation>, catalog: &Catalog) {
        // A run that did not take place, or whose check broke, is no news of the service: its
        // alerts stay as they are.
        if observation.is_check_broken() {
            if let Some(stall) = self.stalls.get_mut(&observation.service) {
                stall.broken = observation
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
        if !ruled && !self.stalls.contains_key(&slug) {
            return;
        }
        let stall = self.stalls.entry(slug.clone()).or_default();
        stall.broken = None;
        stall.queue.push_back(observation);
        if stall.queue.len() > self.core.deps.settings.kept_behind {
            stall.queue.pop_front();
            metrics::counter!("extrack_alert_observations_dropped_total").increment(1);
        }
        self.make_ready(&slug);
    }

    fn make_ready(&mut self, slug: &str) {
        let Some(stall) = self.stalls.get_mut(slug) else {
            return;
        };
        if !stall.running && !stall.queued && stall.has_work() {
            stall.queued = true;
            self.ready.push_back(slug.to_owned());
        }
    }

    /// Services whose rules are to be looked at, whether anything was seen of them or not.
    fn all_due(&mut self, catalog: &Catalog) {
        for (slug, _) in catalog.rules.iter().filter(|(_, rules)| !rules.is_empty()) {
            self.stalls.entry(slug.clone()).or_default();
        }
        let slugs: Vec<String> = self.stalls.keys().cloned().collect();
        for slug in slugs {
            if let Some(stall) = self.stalls.get_mut(&slug) {
                stall.due = true;
            }
            self.make_ready(&slug);
        }
    }

    /// Services with a rule that asks for it get a turn, whether they have been heard of or not,
    /// and so do those with a rule that has said nothing for too long. There are at most as
    /// many as the catalog has, and a turn that has not been taken yet is not added to.
    fn tick(&mut self, catalog: &Catalog) {
        let now_ms = self.core.deps.clock.now_ms();
        self.core.deps.signals.beat(now_ms);
        let tick_ms = now_ms - now_ms.rem_euclid(self.tick_period_ms());
        for (slug, rules) in &catalog.rules {
            if rules.iter().any(|rule| self.core.deps.rules.ticks(rule)) {
                self.stalls.entry(slug.clone()).or_default().tick_ms = Some(tick_ms);
                self.make_ready(slug);
            }
        }
        let is_overdue = |stall: &Stall| {
            stall
                .lane
                .as_ref()
                .is_some_and(|lane| lane.is_overdue(tick_ms))
        };
        let overdue = self
            .stalls
            .iter_mut()
            .filter(|(_, stall)| is_overdue(stall));
        let slugs: Vec<String> = overdue
            .map(|(slug, stall)| {
                stall.silence_ms = Some(tick_ms);
                slug.clone()
            })
            .collect();
        slugs.iter().for_each(|slug| self.make_ready(slug));
    }

    /// By the clock each time anew: it may have been set.
    fn next_tick(&self) -> Instant {
        let period_ms = self.tick_period_ms();
        let left_ms = period_ms - self.core.deps.clock.now_ms().rem_euclid(period_ms);
        // Clocks differ by a little, and a tick that came too early would belong to the moment
        // before.
        Instant::now() + Duration::from_millis(left_ms.unsigned_abs() + 2)
    }

    fn tick_period_ms(&self) -> i64 {
        i64::try_from(self.core.deps.settings.tick.as_millis())
            .unwrap_or(i64::MAX)
            .max(1)
    }

    fn take_loaded(&mut self, (slug, loaded): (String, Loaded)) {
        if let Some(stall) = self.stalls.get_mut(&slug) {
            stall.loaded.push(loaded);
        }
        self.make_ready(&slug);
    }

    fn retry_due(&mut self) {
        let now = Instant::now();
        while self.retries.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, slug)) = self.retries.pop_first() else {
                break;
            };
            if let Some(stall) = self.stalls.get_mut(&slug) {
                stall.retry_at = None;
                stall.due = true;
            }
            self.make_ready(&slug);
        }
    }

    fn start_turns(&mut self, catalog: &Arc<Catalog>) {
        while self.running.len() < self.core.deps.settings.lanes_at_once {
            let Some(slug) = self.ready.pop_front() else {
                break;
            };
            let Some(stall) = self.stalls.get_mut(&slug) else {
                continue;
            };
            stall.queued = false;
            stall.running = true;
            stall.due = false;
            let is_held = stall.is_held();
            let (tick_ms, silence_ms) = if is_held {
                (None, None)
            } else {
                (stall.tick_ms.take(), stall.silence_ms.take())
            };
            let most = if is_held {
                usize::MAX
            } else {
                self.core.deps.settings.judged_behind
            };
            let behind = stall.queue.len().saturating_sub(most);
            if behind > 0 {
                metrics::counter!("extrack_alert_evaluations_coalesced_total")
                    .increment(behind as u64);
            }
            let turn = Turn {
                remembered: stall.queue.drain(..behind).collect(),
                judged: if is_held {
                    None
                } else {
                    stall.queue.pop_front()
                },
                waiting: stall
                    .queue
                    .iter()
                    .map(|observation| observation.run_id)
                    .collect(),
                tick_ms,
                silence_ms,
                loaded: std::mem::take(&mut stall.loaded),
                broken: stall.broken.clone(),
                catalog: Arc::clone(catalog),
            };
            // Taken away by a panic: begins anew with what the stores know.
            let lane = stall.lane.take().unwrap_or_else(|| Lane::new(slug.clone()));
            let core = Arc::clone(&self.core);
            let id = self
                .turns
                .spawn(async move { lane.take_turn(&core, turn).await })
                .id();
            self.running.insert(id, slug);
        }
    }

    fn end_turn(&mut self, ended: Result<(Id, Lane), JoinError>) {
        let (id, lane) = match ended {
            Ok((id, lane)) => (id, Ok(lane)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(slug) = self.running.remove(&id) else {
            return;
        };
        let Some(stall) = self.stalls.get_mut(&slug) else {
            return;
        };
        stall.running = false;
        if let Some(at) = stall.retry_at.take() {
            self.retries.remove(&(at, slug.clone()));
        }
        let mut lane = lane.unwrap_or_else(|error| {
            tracing::error!(service = slug, %error, "judging an observation panicked, the alerts are read again");
            Lane::lost(slug.clone())
        });
        lane.take_returned()
            .into_iter()
            .rev()
            .for_each(|observation| stall.queue.push_front(observation));
        let settings = &self.core.deps.settings;
        let mut retry_at = lane.held_until().filter(|until| Instant::now() < *until);
        if lane.is_settled() {
            stall.failures = 0;
        } else {
            let wait = settings
                .first_retry
                .saturating_mul(1 << stall.failures.min(16))
                .min(settings.longest_retry);
            stall.failures += 1;
            let at = Instant::now() + wait;
            retry_at = Some(retry_at.map_or(at, |held| held.min(at)));
        }
        stall.retry_at = retry_at;
        self.retries.extend(retry_at.map(|at| (at, slug.clone())));
        if let Some((request, after)) = lane.history_request(&self.core) {
            self.loads.push(request, after);
        }
        let was_partial = if lane.is_partial() {
            !self.partial.insert(slug.clone())
        } else {
            self.partial.remove(&slug)
        };
        if was_partial != lane.is_partial() {
            metrics::gauge!("extrack_alert_histories_missing").set(self.partial.len() as f64);
        }
        if lane.is_idle() && !stall.has_work() {
            self.stalls.remove(&slug);
            return;
        }
        stall.lane = Some(lane);
        self.make_ready(&slug);
    }

    /// Judges what has already arrived; what is not done in time comes up again with the next
    /// observation after a start.
    async fn finish(mut self, catalog: &Arc<Catalog>) {
        let grace = self.core.deps.settings.grace;
        let rest = async {
            loop {
                self.start_turns(catalog);
                self.loads.start(&self.core);
                let retry_at = self.retries.first().map(|(at, _)| *at);
                let is_held = self
                    .stalls
                    .values()
                    .any(|stall| stall.is_held() && !stall.queue.is_empty());
                tokio::select! {
                    biased;
                    Some(ended) = self.turns.join_next_with_id() => self.end_turn(ended),
                    Some(loaded) = self.loads.ended(), if is_held => self.take_loaded(loaded),
                    () = sleep_until(retry_at), if is_held && retry_at.is_some() => self.retry_due(),
                    else => break,
                }
            }
        };
        if tokio::time::timeout(grace, rest).await.is_err() {
            tracing::warn!(
                "stopped before every observation was judged, the next ones of these services decide"
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
