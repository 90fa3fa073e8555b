//! Backtests: what an alert rule would have done over the stored history, with the live engine's
//! evaluator ([`crate::alerts::evaluator`]) and its rules for messages. Writes nothing and sends
//! nothing.
//!
//! [`Backtester`] chooses the rule and the version of its plugin, [`simulate`] evaluates it over
//! one service's observations, and [`compare`] puts the alerts beside those that really fired.

mod candidate;
mod compare;
mod report;
mod selection;
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::alerts::evaluator::RuleSession;
use crate::alerts::lifecycle::no_data_after;
use crate::alerts::message_simulation::{Episode, MessageCount, RuleEpisodes, count_messages};
use crate::alerts::ports::{PortError, PortResult};
use crate::alerts::{EngineSettings, mutes_of};
use crate::domain::{AlertRule, Catalog, History, Mutes, UnixMillis, Verdict};
use crate::plugin_host::{self, PluginHost, RuleVersion};
use crate::registry::Registry;
use crate::store::{ControlError, ControlStore, ResultStore};

pub use compare::{Compared, compare};
pub use report::{
    BacktestError, BacktestProgress, BacktestReport, BacktestRequest, RuleChoice, ServiceBacktest,
};
pub use simulation::{BacktestOutcome, BacktestRun, PAGE, pages, simulate};

/// Backtests at the same time: each takes a core for as long as it lasts.
const MAX_BACKTESTS: usize = 1;

/// Alerts of one service that really fired: as many as a backtest keeps.
const MAX_REAL_ALERTS: u32 = 1_000;

/// Interval of a service without probes of its own, as in the alert engine.
const INTERVAL_UNKNOWN: Duration = Duration::from_secs(60);

/// Two moments, the second of which is not part of the time between.
type TimeRange = (UnixMillis, UnixMillis);

/// Runs one backtest at a time.
pub struct Backtester {
    registry: Registry,
    host: PluginHost,
    control: ControlStore,
    results: ResultStore,
    permits: Semaphore,
}

