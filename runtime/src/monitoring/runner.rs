//! [`Monitoring`]: the handle to the probes for the rest of the program.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::incidents::IncidentTracker;
use super::maintenance::MaintenanceWatch;
use super::meters::MeterReader;
use super::shared::{MonitoringSettings, Shared};
use super::status_cache::{ServiceStatus, StatusCache};
use super::summaries::SummaryRefresher;
use super::webhooks::receiver::{DeliveryLog, WebhookReceiver};
use crate::domain::{Catalog, ClockJumps, CurrentStatus, Incident, Observation, now_ms};
use crate::plugin_host::PluginHost;
use crate::store::{ControlStore, ResultStore};

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
    #[error("the heartbeat of service `{0}` waits for its first ping; nothing is known of it yet")]
    NeverPinged(String),
}

/// Handle to the monitoring of services: their status, and runs outside the schedule.
#[derive(Clone)]
pub struct Monitoring {
    pub(super) shared: Arc<Shared>,
}

impl Monitoring {
    pub fn new(
        host: PluginHost,
        results: ResultStore,
        alerts: mpsc::Sender<Arc<Observation>>,
        catalog: watch::Receiver<Arc<Catalog>>,
        settings: MonitoringSettings,
        jumps: ClockJumps,
        deliveries: DeliveryLog,
    ) -> Self {
        let webhook_receiver = WebhookReceiver::new(deliveries);
        let shared = Shared::new(
            host,
            results,
            alerts,
            catalog,
            settings,
            jumps,
            webhook_receiver,
        );
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Returns why probes may not be running; none while they do, or while there are none.
    pub fn stalled(&self) -> Option<String> {
        self.shared.pulse.missing(&self.shared.catalog.borrow())
    }

    pub fn status_cache(&self) -> Arc<StatusCache> {
        self.shared.status_cache.clone()
    }

    /// Returns what counts the figures of all services for lists.
    pub fn summary_refresher(&self) -> SummaryRefresher {
        SummaryRefresher {
            results: self.shared.results.clone(),
            summaries: self.shared.status_cache.summaries().clone(),
        }
    }

    /// Returns what reads the bills of vendors.
    pub fn meter_reader(&self) -> MeterReader {
        MeterReader {
            host: self.shared.host.clone(),
            results: self.shared.results.clone(),
            catalog: self.shared.catalog.clone(),
            board: self.shared.status_cache.meters().clone(),
        }
    }

    /// Returns the status of a service, if there is one of that name.
    pub fn service_status(&self, slug: &str) -> Option<ServiceStatus> {
        let mut status = self.shared.status_cache.service(slug)?;
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

    /// Returns what keeps up with the maintenance windows by which runs are marked.
    pub fn maintenance_watch(&self, store: ControlStore) -> MaintenanceWatch {
        MaintenanceWatch {
            store,
            planned: Arc::clone(&self.shared.planned),
            catalog: self.shared.catalog.clone(),
        }
    }

    /// Returns what decides on incidents. It goes on from those that were decided on before the
    /// start, in the order in which they were; to be called before anything is restored.
    pub fn incident_tracker(&self, before: Vec<Incident>) -> Arc<IncidentTracker> {
        let tracker = &self.shared.incidents;
        tracker.adopt(before);
        tracker.apply_catalog(&self.shared.catalog.borrow(), now_ms());
        Arc::clone(tracker)
    }

    /// Takes in observations from before the program stopped; oldest first.
    pub fn restore(&self, observations: impl IntoIterator<Item = Observation>) {
        for observation in observations {
            self.shared.incidents.replay(&observation);
            self.shared.status_cache.record(&Arc::new(observation));
        }
    }

    /// Has the rules evaluated on observations that they may have missed. To evaluate the same twice
    /// changes nothing.
    pub async fn evaluate_again(&self, observations: Vec<Arc<Observation>>) {
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
        let observation = if catalog.is_heartbeat(&service.slug, &probe.name) {
            let state = self.shared.heartbeat_now(&service.slug);
            state.ok_or_else(|| CheckError::NeverPinged(service.slug.clone()))?
        } else {
            let run = self.shared.run(&service, &probe, now_ms()).await;
            let run = run.ok_or(CheckError::Busy)?;
            self.shared.pulse.beat();
            run
        };
        let observation = self.shared.distribute(observation).await;
        self.shared
            .results
            .observation_append_durable(observation.clone())
            .await
            .map_err(|error| CheckError::NotStored(error.to_string()))?;
        Ok(observation)
    }
}
