//! Runs probes within the limits, and hands the observation on: to the alert engine first, then to
//! the recorder, so that paging never waits for the database.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

use super::board::{ServiceStatus, StatusBoard};
use super::in_flight::{InFlight, open_files};
use super::missed::Gap;
use super::offline::NetworkFailures;
use super::pulse::Pulse;
use super::webhooks::Intake;
use crate::domain::{
    Budget, Catalog, ClockJumps, CurrentStatus, ErrorKind, Observation, Probe, Service, UnixMillis,
    now_ms,
};
use crate::plugin_host::{PluginHost, ProbeCall};
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

#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("there is no service `{0}`")]
    UnknownService(String),
    #[error("service `{service}` has no probe `{probe}`; it has {known}")]
    UnknownProbe {
        service: String,
        probe: String,
        known: String,
    },
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
    pub(super) board: Arc<StatusBoard>,
    pub(super) catalog: watch::Receiver<Arc<Catalog>>,
    pub(super) intake: Intake,
    pub(super) in_flight: InFlight,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
    settings: MonitoringSettings,
    pub(super) pulse: Pulse,
    pub(super) jumps: ClockJumps,
    pub(super) network: NetworkFailures,
}

impl Monitoring {
    pub fn new(
        host: PluginHost,
        results: ResultStore,
        alerts: mpsc::Sender<Arc<Observation>>,
        catalog: watch::Receiver<Arc<Catalog>>,
        settings: MonitoringSettings,
        jumps: ClockJumps,
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
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Why it can't be said that probes run; none while they do, or while there are none.
    pub fn stalled(&self) -> Option<String> {
        self.shared.pulse.missing(&self.shared.catalog.borrow())
    }

    pub fn board(&self) -> Arc<StatusBoard> {
        self.shared.board.clone()
    }

    /// None: no such service.
    pub fn service_status(&self, slug: &str) -> Option<ServiceStatus> {
        let mut status = self.shared.board.service(slug)?;
        if status.status == Some(CurrentStatus::Unknown) {
            let broken = status
                .probes
                .iter()
                .filter_map(|probe| probe.latest.as_ref());
            let failing = broken
                .filter(|latest| latest.is_check_broken())
                .find_map(|latest| {
                    let failing = self.shared.host.health(&latest.plugin)?.failing?;
                    Some(format!(
                        "plugin `{}` is failing: {}",
                        latest.plugin, failing.reason
                    ))
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

    /// Runs a probe outside its schedule; durable when this returns. Without a name, the service's
    /// first probe.
    pub async fn check_now(
        &self,
        service: &str,
        probe: Option<&str>,
    ) -> Result<Arc<Observation>, CheckError> {
        let catalog = self.shared.catalog.borrow().clone();
        let service = catalog
            .services
            .get(service)
            .ok_or_else(|| CheckError::UnknownService(service.to_owned()))?
            .clone();
        let found = match probe {
            Some(name) => service.probes.iter().find(|probe| probe.name == name),
            None => service.probes.first(),
        };
        let probe = found.cloned().ok_or_else(|| CheckError::UnknownProbe {
            service: service.slug.clone(),
            probe: probe.unwrap_or("any").to_owned(),
            known: service
                .probes
                .iter()
                .map(|probe| probe.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        })?;
        let observation = self
            .shared
            .run(&service, &probe, now_ms())
            .await
            .ok_or(CheckError::Busy)?;
        self.shared.pulse.beat();
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
    pub(super) async fn run(
        &self,
        service: &Arc<Service>,
        probe: &Probe,
        ts_ms: UnixMillis,
    ) -> Option<Observation> {
        let patience = Instant::now() + probe.interval.min(probe.timeout);
        let previous = self.board.latest(&service.slug, &probe.name);
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
        let call = ProbeCall {
            service,
            probe,
            ts_ms,
            previous,
        };
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
        self.network.note(&observation);
        // Closed only while the program ends.
        let _ = self.alerts.send(observation.clone()).await;
        observation
    }

    pub(super) async fn publish(&self, observation: Observation) {
        let observation = self.judge(observation).await;
        self.record(observation);
    }

    pub(super) fn record(&self, observation: Arc<Observation>) {
        self.results.observation_record(observation);
    }

    /// Shows runs that did not take place, and returns their row. It is no news for the rules.
    pub(super) fn show_gap(&self, service: &Service, probe: &Probe, gap: Gap) -> Arc<Observation> {
        let row = Arc::new(gap.observation(service, probe, self.host.next_run_id()));
        metrics::counter!("extrack_observations_total", "status" => row.status.as_str(), "missed" => "true")
            .increment(1);
        self.board.record(&row);
        row
    }

    fn host_slots(&self, base_url: &str) -> Arc<Semaphore> {
        let host = host_key(base_url);
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts
            .entry(host)
            .or_insert_with(|| Arc::new(Semaphore::new(self.settings.per_host)))
            .clone()
    }

    pub(super) fn forget_hosts(&self, catalog: &Catalog) {
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

/// Host and port of a URL, or the text itself.
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
