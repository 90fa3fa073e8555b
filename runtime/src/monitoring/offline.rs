//! Finds out whether it is the monitor itself that has lost its network: when many probes begin to
//! fail at once, it asks targets that the operator chose. The alert engine gets the result as
//! observations of the subject `monitor:network`, which are evaluated and not recorded. Without
//! targets nothing is asked.

pub(super) mod failures;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::domain::{Catalog, ErrorKind, Failure, MONITOR_SUBJECT, Observation, now_ms};
use crate::net::{HostRule, Net, Permission};

/// Probes that begin to fail within [`BURST`] before the targets are asked, or all there are, if
/// there are fewer.
const PROBES: usize = 3;

/// Failures further apart than this are not one event.
const BURST: Duration = Duration::from_secs(60);

/// A target that has not answered by then does not.
const PATIENCE: Duration = Duration::from_secs(3);

/// Time between two checks, while the monitor is offline or a burst goes on.
const AGAIN: Duration = Duration::from_secs(5);

/// The name of the observations' probe, and of the part that makes them.
const PROBE: &str = "targets";

/// Target that can be reached as long as the network is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineTarget {
    pub host: String,
    pub port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    /// Not asked yet, or not reachable without a failing probe.
    Unknown,
    Online,
    Offline,
}

pub struct OfflineWatch {
    shared: Arc<Shared>,
    net: Net,
    targets: Vec<(OfflineTarget, Permission)>,
    alerts: mpsc::Sender<Arc<Observation>>,
    state: Network,
}

impl super::Monitoring {
    /// Returns none without targets. Those that can't be a host were rejected when the settings were
    /// read.
    pub fn offline_watch(
        &self,
        net: Net,
        targets: &[OfflineTarget],
        alerts: mpsc::Sender<Arc<Observation>>,
    ) -> Option<OfflineWatch> {
        let targets: Vec<_> = targets
            .iter()
            .filter_map(|target| Some((target.clone(), permission(target)?)))
            .collect();
        if targets.is_empty() {
            return None;
        }
        self.shared.network.watch();
        Some(OfflineWatch {
            shared: self.shared.clone(),
            net,
            targets,
            alerts,
            state: Network::Unknown,
        })
    }
}

/// The operator wrote the address.
fn permission(target: &OfflineTarget) -> Option<Permission> {
    Some(Permission {
        hosts: vec![HostRule::new(&target.host, Some(target.port)).ok()?],
        public_hosts: Vec::new(),
        allow_private: true.into(),
        private_remedy: Permission::OPEN_IN_FILES,
        subject: "the offline check".to_owned(),
        setting: "`EXTRACK_OFFLINE_TARGETS`".to_owned(),
    })
}

impl OfflineWatch {
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut next = Instant::now();
        loop {
            let due = async {
                tokio::time::sleep_until(next).await;
                // While all is well nothing is asked without a reason.
                if self.state == Network::Online {
                    self.shared.network.noted().await;
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = due => {}
            }
            next = Instant::now() + AGAIN;
            let has_burst = self.has_burst();
            if self.state == Network::Online && !has_burst {
                next = Instant::now();
                continue;
            }
            let is_reachable = tokio::select! {
                () = shutdown.cancelled() => return,
                is_reachable = self.is_reachable() => is_reachable,
            };
            let before = self.state;
            self.state = if is_reachable {
                Network::Online
            } else if has_burst || before == Network::Offline {
                // Also if the probes have other reasons to fail by now.
                Network::Offline
            } else {
                Network::Unknown
            };
            metrics::gauge!("extrack_monitor_offline")
                .set(f64::from(u8::from(self.state == Network::Offline)));
            if self.state == before || self.state == Network::Unknown {
                continue;
            }
            let targets = self.targets.len();
            match self.state {
                Network::Offline => {
                    tracing::error!(
                        targets,
                        "this monitor is offline: none of the targets can be reached"
                    )
                }
                _ if before == Network::Offline => {
                    tracing::info!(targets, "this monitor is online again")
                }
                _ => {}
            }
            // Closed only while the program ends.
            let _ = self.alerts.send(Arc::new(self.observation())).await;
        }
    }

    fn has_burst(&self) -> bool {
        let wanted = PROBES.min(probes(&self.shared.catalog.borrow())).max(1);
        self.shared.network.since(BURST) >= wanted
    }

    /// One that answers is enough.
    async fn is_reachable(&self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut answers: FuturesUnordered<_> = self
            .targets
            .iter()
            .map(|(target, permission)| async move {
                let opened =
                    self.net
                        .stream_connect(permission, &target.host, target.port, deadline);
                matches!(tokio::time::timeout_at(deadline, opened).await, Ok(Ok(_)))
            })
            .collect();
        while let Some(is_reachable) = answers.next().await {
            if is_reachable {
                return true;
            }
        }
        false
    }

    fn observation(&self) -> Observation {
        let is_offline = self.state == Network::Offline;
        let names: Vec<String> = self
            .targets
            .iter()
            .map(|(target, _)| format!("{}:{}", target.host, target.port))
            .collect();
        let why = format!(
            "this monitor is offline: it can't reach {}",
            names.join(", ")
        );
        Observation::of_program(
            now_ms(),
            MONITOR_SUBJECT,
            PROBE,
            is_offline.then(|| Failure::new(ErrorKind::Connect, why)),
            self.shared.host.next_run_id(),
        )
    }
}

fn probes(catalog: &Catalog) -> usize {
    catalog
        .services
        .values()
        .map(|service| service.probes.len())
        .sum()
}
