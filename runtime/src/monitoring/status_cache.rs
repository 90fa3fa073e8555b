//! The current state of every service, in memory: pages and the API never ask the database for it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::broadcast;

use super::meters::{MeterBoard, MeterStatus};
use super::summaries::{ServiceFigures, Summaries};
use crate::domain::{Catalog, CurrentStatus, Observation, Service, Status, UnixMillis, WEBHOOK};

/// Runs kept for the strip on the page.
pub const RECENT: usize = 40;

/// Runs in a entry that did not take place, after which nothing is known of the service by this
/// probe.
const MISSED_IN_A_ROW: u32 = 2;

/// Changes a slow listener may lag behind; past it, it reads everything again.
const CHANGES: usize = 1_024;

#[derive(Debug, Clone)]
pub struct StatusChange {
    pub service: String,
    /// The service has another status than before.
    pub is_turn: bool,
}

/// One service as it is now.
#[derive(Debug, Clone, Default)]
pub struct ServiceStatus {
    /// The worst of its probes; none before the first run.
    pub status: Option<CurrentStatus>,
    /// Why it is not known how the service is, when that is so.
    pub reason: Option<String>,
    /// Moment since which it has this status.
    pub since_ms: Option<UnixMillis>,
    pub probes: Vec<ProbeStatus>,
    /// None before it was first counted.
    pub figures: Option<Arc<ServiceFigures>>,
    /// Last readings of its meters.
    pub meters: Vec<MeterStatus>,
}

#[derive(Debug, Clone, Default)]
pub struct ProbeStatus {
    pub name: String,
    /// The last run that took place.
    pub latest: Option<Arc<Observation>>,
    /// Oldest first, at most [`RECENT`].
    pub recent: Vec<RecentRun>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecentRun {
    pub ts_ms: UnixMillis,
    pub status: Status,
    pub latency_us: Option<u64>,
    pub missed: bool,
    /// The check broke: no word of the service.
    pub broken: bool,
}

#[derive(Debug)]
pub struct StatusCache {
    services: RwLock<HashMap<String, ServiceEntry>>,
    changes: broadcast::Sender<StatusChange>,
    summaries: Summaries,
    meters: MeterBoard,
}

#[derive(Debug, Default)]
struct ServiceEntry {
    status: Option<CurrentStatus>,
    since_ms: Option<UnixMillis>,
    /// Webhooks too, from their first report on.
    probes: BTreeMap<String, ProbeEntry>,
    webhooks: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct ProbeEntry {
    latest: Option<Arc<Observation>>,
    recent: VecDeque<RecentRun>,
    missed_in_a_row: u32,
    /// The last of those.
    missed: Option<Arc<Observation>>,
}

impl ProbeEntry {
    fn has_no_data(&self) -> bool {
        self.missed_in_a_row >= MISSED_IN_A_ROW
    }

    /// Returns none before the first run. What was bad stays bad while there is no data, what was good is
    /// not known any more.
    fn status(&self) -> Option<CurrentStatus> {
        let latest = self.latest.as_deref().map(CurrentStatus::of);
        let without_data = self.has_no_data().then_some(CurrentStatus::Unknown);
        latest
            .into_iter()
            .chain(without_data)
            .max_by_key(|status| *status as u8)
    }

    /// Why nothing is known by this probe.
    fn reason(&self, name: &str) -> Option<String> {
        let text = |run: &Observation| {
            run.failure
                .as_ref()
                .map_or(String::new(), |failure| failure.message.clone())
        };
        if self.has_no_data() {
            return Some(format!(
                "no data of the check `{name}`: {}",
                text(self.missed.as_deref()?)
            ));
        }
        let broken = self
            .latest
            .as_deref()
            .filter(|latest| latest.is_check_broken())?;
        Some(format!("the check `{name}` broke: {}", text(broken)))
    }
}

impl ServiceEntry {
    /// Returns the reason of the first probe without a status, unless another probe has a worse one.
    fn reason(&self) -> Option<String> {
        let mut reasons = self
            .probes
            .iter()
            .filter_map(|(name, probe)| probe.reason(name));
        reasons
            .next()
            .filter(|_| self.status == Some(CurrentStatus::Unknown))
    }
}

impl Default for StatusCache {
    fn default() -> Self {
        Self {
            services: RwLock::default(),
            changes: broadcast::channel(CHANGES).0,
            summaries: Summaries::default(),
            meters: MeterBoard::default(),
        }
    }
}

impl StatusCache {
    /// Returns the status of a service; none: no such service, or no run yet.
    pub fn status(&self, slug: &str) -> Option<CurrentStatus> {
        self.services
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(slug)?
            .status
    }

