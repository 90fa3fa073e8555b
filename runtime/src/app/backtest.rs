//! Backtests over several services: which rule, which version of its plugin, which observations,
//! and what really happened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::alerts::backtest::{
    BacktestOutcome, BacktestProgress, BacktestRefusal, BacktestReport, BacktestRequest,
    BacktestRun, Episode, ObservationPages, Played, RuleChoice, RuleRow, ServiceBacktest, Telling,
    backtest, compare, tell,
};
use crate::alerts::lifecycle::no_data_after;
use crate::alerts::ports::{PortError, PortResult};
use crate::alerts::{EngineSettings, mutes_of};
use crate::api::Backtests;
use crate::domain::{
    AlertRule, Catalog, Fault, History, PluginInfo, PluginKind, UnixMillis, Verdict,
};
use crate::plugin_host::{self, PluginHost, RuleVersion};
use crate::registry::{PluginDirectory, Registry};
use crate::store::{ControlError, ControlStore, ResultStore};

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
    pub(super) fn new(
        registry: Registry,
        host: PluginHost,
        control: ControlStore,
        results: ResultStore,
    ) -> Self {
        Self {
            registry,
            host,
            control,
            results,
            turns: Semaphore::new(AT_ONCE),
        }
    }

    async fn run(
        &self,
        request: BacktestRequest,
        progress: &(dyn Fn(BacktestProgress) + Send + Sync),
    ) -> Result<BacktestReport, BacktestRefusal> {
        let _turn = self
            .turns
            .try_acquire()
            .map_err(|_| BacktestRefusal::Busy)?;
        let catalog = self.registry.catalog();
        let candidate = self.candidate(&request).await?;
        let rules = self
            .rules(&catalog, &request.rule, candidate.as_ref())
            .await?;
        let rules = select(rules, request.services.as_deref())?;
        let version = self.version(&rules[0], candidate)?;
        let between = (request.since_ms, request.until_ms);
        let mut total = 0;
        for rule in &rules {
            total += self
                .results
                .count(&rule.service, between)
                .await
                .map_err(failed)?;
        }
        let played = AtomicU64::new(0);
        let note = |count| {
            let observations = played.fetch_add(count, Ordering::Relaxed) + count;
            // Those before the first moment are looked at as well.
            progress(BacktestProgress {
                observations: observations.min(total),
                of_observations: total,
            });
        };
        note(0);
        let (mut services, mut took) = (Vec::with_capacity(rules.len()), Duration::ZERO);
        let mut played_rules = Vec::with_capacity(rules.len());
        for rule in &rules {
            let start = Instant::now();
            let outcome = self.play(&catalog, rule, &version, between, &note).await?;
            took += start.elapsed();
            let really = self.really(rule, between).await?;
            let current = self.current(&catalog, rule, &request, between).await?;
            played_rules.push(Played {
                rule: rule.clone(),
                episodes: outcome.episodes.clone(),
            });
            services.push(ServiceBacktest {
                service: rule.service.clone(),
                suppressed_by: BTreeMap::new(),
                with_really: compare(&outcome.episodes, &really, request.until_ms),
                with_current: current
                    .as_ref()
                    .map(|current| compare(&outcome.episodes, current, request.until_ms)),
                outcome,
                really,
                current,
            });
        }
        let told = self.tell(&catalog, played_rules, between).await?;
        for ((rule, episode), mute) in told.suppressed_by {
            services[rule].suppressed_by.insert(episode, mute);
        }
        let mut messages: BTreeMap<String, u64> = BTreeMap::new();
        for (channel, count) in told.messages {
            let name = catalog
                .channels
                .get(&channel)
                .map_or(channel.0.as_str(), |channel| channel.name.as_str());
            *messages.entry(name.to_owned()).or_default() += count;
        }
        Ok(BacktestReport {
            rule: rules[0].name.clone(),
            plugin: version.info().name.clone(),
            plugin_version: version.info().version.clone(),
            digest: version.digest().to_owned(),
            since_ms: request.since_ms,
            until_ms: request.until_ms,
            messages,
            messages_cut: told.is_cut,
            services,
            took,
        })
    }

    async fn rules(
        &self,
        catalog: &Catalog,
        choice: &RuleChoice,
        candidate: Option<&RuleVersion>,
    ) -> Result<Vec<Arc<AlertRule>>, BacktestRefusal> {
        match choice {
            RuleChoice::Named(name) => {
                let of_services = catalog
                    .rules
                    .iter()
                    .filter(|(slug, _)| catalog.services.contains_key(*slug));
                let named = of_services
                    .flat_map(|(_, rules)| rules)
                    .filter(|rule| rule.name == *name || rule.key == *name);
                let found: Vec<Arc<AlertRule>> = named.cloned().collect();
                if found.is_empty() {
                    Err(BacktestRefusal::UnknownRule(name.clone()))
                } else {
                    Ok(found)
                }
            }
            RuleChoice::Spec(spec) => {
                let with = candidate.map(|version| WithCandidate {
                    host: &self.host,
                    version,
                });
                let plugins = with.as_ref().map(|with| with as &dyn PluginDirectory);
                let rules = self
                    .registry
                    .rule_try(spec.clone(), plugins)
                    .await
                    .map_err(BacktestRefusal::Invalid)?;
                Ok(rules.into_iter().map(Arc::new).collect())
            }
        }
    }

    /// The component in the request, which need not be installed and is not by this.
    async fn candidate(
        &self,
        request: &BacktestRequest,
    ) -> Result<Option<RuleVersion>, BacktestRefusal> {
        let Some(component) = request.component.clone() else {
            return Ok(None);
        };
        let version = self.host.rule_candidate(component, &request.by).await;
        version
            .map(Some)
            .map_err(|refusal| BacktestRefusal::Plugin(refusal.to_string()))
    }

    fn version(
        &self,
        rule: &AlertRule,
        candidate: Option<RuleVersion>,
    ) -> Result<RuleVersion, BacktestRefusal> {
        match candidate {
            None => self
                .host
                .rule_version(&rule.plugin)
                .map_err(|error| BacktestRefusal::Plugin(error.to_string())),
            Some(version) if version.info().name == rule.plugin => Ok(version),
            Some(version) => Err(BacktestRefusal::Plugin(format!(
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
        let look_back = self
            .host
            .look_back_of_version(version, &rule.settings)
            .await;
        let look_back = look_back.map_err(|error| BacktestRefusal::Plugin(error.to_string()))?;
        let probes = catalog
            .services
            .get(&rule.service)
            .map(|service| service.probes.as_slice())
            .unwrap_or_default();
        let interval = probes.iter().map(|probe| probe.interval).max();
        let retries = probes
            .iter()
            .filter_map(|probe| Some((probe.name.clone(), probe.retry?.times)))
            .collect();
        let run = BacktestRun {
            rule: rule.clone(),
            look_back,
            interval: interval.unwrap_or(INTERVAL_UNKNOWN),
            retries,
            tick: EngineSettings::default().tick,
            ticks: version.ticks(),
            no_data_after: no_data_after(rule, catalog),
            since_ms,
            until_ms,
        };
        let mut row = Row(self.host.rule_row(version, &rule.service, &rule.settings));
        backtest(&run, &self.results, &mut row, note)
            .await
            .map_err(failed)
    }

    async fn really(
        &self,
        rule: &AlertRule,
        (since_ms, until_ms): (UnixMillis, UnixMillis),
    ) -> Result<Vec<Episode>, BacktestRefusal> {
        let alerts = self
            .control
            .alert_fired_list(Some(&rule.key), since_ms, until_ms, MOST_REAL)
            .await;
        let alerts = alerts.map_err(|error| BacktestRefusal::Failed(error.to_string()))?;
        Ok(alerts.iter().filter_map(Episode::of).collect())
    }

    /// Who would have been told, by the silences and windows of that time, and by routes,
    /// inhibitions and dependencies as they are now.
    async fn tell(
        &self,
        catalog: &Arc<Catalog>,
        played: Vec<Played>,
        (since_ms, until_ms): (UnixMillis, UnixMillis),
    ) -> Result<Telling, BacktestRefusal> {
        let failed = |error: ControlError| BacktestRefusal::Failed(error.to_string());
        let silences = self
            .control
            .silence_ending_after(since_ms)
            .await
            .map_err(failed)?;
        let silences = silences.into_iter().map(|stored| stored.silence).collect();
        let windows = self
            .control
            .maintenance_open_after(since_ms)
            .await
            .map_err(failed)?;
        let windows = windows
            .into_iter()
            .map(|stored| Arc::new(stored.window))
            .collect();
        let mutes = mutes_of(catalog, silences, windows);
        let is_by_others = !mutes.inhibitions.is_empty() || !mutes.dependencies.is_empty();
        let mut others = match is_by_others {
            true => self
                .control
                .alert_fired_list(None, since_ms, until_ms, MOST_REAL)
                .await
                .map_err(failed)?,
            false => Vec::new(),
        };
        others.retain(|alert| !played.iter().any(|played| played.rule.key == alert.rule));
        let catalog = catalog.clone();
        let told =
            tokio::task::spawn_blocking(move || tell(&played, &others, &catalog, &mutes, until_ms))
                .await;
        told.map_err(|error| BacktestRefusal::Failed(error.to_string()))
    }

    /// What is in force, where something else was asked for.
    async fn current(
        &self,
        catalog: &Catalog,
        rule: &AlertRule,
        request: &BacktestRequest,
        between: (UnixMillis, UnixMillis),
    ) -> Result<Option<Vec<Episode>>, BacktestRefusal> {
        let in_force = catalog
            .rules
            .get(&rule.service)
            .into_iter()
            .flatten()
            .find(|other| other.key == rule.key);
        let Some(in_force) = in_force else {
            return Ok(None);
        };
        if request.component.is_none() && is_same(in_force, rule) {
            return Ok(None);
        }
        let Ok(version) = self.host.rule_version(&in_force.plugin) else {
            return Ok(None);
        };
        let outcome = self
            .play(catalog, in_force, &version, between, &|_| {})
            .await?;
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
    let settings = |rule: &AlertRule| {
        (
            rule.plugin.clone(),
            rule.settings.clone(),
            rule.probes.clone(),
        )
    };
    settings(a) == settings(b) && a.duration == b.duration && a.life == b.life
}

/// In the order of their services; all of them where none is named.
fn select(
    rules: Vec<Arc<AlertRule>>,
    services: Option<&[String]>,
) -> Result<Vec<Arc<AlertRule>>, BacktestRefusal> {
    let named = services.unwrap_or_default();
    if let Some(unknown) = named
        .iter()
        .find(|slug| !rules.iter().any(|rule| rule.service == **slug))
    {
        return Err(BacktestRefusal::UnknownService(unknown.clone()));
    }
    let is_wanted = |rule: &Arc<AlertRule>| services.is_none() || named.contains(&rule.service);
    let mut wanted: Vec<Arc<AlertRule>> = rules.into_iter().filter(is_wanted).collect();
    wanted.sort_by(|a, b| a.service.cmp(&b.service));
    if wanted.is_empty() {
        Err(BacktestRefusal::NoService)
    } else {
        Ok(wanted)
    }
}

/// The plugins that are there, but for one rule, of which it is this version.
struct WithCandidate<'a> {
    host: &'a PluginHost,
    version: &'a RuleVersion,
}

impl WithCandidate<'_> {
    fn is_candidate(&self, kind: PluginKind, name: &str) -> bool {
        kind == PluginKind::Rule && name == self.version.info().name
    }
}

impl PluginDirectory for WithCandidate<'_> {
    fn info(&self, kind: PluginKind, name: &str) -> Option<Arc<PluginInfo>> {
        match self.is_candidate(kind, name) {
            true => Some(self.version.info().clone()),
            false => PluginDirectory::info(self.host, kind, name),
        }
    }

    fn names(&self, kind: PluginKind) -> Vec<String> {
        let mut names = PluginDirectory::names(self.host, kind);
        let name = &self.version.info().name;
        if self.is_candidate(kind, name) && !names.contains(name) {
            names.push(name.clone());
        }
        names
    }

    fn evaluator(&self) -> &plugin_host::Evaluator {
        self.host.evaluator()
    }

    fn check_settings<'a>(
        &'a self,
        kind: PluginKind,
        name: &'a str,
        settings: &'a Value,
    ) -> BoxFuture<'a, Result<(), Vec<Fault>>> {
        match self.is_candidate(kind, name) {
            true => async move {
                self.host
                    .check_settings_of_version(self.version, settings)
                    .await
            }
            .boxed(),
            false => PluginDirectory::check_settings(self.host, kind, name, settings),
        }
    }

    fn look_back<'a>(
        &'a self,
        rule: &'a str,
        settings: &'a Value,
    ) -> BoxFuture<'a, Result<Duration, String>> {
        match self.is_candidate(PluginKind::Rule, rule) {
            true => async move {
                let look_back = self.host.look_back_of_version(self.version, settings).await;
                look_back.map_err(|error| error.to_string())
            }
            .boxed(),
            false => PluginDirectory::look_back(self.host, rule, settings),
        }
    }
}

struct Row(plugin_host::RuleRow);

impl RuleRow for Row {
    fn evaluate(
        &mut self,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<Verdict>> {
        self.0
            .evaluate(history, now_ms)
            .map(|verdict| verdict.map_err(|error| PortError(error.to_string())))
            .boxed()
    }

    fn is_impure(&self) -> bool {
        self.0.is_impure()
    }
}
