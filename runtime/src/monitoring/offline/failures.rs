//! Probes that fail by the network, and since when. Bounded by the probes of the catalog.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domain::{Catalog, ErrorKind, LOCAL, Observation, ProbeKey};

#[derive(Debug, Default)]
pub(in crate::monitoring) struct NetworkFailures {
    /// Whether targets are configured.
    is_watched: AtomicBool,
    failing: Mutex<HashMap<ProbeKey, Instant>>,
    noted: Notify,
}

impl NetworkFailures {
    pub(super) fn watch(&self) {
        self.is_watched.store(true, Ordering::Relaxed);
    }

    /// Takes in one run.
    pub(in crate::monitoring) fn note(&self, observation: &Observation) {
        if !self.is_watched.load(Ordering::Relaxed)
            || observation.location != LOCAL
            || observation.is_check_broken()
        {
            return;
        }
        let key = ProbeKey {
            service: observation.service.clone(),
            probe: observation.probe.clone(),
            location: observation.location.clone(),
        };
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = observation.failure.as_ref().map(|failure| failure.kind);
        match kind {
            Some(ErrorKind::Dns | ErrorKind::Connect | ErrorKind::Timeout) => {
                failing.entry(key).or_insert_with(Instant::now);
                self.noted.notify_one();
            }
            _ => {
                failing.remove(&key);
            }
        }
    }

    /// Waits for the next failure.
    pub(super) async fn noted(&self) {
        self.noted.notified().await;
    }

    /// Probes that began to fail within this time, and still do.
    pub(super) fn since(&self, within: Duration) -> usize {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing
            .values()
            .filter(|since| since.elapsed() <= within)
            .count()
    }

    pub(in crate::monitoring) fn apply_catalog(&self, catalog: &Catalog) {
        let is_there = |key: &ProbeKey| {
            let service = catalog.services.get(&key.service);
            service
                .is_some_and(|service| service.probes.iter().any(|probe| probe.name == key.probe))
        };
        self.failing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|key, _| is_there(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Failure, Status};

    fn run(probe: &str, kind: Option<ErrorKind>) -> Observation {
        Observation {
            ts_ms: 1,
            service: "shop".to_owned(),
            probe: probe.to_owned(),
            location: LOCAL.to_owned(),
            status: if kind.is_some() {
                Status::Error
            } else {
                Status::Healthy
            },
            latency_us: None,
            phases: Default::default(),
            http_status: None,
            failure: kind.map(|kind| Failure::new(kind, "why")),
            bytes: 0,
            plugin: "http".to_owned(),
            plugin_version: String::new(),
            run_id: 1,
            metrics: Vec::new(),
            missed: false,
            excluded: None,
            rate_limits: Vec::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn counts_probes_that_began_to_fail_by_the_network() {
        let failures = NetworkFailures::default();
        let minute = Duration::from_secs(60);
        failures.note(&run("a", Some(ErrorKind::Connect)));
        assert_eq!(failures.since(minute), 0, "without anybody who asks");
        failures.watch();
        for (probe, kind, wanted) in [
            ("a", Some(ErrorKind::Connect), 1),
            ("a", Some(ErrorKind::Timeout), 1),
            ("b", Some(ErrorKind::Dns), 2),
            ("c", Some(ErrorKind::Assertion), 2),
            ("d", Some(ErrorKind::Plugin), 2),
            ("a", None, 1),
        ] {
            failures.note(&run(probe, kind));
            assert_eq!(failures.since(minute), wanted, "{probe}");
        }
        tokio::time::advance(minute * 2).await;
        failures.note(&run("b", Some(ErrorKind::Dns)));
        assert_eq!(failures.since(minute), 0, "it has failed for longer");
        failures.apply_catalog(&Catalog::default());
        assert!(failures.failing.lock().unwrap().is_empty());
    }
}
