//! Backtests over several services: which rule, which version of its plugin, which observations, and what really happened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::alerts::EngineSettings;
use crate::alerts::backtest::{
    BacktestOutcome, BacktestProgress, BacktestRefusal, BacktestReport, BacktestRequest, BacktestRun, Episode,
    ObservationPages, RuleChoice, RuleRow, ServiceBacktest, backtest, compare,
};
use crate::alerts::ports::{PortError, PortResult};
use crate::api::parts::Backtests;
use crate::domain::{AlertRule, Catalog, ChannelId, History, Labels, UnixMillis, Verdict};
use crate::plugin_host::{self, PluginHost, RuleVersion};
use crate::registry::Registry;
use crate::store::{ControlStore, ResultStore};

/// Each takes a core for as long as it lasts.
const AT_ONCE: usize = 1;

/// As many alerts as a backtest keeps of one service.
const MOST_REAL: u32 = 1_000;

/// For a service without probes of its own, as in the alert engine.
const INTERVAL_UNKNOWN: Duration = Duration::from_secs(60);

pub(super) struct Backtester {
    registry: Registry,
    host: PluginHost,
    control: ControlStore,
    results: ResultStore,
    turns: Semaphore,
}

impl Backtester {
    pub(super) fn new(registry: Registry, host: PluginHost, control: ControlStore, results: ResultStore) -> Self {
        Self { registry, host, control, results, turns: Semaphore::new(AT_ONCE) }
    }

    async fn run(
        &self,
        request: BacktestRequest,
        progress: &(dyn Fn(BacktestProgress) + Send + Sync),
    ) -> Result<BacktestReport, BacktestRefusal> {
        let _turn = self.turns.try_acquire().map_err(|_| BacktestRefusal::Busy)?;
        let catalog = self.registry.catalog();
        let rules = select(self.rules(&catalog, &request.rule).await?, request.services.as_deref())?;
        let version = self.version(&rules[0], &request).await?;
        let between = (request.since_ms, request.until_ms);
        let mut total = 0;
        for rule in &rules {
            total += self.results.count(&rule.service, between).await.map_err(failed)?;
        }
        let played = AtomicU64::new(0);
        let note = |count| {
            let observations = played.fetch_add(count, Ordering::Relaxed) + count;
            // Those before the first moment are looked at as well.
            progress(BacktestProgress { observations: observations.min(total), of_observations: total });
        };
        note(0);
        let (mut services, mut took) = (Vec::with_capacity(rules.len()), Duration::ZERO);
        for rule in &rules {
            let start = Instant::now();
            let outcome = self.play(&catalog, rule, &version, between, &note).await?;
            took += start.elapsed();
            let really = self.really(rule, between).await?;
            let current = self.current(&catalog, rule, &request, between).await?;
            services.push(ServiceBacktest {
                service: rule.service.clone(),
                with_really: compare(&outcome.episodes, &really, request.until_ms),
                with_current: current.as_ref().map(|current| compare(&outcome.episodes, current, request.until_ms)),
                outcome,
                really,
                current,
            });
        }
        Ok(BacktestReport {
            rule: rules[0].name.clone(),
            plugin: version.info().name.clone(),
            plugin_version: version.info().version.clone(),
            digest: version.digest().to_owned(),
            since_ms: request.since_ms,
            until_ms: request.until_ms,
            messages: messages(&catalog, &rules, &services),
            services,
            took,
        })
    }

    async fn rules(&self, catalog: &Catalog, choice: &RuleChoice) -> Result<Vec<Arc<AlertRule>>, BacktestRefusal> {
        match choice {
            RuleChoice::Named(name) => {
                let of_services = catalog.rules.iter().filter(|(slug, _)| catalog.services.contains_key(*slug));
                let named =
                    of_services.flat_map(|(_, rules)| rules).filter(|rule| rule.name == *name || rule.key == *name);
                let found: Vec<Arc<AlertRule>> = named.cloned().collect();
                if found.is_empty() { Err(BacktestRefusal::UnknownRule(name.clone())) } else { Ok(found) }
            }
            RuleChoice::Spec(spec) => {
                let rules = self.registry.rule_try(spec.clone()).await.map_err(|faults| {
                    BacktestRefusal::Invalid(faults.into_iter().map(|fault| (fault.pointer, fault.message)).collect())
                })?;
                Ok(rules.into_iter().map(Arc::new).collect())
            }
        }
    }

    async fn version(&self, rule: &AlertRule, request: &BacktestRequest) -> Result<RuleVersion, BacktestRefusal> {
        let refused = |reason: String| BacktestRefusal::Plugin(reason);
        let Some(component) = request.component.clone() else {
            return self.host.rule_version(&rule.plugin).map_err(|error| refused(error.to_string()));
        };
        let version =
            self.host.rule_candidate(component, &request.by).await.map_err(|refusal| refused(refusal.to_string()))?;
        match version.info().name == rule.plugin {
            true => Ok(version),
            false => Err(refused(format!(
                "the component is a version of `{}`, and the rule is one of `{}`",
                version.info().name,
                rule.plugin
            ))),
        }
    }