    /// Returns the moment since which a service has its status.
    pub fn since_ms(&self, slug: &str) -> Option<UnixMillis> {
        let services = self.services.read().unwrap_or_else(PoisonError::into_inner);
        services.get(slug)?.since_ms
    }

    pub fn summaries(&self) -> &Summaries {
        &self.summaries
    }

    pub(super) fn meters(&self) -> &MeterBoard {
        &self.meters
    }

    /// Returns the status of a service with its probes; none: no such service.
    pub fn service(&self, slug: &str) -> Option<ServiceStatus> {
        let services = self.services.read().unwrap_or_else(PoisonError::into_inner);
        services.get(slug).map(|entry| ServiceStatus {
            status: entry.status,
            reason: entry.reason(),
            since_ms: entry.since_ms,
            probes: entry
                .probes
                .iter()
                .map(|(name, probe)| ProbeStatus {
                    name: name.clone(),
                    latest: probe.latest.clone(),
                    recent: probe.recent.iter().copied().collect(),
                })
                .collect(),
            figures: self.summaries.get(slug),
            meters: self.meters.of(slug),
        })
    }

    pub fn subscribe(&self) -> broadcast::Receiver<StatusChange> {
        self.changes.subscribe()
    }

    pub(super) fn latest(&self, service: &str, probe: &str) -> Option<Arc<Observation>> {
        let services = self.services.read().unwrap_or_else(PoisonError::into_inner);
        services.get(service)?.probes.get(probe)?.latest.clone()
    }

    pub(super) fn record(&self, observation: &Arc<Observation>) {
        let mut services = self
            .services
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = services.get_mut(&observation.service) else {
            return;
        };
        if observation.location == WEBHOOK && entry.webhooks.contains(&observation.probe) {
            entry.probes.entry(observation.probe.clone()).or_default();
        }
        let Some(probe) = entry.probes.get_mut(&observation.probe) else {
            return;
        };
        if probe.recent.len() == RECENT {
            probe.recent.pop_front();
        }
        probe.recent.push_back(RecentRun {
            ts_ms: observation.ts_ms,
            status: observation.status,
            latency_us: observation.latency_us,
            missed: observation.missed,
            broken: observation.is_check_broken(),
        });
        if observation.missed {
            probe.missed_in_a_row = probe.missed_in_a_row.saturating_add(1);
            probe.missed = Some(observation.clone());
        } else {
            probe.missed_in_a_row = 0;
            probe.missed = None;
            probe.latest = Some(observation.clone());
        }
        let worst = entry
            .probes
            .values()
            .filter_map(ProbeEntry::status)
            .max_by_key(|status| *status as u8);
        let is_turn = worst != entry.status;
        if is_turn {
            entry.status = worst;
            entry.since_ms = Some(observation.ts_ms);
        }
        drop(services);
        // An error means that no page is open.
        let _ = self.changes.send(StatusChange {
            service: observation.service.clone(),
            is_turn,
        });
    }

