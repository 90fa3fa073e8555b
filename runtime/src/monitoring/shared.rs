//! [`Shared`]: the run of a probe within the limits, and the way of its observation: to the alert
//! engine first, then to the recorder, so that paging never waits for the database.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

use super::check_runner::CheckRunner;
use super::heartbeats::book::HeartbeatBook;
use super::in_flight::{InFlight, open_files};
use super::incidents::{IncidentTracker, PageRun};
use super::maintenance::PlannedWork;
use super::missed::{self, Gap};
use super::offline::failures::NetworkFailures;
use super::pulse::Pulse;
use super::status_cache::StatusCache;
use super::webhooks::receiver::WebhookReceiver;
use crate::domain::Status;
use crate::domain::{
    Budget, Catalog, CheckJob, ClockJumps, ErrorKind, Exclusion, LOCAL, Observation, Pause, Probe,
    Service, UnixMillis, now_ms,
};
use crate::plugin_host::PluginHost;
use crate::store::ResultStore;

#[derive(Debug, Clone, Copy)]
pub struct MonitoringSettings {
    /// The most runs at the same time: what the limit may grow to, as long as the machine has
    /// room.
    pub in_flight: usize,
    /// Runs at the same time against one host.
    pub per_host: usize,
}

impl MonitoringSettings {
    /// The most that [`Self::in_flight`] may be.
    pub const MAX_IN_FLIGHT: usize = Budget::MAX_PROBES as usize;
}

impl Default for MonitoringSettings {
    fn default() -> Self {
        Self {
            in_flight: Self::MAX_IN_FLIGHT,
            per_host: 16,
        }
    }
}

pub(super) struct Shared {
    pub(super) host: PluginHost,
    /// Runs the probes.
    checks: CheckRunner,
    pub(super) results: ResultStore,
    pub(super) alerts: mpsc::Sender<Arc<Observation>>,
    pub(super) status_cache: Arc<StatusCache>,
    pub(super) incidents: Arc<IncidentTracker>,
    pub(super) planned: Arc<PlannedWork>,
    pub(super) catalog: watch::Receiver<Arc<Catalog>>,
    pub(super) webhook_receiver: WebhookReceiver,
    pub(super) heartbeats: HeartbeatBook,
    pub(super) in_flight: InFlight,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
    settings: MonitoringSettings,
    pub(super) pulse: Pulse,
    pub(super) jumps: ClockJumps,
    pub(super) network: NetworkFailures,
}

impl Shared {
    pub(super) fn new(
        host: PluginHost,
        results: ResultStore,
        alerts: mpsc::Sender<Arc<Observation>>,
        catalog: watch::Receiver<Arc<Catalog>>,
        settings: MonitoringSettings,
        jumps: ClockJumps,
        webhook_receiver: WebhookReceiver,
    ) -> Self {
        let status_cache = Arc::new(StatusCache::default());
        status_cache.apply_catalog(&catalog.borrow());
        Self {
            checks: CheckRunner::new(host.clone()),
            host,
            results,
            alerts,
            status_cache,
            incidents: Arc::default(),
            planned: Arc::default(),
            catalog,
            webhook_receiver,
            heartbeats: HeartbeatBook::default(),
            // A run has a socket open, sometimes two for a moment; the rest of the program needs
            // its own.
            in_flight: InFlight::new(open_files().map_or(settings.in_flight, |files| {
                settings.in_flight.min(files / 2)
            })),
            hosts: Mutex::default(),
            settings,
            pulse: Pulse::default(),
            jumps,
            network: NetworkFailures::default(),
        }
    }

