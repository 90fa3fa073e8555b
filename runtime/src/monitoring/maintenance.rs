//! Maintenance windows of whole services: runs that are due in one are marked, and count neither for
//! nor against the service. A window that names an alert or a severity mutes those alone, and marks
//! nothing.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::{Catalog, Exclusion, Labels, Maintenance, UnixMillis, now_ms};
use crate::store::ControlStore;

/// Interval between looks for windows that were made or taken away over the API. A run that is due in
/// the first seconds of a window which was made to begin at once may miss it.
const PATROL: Duration = Duration::from_secs(2);

/// Windows are known so long before they open and after they have closed: runs end later than they
/// are due.
const MARGIN_MS: i64 = 120_000;

/// Times in which services are being worked on.
#[derive(Debug, Default)]
pub(super) struct PlannedWork {
    windows: RwLock<Vec<PlannedWindow>>,
}

/// One opening of one window.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PlannedWindow {
    starts_ms: UnixMillis,
    ends_ms: UnixMillis,
    /// Slugs.
    services: HashSet<String>,
}

impl PlannedWork {
    /// Returns why a run of a service that is due at a moment does not count.
    pub(super) fn exclusion(&self, service: &str, ts_ms: UnixMillis) -> Option<Exclusion> {
        let windows = self.windows.read().unwrap_or_else(PoisonError::into_inner);
        windows
            .iter()
            .any(|window| {
                (window.starts_ms..window.ends_ms).contains(&ts_ms)
                    && window.services.contains(service)
            })
            .then_some(Exclusion::Maintenance)
    }

    fn replace(&self, windows: Vec<PlannedWindow>) {
        *self.windows.write().unwrap_or_else(PoisonError::into_inner) = windows;
    }
}

/// Keeps [`PlannedWork`] as the files and the API have it.
pub struct MaintenanceWatch {
    pub(super) store: ControlStore,
    pub(super) planned: Arc<PlannedWork>,
    pub(super) catalog: watch::Receiver<Arc<Catalog>>,
}

impl MaintenanceWatch {
    /// Runs until the shutdown. While the store can't be read the windows of before stay.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut is_failing = false;
        loop {
            self.look(&mut is_failing).await;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                changed = self.catalog.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(PATROL) => {}
            }
        }
    }

    async fn look(&mut self, is_failing: &mut bool) {
        let now_ms = now_ms();
        let catalog = self.catalog.borrow_and_update().clone();
        match self.store.maintenance_open_after(now_ms - MARGIN_MS).await {
            Ok(stored) => {
                *is_failing = false;
                let stored = stored.iter().map(|stored| &stored.window);
                let files = catalog.maintenance.iter().map(Arc::as_ref);
                self.planned
                    .replace(planned(files.chain(stored), &catalog, now_ms));
            }
            Err(error) => {
                if !std::mem::replace(is_failing, true) {
                    tracing::warn!(%error, "maintenance windows can't be read; runs are marked by those of before");
                }
            }
        }
    }
}

/// Returns the windows about whole services that are open around a moment.
fn planned<'a>(
    windows: impl Iterator<Item = &'a Maintenance>,
    catalog: &Catalog,
    now_ms: UnixMillis,
) -> Vec<PlannedWindow> {
    let mut found: Vec<PlannedWindow> = Vec::new();
    for window in windows.filter(|window| window.is_about_services()) {
        let recurrence = &window.recurrence;
        let around = [
            recurrence.open_at(now_ms - MARGIN_MS),
            recurrence.open_at(now_ms),
            recurrence.next_after(now_ms),
        ];
        let mut spans: Vec<(UnixMillis, UnixMillis)> = around
            .into_iter()
            .flatten()
            .filter(|(starts_ms, _)| *starts_ms <= now_ms + MARGIN_MS)
            .collect();
        spans.dedup();
        if spans.is_empty() {
            continue;
        }
        let services: HashSet<String> = catalog
            .services
            .values()
            .filter(|service| window.covers(&Labels::of_service(&service.slug, Some(service))))
            .map(|service| service.slug.clone())
            .collect();
        found.extend(spans.into_iter().map(|(starts_ms, ends_ms)| PlannedWindow {
            starts_ms,
            ends_ms,
            services: services.clone(),
        }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Matcher, Origin, PrivateReach, Recurrence, Service};

    const NOW_MS: UnixMillis = 1_795_996_800_000;

    fn service(slug: &str) -> Service {
        Service {
            slug: slug.to_owned(),
            name: slug.to_owned(),
            kind: "REST".to_owned(),
            base_url: format!("https://{slug}"),
            health_endpoint: None,
            tags: Vec::new(),
            labels: Default::default(),
            depends_on: Vec::new(),
            owner: None,
            description: None,
            profile: Default::default(),
            slo: None,
            rate_limits: Default::default(),
            origin: Origin::File,
            hosts: Vec::new(),
            private: PrivateReach::Closed,
            credentials: Vec::new(),
            probes: Vec::new(),
            webhooks: Vec::new(),
            meters: Vec::new(),
            gateway: None,
        }
    }

    fn window(matcher: &str, (starts_ms, ends_ms): (i64, i64)) -> Maintenance {
        Maintenance {
            name: matcher.to_owned(),
            matchers: match matcher {
                "" => Vec::new(),
                text => Matcher::parse_list(text).unwrap(),
            },
            recurrence: Recurrence::once(NOW_MS + starts_ms, NOW_MS + ends_ms).unwrap(),
        }
    }

    #[test]
    fn runs_that_are_due_in_a_window_of_their_whole_service_are_marked() {
        let mut catalog = Catalog::default();
        for slug in ["shop", "bank"] {
            catalog
                .services
                .insert(slug.to_owned(), Arc::new(service(slug)));
        }
        let hour = (0, 3_600_000);
        for (matcher, span, ts_ms, wanted) in [
            ("service=\"shop\"", hour, 0, true),
            ("service=\"shop\"", hour, 3_599_999, true),
            ("service=\"shop\"", hour, 3_600_000, false),
            ("service=\"shop\"", hour, -1, false),
            ("service=\"bank\"", hour, 0, false),
            ("service=~\"s.*\"", hour, 0, true),
            ("", hour, 0, true),
            ("service=\"shop\",severity=\"info\"", hour, 0, false),
            ("alertname=\"Slow\"", hour, 0, false),
            ("service=\"shop\"", (-7_200_000, -60_000), -90_000, true),
            ("service=\"shop\"", (60_000, 120_000), 60_000, true),
            ("service=\"shop\"", (9_000_000, 9_100_000), 9_000_000, false),
        ] {
            let planned_work = PlannedWork::default();
            let windows = [window(matcher, span)];
            planned_work.replace(planned(windows.iter(), &catalog, NOW_MS));
            assert_eq!(
                planned_work.exclusion("shop", NOW_MS + ts_ms).is_some(),
                wanted,
                "{matcher} {span:?} at {ts_ms}"
            );
        }
    }
}
