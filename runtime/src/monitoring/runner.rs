//! Takes what is due, runs it within the limits, and hands the observation on: to the alert engine first, then to the
//! recorder, so that paging never waits for the database.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::board::{ServiceStatus, StatusBoard};
use super::schedule::{Due, ProbeKey, Schedule};
use super::webhooks::Intake;
use crate::domain::{
    Catalog, CurrentStatus, ErrorKind, Failure, LOCAL, Observation, Probe, Service, Status, UnixMillis, now_ms,
};
use crate::plugin_host::{PluginHost, ProbeCall};
use crate::store::ResultStore;

#[derive(Debug, Clone, Copy)]
pub struct MonitoringSettings {
    /// Runs at the same time.
    pub in_flight: usize,
    /// Runs at the same time against one host.
    pub per_host: usize,
}

impl Default for MonitoringSettings {
    fn default() -> Self {
        Self { in_flight: 500, per_host: 16 }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("there is no service `{0}`")]
    UnknownService(String),
    #[error("service `{service}` has no probe `{probe}`; it has {known}")]
    UnknownProbe { service: String, probe: String, known: String },
    #[error("the observation could not be stored: {0}")]
    NotStored(String),
    #[error("too many runs are under way; try again")]
    Busy,
}

/// For those who ask about services or want one checked now.
#[derive(Clone)]
pub struct Monitoring {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) host: PluginHost,
    pub(super) results: ResultStore,
    alerts: mpsc::Sender<Arc<Observation>>,
    board: Arc<StatusBoard>,
    pub(super) catalog: watch::Receiver<Arc<Catalog>>,
    pub(super) intake: Intake,
    in_flight: Arc<Semaphore>,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
    settings: MonitoringSettings,
}

impl Monitoring {
    pub fn new(
        host: PluginHost,
        results: ResultStore,
        alerts: mpsc::Sender<Arc<Observation>>,
        catalog: watch::Receiver<Arc<Catalog>>,
        settings: MonitoringSettings,
        first_event_id: i64,
    ) -> Self {
        let board = Arc::new(StatusBoard::default());
        board.follow(&catalog.borrow());
        let shared = Shared {
            host,
            results,
            alerts,
            board,
            catalog,
            intake: Intake::new(first_event_id),
            in_flight: Arc::new(Semaphore::new(settings.in_flight)),
            hosts: Mutex::default(),
            settings,
        };
        Self { shared: Arc::new(shared) }
    }

    pub fn board(&self) -> Arc<StatusBoard> {
        self.shared.board.clone()
    }

    /// None: no such service.
    pub fn service_status(&self, slug: &str) -> Option<ServiceStatus> {
        let mut status = self.shared.board.service(slug)?;
        if status.status == Some(CurrentStatus::Unknown) {
            let broken = status.probes.iter().filter_map(|probe| probe.latest.as_ref());
            let failing = broken.filter(|latest| latest.is_check_broken()).find_map(|latest| {
                let failing = self.shared.host.health(&latest.plugin)?.failing?;
                Some(format!("plugin `{}` is failing: {}", latest.plugin, failing.reason))
            });
            status.reason = failing.or(status.reason);
        }
        Some(status)
    }

    /// What was seen before the program stopped; oldest first.
    pub fn restore(&self, observations: impl IntoIterator<Item = Observation>) {
        for observation in observations {
            self.shared.board.record(&Arc::new(observation));
        }
    }

    /// Has the rules look at what they may have missed. To judge the same twice changes nothing.
    pub async fn judge_again(&self, observations: Vec<Arc<Observation>>) {
        for observation in observations {
            // Closed only while the program ends.
            let _ = self.shared.alerts.send(observation).await;
        }
    }

    /// Runs a probe outside its schedule; durable when this returns. Without a name, the service's first probe.
    pub async fn check_now(&self, service: &str, probe: Option<&str>) -> Result<Arc<Observation>, CheckError> {
        let catalog = self.shared.catalog.borrow().clone();
        let service =
            catalog.services.get(service).ok_or_else(|| CheckError::UnknownService(service.to_owned()))?.clone();
        let found = match probe {
            Some(name) => service.probes.iter().find(|probe| probe.name == name),
            None => service.probes.first(),
        };
        let probe = found.cloned().ok_or_else(|| CheckError::UnknownProbe {
            service: service.slug.clone(),
            probe: probe.unwrap_or("any").to_owned(),
            known: service.probes.iter().map(|probe| probe.name.as_str()).collect::<Vec<_>>().join(", "),
        })?;
        let observation = self.shared.run(&service, &probe, now_ms()).await.ok_or(CheckError::Busy)?;
        let observation = self.shared.judge(observation).await;
        self.shared
            .results
            .observation_append_durable(observation.clone())
            .await
            .map_err(|error| CheckError::NotStored(error.to_string()))?;
        Ok(observation)
    }
}