    /// Runs a probe; none: there was no slot before the probe's own time-out was over.
    pub(super) async fn run(
        &self,
        service: &Arc<Service>,
        probe: &Probe,
        ts_ms: UnixMillis,
    ) -> Option<Observation> {
        let patience = Instant::now() + probe.interval.min(probe.timeout);
        let previous = self.status_cache.latest(&service.slug, &probe.name);
        let is_slow = previous
            .as_ref()
            .and_then(|run| run.failure.as_ref())
            // A plugin that broke may do so at the end of its time, too.
            .is_some_and(|failure| matches!(failure.kind, ErrorKind::Timeout | ErrorKind::Plugin));
        let host = self.host_slots(&service.base_url);
        let _host = tokio::time::timeout_at(patience, host.acquire_owned())
            .await
            .ok()?
            .ok()?;
        let _slot = self.in_flight.acquire(is_slow, patience).await?;
        let run_id = self.host.next_run_id();
        let job = CheckJob {
            run_id,
            ts_ms,
            location: LOCAL.to_owned(),
            service: service.clone(),
            probe: probe.clone(),
            previous,
        };
        let done = self.checks.run(job).await;
        let claims = done.claims();
        if claims.is_some() || done.observation().status == Status::Healthy {
            let run = PageRun {
                service: &service.slug,
                probe: &probe.name,
                plugin: &probe.plugin,
                run_id,
                ts_ms,
            };
            self.incidents.note_claims(run, claims);
        }
        Some(done.into_observation())
    }

    /// Hands an observation to the status cache and to the alert engine.
    pub(super) async fn distribute(&self, mut observation: Observation) -> Arc<Observation> {
        self.exclude(&mut observation);
        metrics::counter!(
            "extrack_observations_total", "status" => observation.status.as_str(), "missed" => if observation.missed { "true" } else { "false" }
        )
        .increment(1);
        let observation = Arc::new(observation);
        self.status_cache.record(&observation);
        self.incidents.note(&observation);
        self.network.note(&observation);
        // Closed only while the program ends.
        let _ = self.alerts.send(observation.clone()).await;
        observation
    }

    /// Hands an observation to the status cache, to the alert engine and to the results.
    pub(super) async fn publish(&self, observation: Observation) {
        let observation = self.distribute(observation).await;
        self.record(observation);
    }

    pub(super) fn record(&self, observation: Arc<Observation>) {
        self.results.observation_record(observation);
    }

    /// Shows runs that did not take place, and returns their row. It is no news for the rules.
    pub(super) fn show_gap(&self, service: &Service, probe: &Probe, gap: Gap) -> Arc<Observation> {
        let mut row = gap.observation(service, probe, self.host.next_run_id());
        self.exclude(&mut row);
        self.show_unrun(row)
    }

    /// Shows and records a run that was due while its service is paused.
    pub(super) fn note_paused(
        &self,
        service: &Service,
        probe: &Probe,
        pause: &Pause,
        ts_ms: UnixMillis,
    ) {
        let row = missed::paused(service, probe, pause, ts_ms, self.host.next_run_id());
        let row = self.show_unrun(row);
        self.record(row);
    }

    fn show_unrun(&self, row: Observation) -> Arc<Observation> {
        let row = Arc::new(row);
        metrics::counter!("extrack_observations_total", "status" => row.status.as_str(), "missed" => "true")
            .increment(1);
        self.status_cache.record(&row);
        row
    }

    /// Marks a run of a service that is paused, and one that was due while it is worked on.
    fn exclude(&self, observation: &mut Observation) {
        let is_paused = self
            .catalog
            .borrow()
            .paused
            .contains_key(&observation.service);
        let planned = || {
            self.planned
                .exclusion(&observation.service, observation.ts_ms)
        };
        observation.excluded = is_paused.then_some(Exclusion::Paused).or_else(planned);
    }

    fn host_slots(&self, base_url: &str) -> Arc<Semaphore> {
        let host = host_key(base_url);
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts
            .entry(host)
            .or_insert_with(|| Arc::new(Semaphore::new(self.settings.per_host)))
            .clone()
    }

    pub(super) fn apply_catalog(&self, catalog: &Catalog) {
        self.status_cache.apply_catalog(catalog);
        self.incidents.apply_catalog(catalog, now_ms());
        self.webhook_receiver.apply_catalog(catalog);
        self.network.apply_catalog(catalog);
        self.forget_hosts(catalog);
    }

    fn forget_hosts(&self, catalog: &Catalog) {
        let known: HashSet<String> = catalog
            .services
            .values()
            .map(|service| host_key(&service.base_url))
            .collect();
        self.hosts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|host, _| known.contains(host));
    }
}

/// Returns host and port of a URL, or the text itself.
fn host_key(base_url: &str) -> String {
    match url::Url::parse(base_url) {
        Ok(url) if url.has_host() => {
            format!(
                "{}:{}",
                url.host_str().unwrap_or_default(),
                url.port_or_known_default().unwrap_or(0)
            )
        }
        _ => base_url.to_owned(),
    }
}