    /// Adds what is new, forgets what is gone.
    pub(super) fn apply_catalog(&self, catalog: &Catalog) {
        let mut services = self
            .services
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        services.retain(|slug, _| catalog.services.contains_key(slug));
        for (slug, service) in &catalog.services {
            let entry = services.entry(slug.clone()).or_default();
            keep_probes(entry, service);
        }
        drop(services);
        let _ = self.changes.send(StatusChange {
            service: String::new(),
            is_turn: false,
        });
    }
}

fn keep_probes(entry: &mut ServiceEntry, service: &Service) {
    entry.webhooks = service
        .webhooks
        .iter()
        .map(|webhook| webhook.name.clone())
        .collect();
    let webhooks = &entry.webhooks;
    entry.probes.retain(|name, _| {
        webhooks.contains(name) || service.probes.iter().any(|probe| probe.name == *name)
    });
    for probe in &service.probes {
        entry.probes.entry(probe.name.clone()).or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ErrorKind, Failure, LOCAL};

    fn observation(
        probe: &str,
        status: Status,
        kind: Option<ErrorKind>,
        missed: bool,
    ) -> Arc<Observation> {
        Arc::new(Observation {
            ts_ms: 1,
            service: "shop".to_owned(),
            probe: probe.to_owned(),
            location: LOCAL.to_owned(),
            status,
            latency_us: None,
            phases: Default::default(),
            http_status: None,
            failure: kind.map(|kind| Failure::new(kind, "why")),
            bytes: 0,
            plugin: probe.to_owned(),
            plugin_version: String::new(),
            run_id: 1,
            metrics: Vec::new(),
            missed,
            excluded: None,
            rate_limits: Vec::new(),
        })
    }

    #[test]
    fn a_broken_check_leaves_the_status_unknown_and_says_why() {
        use Status::{Degraded, Error, Healthy};
        let broke = Some(ErrorKind::Plugin);
        let down = Some(ErrorKind::Connect);
        for (what, runs, wanted, reason) in [
            (
                "all well",
                vec![("a", Healthy, None), ("b", Healthy, None)],
                CurrentStatus::Healthy,
                None,
            ),
            (
                "broken",
                vec![("a", Error, broke)],
                CurrentStatus::Unknown,
                Some("the check `a` broke: why"),
            ),
            (
                "the other is well",
                vec![("a", Healthy, None), ("b", Error, broke)],
                CurrentStatus::Unknown,
                Some("the check `b` broke: why"),
            ),
            (
                "the other knows worse",
                vec![("a", Error, broke), ("b", Degraded, None)],
                CurrentStatus::Degraded,
                None,
            ),
            (
                "down is down",
                vec![("a", Error, down), ("b", Error, broke)],
                CurrentStatus::Error,
                None,
            ),
            (
                "works again",
                vec![("a", Error, broke), ("a", Healthy, None)],
                CurrentStatus::Healthy,
                None,
            ),
        ] {
            let cache = StatusCache::default();
            let entry = ServiceEntry {
                probes: ["a", "b"]
                    .map(|name| (name.to_owned(), ProbeEntry::default()))
                    .into(),
                ..ServiceEntry::default()
            };
            cache
                .services
                .write()
                .unwrap()
                .insert("shop".to_owned(), entry);
            for (probe, status, kind) in runs {
                cache.record(&observation(probe, status, kind, false));
            }
            // A missed run is no word of the service, nor of the check.
            cache.record(&observation("a", Error, broke, true));
            let shown = cache.service("shop").unwrap();
            assert_eq!(
                (shown.status, shown.reason.as_deref()),
                (Some(wanted), reason),
                "{what}"
            );
        }
    }

    #[test]
    fn two_missed_runs_in_a_row_leave_nothing_green() {
        use Status::{Error, Healthy};
        let no_data = Some("no data of the check `a`: why");
        for (what, runs, wanted, reason) in [
            ("never ran", vec![(Error, true)], None, None),
            (
                "never got to it",
                vec![(Error, true); 2],
                Some(CurrentStatus::Unknown),
                no_data,
            ),
            (
                "one",
                vec![(Healthy, false), (Error, true)],
                Some(CurrentStatus::Healthy),
                None,
            ),
            (
                "two",
                vec![(Healthy, false), (Error, true), (Error, true)],
                Some(CurrentStatus::Unknown),
                no_data,
            ),
            (
                "bad stays bad",
                vec![(Error, false), (Error, true), (Error, true)],
                Some(CurrentStatus::Error),
                None,
            ),
            (
                "runs again",
                vec![(Error, true), (Error, true), (Healthy, false)],
                Some(CurrentStatus::Healthy),
                None,
            ),
        ] {
            let cache = StatusCache::default();
            let entry = ServiceEntry {
                probes: [("a".to_owned(), ProbeEntry::default())].into(),
                ..ServiceEntry::default()
            };
            cache
                .services
                .write()
                .unwrap()
                .insert("shop".to_owned(), entry);
            for (status, missed) in runs {
                let kind = (status == Error).then_some(if missed {
                    ErrorKind::Plugin
                } else {
                    ErrorKind::Connect
                });
                cache.record(&observation("a", status, kind, missed));
            }
            let shown = cache.service("shop").unwrap();
            assert_eq!(
                (shown.status, shown.reason.as_deref()),
                (wanted, reason),
                "{what}"
            );
        }
    }
}