impl Shared {
    /// None: no slot before the probe's own time-out was over.
    async fn run(&self, service: &Arc<Service>, probe: &Probe, ts_ms: UnixMillis) -> Option<Observation> {
        let patience = Instant::now() + probe.interval.min(probe.timeout);
        let host = self.host_slots(&service.base_url);
        let _host = tokio::time::timeout_at(patience, host.acquire_owned()).await.ok()?.ok()?;
        let _slot = tokio::time::timeout_at(patience, self.in_flight.acquire()).await.ok()?.ok()?;
        let lag_ms = (now_ms() - ts_ms).max(0);
        metrics::histogram!("extrack_probe_start_lag_seconds").record(lag_ms as f64 / 1_000.0);
        let previous = self.board.latest(&service.slug, &probe.name);
        let call = ProbeCall { service, probe, ts_ms, previous };
        Some(self.host.check(call).await)
    }

    /// Board and alert engine at once.
    pub(super) async fn judge(&self, observation: Observation) -> Arc<Observation> {
        metrics::counter!(
            "extrack_observations_total", "status" => observation.status.as_str(), "missed" => if observation.missed { "true" } else { "false" }
        )
        .increment(1);
        let observation = Arc::new(observation);
        self.board.record(&observation);
        // Closed only while the program ends.
        let _ = self.alerts.send(observation.clone()).await;
        observation
    }

    async fn publish(&self, observation: Observation) {
        let observation = self.judge(observation).await;
        self.results.observation_record(observation);
    }

    fn host_slots(&self, base_url: &str) -> Arc<Semaphore> {
        let host = host_key(base_url);
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.entry(host).or_insert_with(|| Arc::new(Semaphore::new(self.settings.per_host))).clone()
    }

    fn forget_hosts(&self, catalog: &Catalog) {
        let known: HashSet<String> = catalog.services.values().map(|service| host_key(&service.base_url)).collect();
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).retain(|host, _| known.contains(host));
    }
}

/// Host and port of a URL, or the text itself.
fn host_key(base_url: &str) -> String {
    match url::Url::parse(base_url) {
        Ok(url) if url.has_host() => {
            format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0))
        }
        _ => base_url.to_owned(),
    }
}

/// The loop over the schedule.
pub struct Scheduler {
    shared: Arc<Shared>,
    /// How long runs may take to end after the stop.
    pub grace: Duration,
}

impl Monitoring {
    pub fn scheduler(&self, grace: Duration) -> Scheduler {
        Scheduler { shared: self.shared.clone(), grace }
    }
}