    async fn play(
        &self,
        catalog: &Catalog,
        rule: &Arc<AlertRule>,
        version: &RuleVersion,
        (since_ms, until_ms): (UnixMillis, UnixMillis),
        note: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<BacktestOutcome, BacktestRefusal> {
        let look_back = self.host.look_back_of_version(version, &rule.settings).await;
        let look_back = look_back.map_err(|error| BacktestRefusal::Plugin(error.to_string()))?;
        let probes = catalog.services.get(&rule.service).map(|service| service.probes.as_slice()).unwrap_or_default();
        let interval = probes.iter().map(|probe| probe.interval).max();
        let retries = probes.iter().filter_map(|probe| Some((probe.name.clone(), probe.retry?.times))).collect();
        let run = BacktestRun {
            rule: rule.clone(),
            look_back,
            interval: interval.unwrap_or(INTERVAL_UNKNOWN),
            retries,
            tick: self.host.rule_ticks(&rule.plugin).then(|| EngineSettings::default().tick),
            since_ms,
            until_ms,
        };
        let mut row = Row(self.host.rule_row(version, &rule.service, &rule.settings));
        backtest(&run, &self.results, &mut row, note).await.map_err(failed)
    }

    async fn really(
        &self,
        rule: &AlertRule,
        (since_ms, until_ms): (UnixMillis, UnixMillis),
    ) -> Result<Vec<Episode>, BacktestRefusal> {
        let alerts = self.control.alert_fired_list(&rule.key, since_ms, until_ms, MOST_REAL).await;
        let alerts = alerts.map_err(|error| BacktestRefusal::Failed(error.to_string()))?;
        Ok(alerts.iter().filter_map(Episode::of).collect())
    }

    /// What is in force, where something else was asked for.
    async fn current(
        &self,
        catalog: &Catalog,
        rule: &AlertRule,
        request: &BacktestRequest,
        between: (UnixMillis, UnixMillis),
    ) -> Result<Option<Vec<Episode>>, BacktestRefusal> {
        let in_force = catalog.rules.get(&rule.service).into_iter().flatten().find(|other| other.key == rule.key);
        let Some(in_force) = in_force else { return Ok(None) };
        if request.component.is_none() && is_same(in_force, rule) {
            return Ok(None);
        }
        let Ok(version) = self.host.rule_version(&in_force.plugin) else { return Ok(None) };
        let outcome = self.play(catalog, in_force, &version, between, &|_| {}).await?;
        Ok(Some(outcome.episodes))
    }
}

impl Backtests for Backtester {
    fn backtest<'a>(
        &'a self,
        request: BacktestRequest,
        progress: &'a (dyn Fn(BacktestProgress) + Send + Sync),
    ) -> BoxFuture<'a, Result<BacktestReport, BacktestRefusal>> {
        self.run(request, progress).boxed()
    }
}

fn failed(error: PortError) -> BacktestRefusal {
    BacktestRefusal::Failed(error.0)
}

fn is_same(a: &AlertRule, b: &AlertRule) -> bool {
    a.plugin == b.plugin && a.settings == b.settings && a.probes == b.probes && a.duration == b.duration
}

/// In the order of their services; all of them where none is named.
fn select(rules: Vec<Arc<AlertRule>>, services: Option<&[String]>) -> Result<Vec<Arc<AlertRule>>, BacktestRefusal> {
    let named = services.unwrap_or_default();
    if let Some(unknown) = named.iter().find(|slug| !rules.iter().any(|rule| rule.service == **slug)) {
        return Err(BacktestRefusal::UnknownService(unknown.clone()));
    }
    let is_wanted = |rule: &Arc<AlertRule>| services.is_none() || named.contains(&rule.service);
    let mut wanted: Vec<Arc<AlertRule>> = rules.into_iter().filter(is_wanted).collect();
    wanted.sort_by(|a, b| a.service.cmp(&b.service));
    if wanted.is_empty() { Err(BacktestRefusal::NoService) } else { Ok(wanted) }
}

fn messages(catalog: &Catalog, rules: &[Arc<AlertRule>], services: &[ServiceBacktest]) -> BTreeMap<String, u64> {
    let mut messages = BTreeMap::new();
    for (rule, service) in rules.iter().zip(services) {
        let episodes = &service.outcome.episodes;
        let ended = episodes.iter().filter(|episode| episode.resolved_ms.is_some()).count();
        for id in &told(catalog, rule) {
            let name = catalog.channels.get(id).map_or_else(|| id.0.clone(), |channel| channel.name.clone());
            *messages.entry(name).or_default() += (episodes.len() + ended) as u64;
        }
    }
    messages
}

/// Where an alert of the rule goes: by the routing tree, or as it says itself.
fn told(catalog: &Catalog, rule: &AlertRule) -> Vec<ChannelId> {
    let Some(route) = catalog.route.as_ref().filter(|_| rule.is_routed) else { return rule.channels.clone() };
    let service = catalog.services.get(&rule.service).map(Arc::as_ref);
    let labels = Labels::of(&rule.name, &rule.service, rule.severity, service);
    route.destinations(&labels).into_iter().flat_map(|destination| destination.channels).collect()
}

struct Row(plugin_host::RuleRow);

impl RuleRow for Row {
    fn evaluate(&mut self, history: Arc<dyn History>, now_ms: UnixMillis) -> BoxFuture<'_, PortResult<Verdict>> {
        self.0.evaluate(history, now_ms).map(|verdict| verdict.map_err(|error| PortError(error.to_string()))).boxed()
    }

    fn is_impure(&self) -> bool {
        self.0.is_impure()
    }
}