impl Backtester {
    pub fn new(
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
            permits: Semaphore::new(MAX_BACKTESTS),
        }
    }

    pub async fn run(
        &self,
        request: BacktestRequest,
        progress: &(dyn Fn(BacktestProgress) + Send + Sync),
    ) -> Result<BacktestReport, BacktestError> {
        let _permit = self
            .permits
            .try_acquire()
            .map_err(|_| BacktestError::Busy)?;
        let catalog = self.registry.catalog();
        let candidate = self.candidate(&request).await?;
        let rules = self.rules(&catalog, &request, candidate.as_ref()).await?;
        let version = self.version(&rules[0], candidate)?;
        let range = (request.since_ms, request.until_ms);
        let total = self.count_observations(&rules, range).await?;
        let done = AtomicU64::new(0);
        let note = |count| {
            let observations = done.fetch_add(count, Ordering::Relaxed) + count;
            // Observations before the first moment are part of the history as well.
            progress(BacktestProgress {
                observations: observations.min(total),
                of_observations: total,
            });
        };
        note(0);
        let (mut services, mut took) = (Vec::with_capacity(rules.len()), Duration::ZERO);
        for rule in &rules {
            let start = Instant::now();
            let outcome = self
                .simulate(&catalog, rule, &version, range, &note)
                .await?;
            took += start.elapsed();
            services.push(self.compared(&catalog, rule, &request, outcome).await?);
        }
        let counted = self.messages(&catalog, &rules, &services, range).await?;
        for ((rule, episode), mute) in counted.suppressed_by {
            services[rule].suppressed_by.insert(episode, mute);
        }
        let mut messages: BTreeMap<String, u64> = BTreeMap::new();
        for (channel, count) in counted.messages {
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
            messages_cut: counted.is_cut,
            services,
            took,
        })
    }

    async fn count_observations(
        &self,
        rules: &[Arc<AlertRule>],
        range: TimeRange,
    ) -> Result<u64, BacktestError> {
        let mut total = 0;
        for rule in rules {
            let counted = self.results.observation_count(&rule.service, range).await;
            total += counted.map_err(|error| failed(PortError::of(error)))?;
        }
        Ok(total)
    }

    /// Evaluates the rule over the stored observations of its service.
    async fn simulate(
        &self,
        catalog: &Catalog,
        rule: &Arc<AlertRule>,
        version: &RuleVersion,
        (since_ms, until_ms): TimeRange,
        note: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<BacktestOutcome, BacktestError> {
        let look_back = self
            .host
            .look_back_of_version(version, &rule.settings)
            .await;
        let look_back = look_back.map_err(|error| BacktestError::Plugin(error.to_string()))?;
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
        let range = run.observed_range();
        let pages = pages(|after_run| async move {
            self.results
                .observation_span(&rule.service, after_run, range, PAGE)
                .await
                .map_err(PortError::of)
        });
        let mut session = self
            .host
            .rule_session(version, &rule.service, &rule.settings);
        simulate(&run, pages, &mut session, note)
            .await
            .map_err(failed)
    }

    /// Puts the outcome beside the alerts that really fired, and beside what the rule in force
    /// would have done.
    async fn compared(
        &self,
        catalog: &Catalog,
        rule: &AlertRule,
        request: &BacktestRequest,
        outcome: BacktestOutcome,
    ) -> Result<ServiceBacktest, BacktestError> {
        let range = (request.since_ms, request.until_ms);
        let alerts = self
            .control
            .alert_fired_list(Some(&rule.key), range.0, range.1, MAX_REAL_ALERTS)
            .await
            .map_err(unreadable)?;
        let really: Vec<Episode> = alerts.iter().filter_map(Episode::of).collect();
        let current = self.current(catalog, rule, request, range).await?;
        let compared = |others: &[Episode]| compare(&outcome.episodes, others, request.until_ms);
        Ok(ServiceBacktest {
            service: rule.service.clone(),
            suppressed_by: BTreeMap::new(),
            with_really: compared(&really),
            with_current: current.as_deref().map(compared),
            outcome,
            really,
            current,
        })
    }

    /// Returns what the rule in force would have done, where another one was asked for.
    async fn current(
        &self,
        catalog: &Catalog,
        rule: &AlertRule,
        request: &BacktestRequest,
        range: TimeRange,
    ) -> Result<Option<Vec<Episode>>, BacktestError> {
        let in_force = catalog
            .rules
            .get(&rule.service)
            .into_iter()
            .flatten()
            .find(|other| other.key == rule.key);
        let Some(in_force) = in_force else {
            return Ok(None);
        };
        if request.component.is_none() && selection::is_same(in_force, rule) {
            return Ok(None);
        }
        let Ok(version) = self.host.rule_version(&in_force.plugin) else {
            return Ok(None);
        };
        let outcome = self
            .simulate(catalog, in_force, &version, range, &|_| {})
            .await?;
        Ok(Some(outcome.episodes))
    }

    /// Counts the messages, by the silences and windows of that time, and by routes, inhibitions
    /// and dependencies as they are now.
    async fn messages(
        &self,
        catalog: &Arc<Catalog>,
        rules: &[Arc<AlertRule>],
        services: &[ServiceBacktest],
        (since_ms, until_ms): TimeRange,
    ) -> Result<MessageCount, BacktestError> {
        let mutes = self.mutes(catalog, since_ms).await?;
        let mut others = Vec::new();
        if !mutes.inhibitions.is_empty() || !mutes.dependencies.is_empty() {
            others = self
                .control
                .alert_fired_list(None, since_ms, until_ms, MAX_REAL_ALERTS)
                .await
                .map_err(unreadable)?;
            others.retain(|alert| !rules.iter().any(|rule| rule.key == alert.rule));
        }
        let episodes: Vec<RuleEpisodes> = rules
            .iter()
            .zip(services)
            .map(|(rule, service)| RuleEpisodes {
                rule: rule.clone(),
                episodes: service.outcome.episodes.clone(),
            })
            .collect();
        let catalog = catalog.clone();
        tokio::task::spawn_blocking(move || {
            count_messages(&episodes, &others, &catalog, &mutes, until_ms)
        })
        .await
        .map_err(|error| BacktestError::Failed(error.to_string()))
    }

    async fn mutes(&self, catalog: &Catalog, since_ms: UnixMillis) -> Result<Mutes, BacktestError> {
        let silences = self
            .control
            .silence_ending_after(since_ms)
            .await
            .map_err(unreadable)?;
        let windows = self
            .control
            .maintenance_open_after(since_ms)
            .await
            .map_err(unreadable)?;
        let silences = silences.into_iter().map(|stored| stored.silence).collect();
        let windows = windows
            .into_iter()
            .map(|stored| Arc::new(stored.window))
            .collect();
        Ok(Mutes {
            // What is paused now was not paused then.
            paused: Arc::default(),
            ..mutes_of(catalog, silences, windows)
        })
    }
}

impl RuleSession for plugin_host::RuleSession {
    async fn evaluate(
        &mut self,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> PortResult<Verdict> {
        plugin_host::RuleSession::evaluate(self, history, now_ms)
            .await
            .map_err(|error| PortError(error.to_string()))
    }

    fn is_impure(&self) -> bool {
        plugin_host::RuleSession::is_impure(self)
    }
}

fn failed(error: PortError) -> BacktestError {
    BacktestError::Failed(error.0)
}

fn unreadable(error: ControlError) -> BacktestError {
    BacktestError::Failed(error.to_string())
}