impl Scheduler {
    /// Until the shutdown; then no new run starts, and those under way end or meet the grace period.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut catalog_changes = self.shared.catalog.clone();
        let mut catalog = catalog_changes.borrow_and_update().clone();
        let mut schedule = Schedule::default();
        schedule.replace(probes(&catalog), now_ms());
        let mut runs: JoinSet<RunEnd> = JoinSet::new();
        let mut busy: HashSet<ProbeKey> = HashSet::new();
        let mut streaks: HashMap<ProbeKey, u32> = HashMap::new();
        loop {
            let now = now_ms();
            while let Some(due) = schedule.pop(now) {
                self.start(&catalog, due, &mut runs, &mut busy);
            }
            let next = schedule.next_due();
            let wait = next
                .map_or(Duration::from_secs(3_600), |at_ms| Duration::from_millis((at_ms - now_ms()).max(0) as u64));
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
                Some(ended) = runs.join_next() => {
                    retry(ended_run(ended, &mut busy), &catalog, &mut schedule, &mut streaks);
                }
                changed = catalog_changes.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    catalog = catalog_changes.borrow_and_update().clone();
                    schedule.replace(probes(&catalog), now_ms());
                    streaks.retain(|key, _| probe_of(&catalog, key).is_some());
                    self.shared.board.follow(&catalog);
                    self.shared.forget_hosts(&catalog);
                    self.shared.intake.follow(&catalog);
                }
            }
            while let Some(ended) = runs.try_join_next() {
                retry(ended_run(ended, &mut busy), &catalog, &mut schedule, &mut streaks);
            }
        }
        let ended = tokio::time::timeout(self.grace, async { while runs.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!(
                runs = runs.len(),
                "runs were still under way at the end of the grace period and are cut off"
            );
        }
    }

    fn start(&self, catalog: &Catalog, due: Due, runs: &mut JoinSet<RunEnd>, busy: &mut HashSet<ProbeKey>) {
        let Some(service) = catalog.services.get(&due.key.service).cloned() else { return };
        let Some(probe) = service.probes.iter().find(|probe| probe.name == due.key.probe).cloned() else { return };
        if due.missed_count > 0 {
            tracing::warn!(
                service = service.slug,
                probe = probe.name,
                missed = due.missed_count,
                "runs were missed: the program was not running them in time"
            );
        }
        let overlaps = !busy.insert(due.key.clone());
        let shared = self.shared.clone();
        runs.spawn(async move {
            for ts_ms in due.missed {
                shared.publish(missed(&shared, &service, &probe, ts_ms, "the program was too busy or asleep")).await;
            }
            if overlaps {
                let reason = "the run before was still under way";
                shared.publish(missed(&shared, &service, &probe, due.at_ms, reason)).await;
                // Not the one that clears `busy`: see `ended_run`.
                return RunEnd { key: ProbeKey { service: String::new(), probe: String::new() }, has_failed: None };
            }
            let observation = match shared.run(&service, &probe, due.at_ms).await {
                Some(observation) => observation,
                None => missed(&shared, &service, &probe, due.at_ms, "no free slot before its time-out"),
            };
            let has_failed = (!observation.is_check_broken()).then(|| !observation.status.is_available());
            shared.publish(observation).await;
            RunEnd { key: due.key, has_failed }
        });
    }
}

/// What the schedule has to know of a run.
struct RunEnd {
    key: ProbeKey,
    /// None: it says nothing about the service.
    has_failed: Option<bool>,
}

/// A run that failed is repeated, up to the probe's retries in a row. `streaks` counts the failed ones.
fn retry(end: Option<RunEnd>, catalog: &Catalog, schedule: &mut Schedule, streaks: &mut HashMap<ProbeKey, u32>) {
    let Some(RunEnd { key, has_failed: Some(has_failed) }) = end else { return };
    let Some(retry) = probe_of(catalog, &key).and_then(|probe| probe.retry) else { return };
    if !has_failed {
        streaks.remove(&key);
        return;
    }
    let failed = streaks.entry(key.clone()).or_default();
    *failed = failed.saturating_add(1);
    if *failed <= retry.times {
        metrics::counter!("extrack_probe_retries_total").increment(1);
        schedule.retry(&key, now_ms() + retry.every.as_millis() as i64);
    }
}

fn probe_of<'a>(catalog: &'a Catalog, key: &ProbeKey) -> Option<&'a Probe> {
    catalog.services.get(&key.service)?.probes.iter().find(|probe| probe.name == key.probe)
}

fn ended_run(ended: Result<RunEnd, tokio::task::JoinError>, busy: &mut HashSet<ProbeKey>) -> Option<RunEnd> {
    match ended {
        Ok(end) => {
            busy.remove(&end.key);
            Some(end)
        }
        // Which one it was is not known any more: all may start again.
        Err(error) => {
            tracing::error!(%error, "a run ended by a panic in the program itself");
            busy.clear();
            None
        }
    }
}

fn probes(catalog: &Catalog) -> impl Iterator<Item = (ProbeKey, Duration)> + '_ {
    catalog.services.values().flat_map(|service| {
        service
            .probes
            .iter()
            .map(|probe| (ProbeKey { service: service.slug.clone(), probe: probe.name.clone() }, probe.interval))
    })
}

/// A run that did not take place is a row too: a gap must not read as availability.
fn missed(shared: &Shared, service: &Service, probe: &Probe, ts_ms: UnixMillis, reason: &str) -> Observation {
    Observation {
        ts_ms,
        service: service.slug.clone(),
        probe: probe.name.clone(),
        location: LOCAL.into(),
        status: Status::Error,
        latency_us: None,
        phases: Default::default(),
        http_status: None,
        failure: Some(Failure::new(ErrorKind::Plugin, format!("missed: {reason}"))),
        bytes: 0,
        plugin: probe.plugin.clone(),
        plugin_version: String::new(),
        run_id: shared.host.next_run_id(),
        metrics: Vec::new(),
        missed: true,
        rate_limits: Vec::new(),
    }
}
