//! Services of the API follow the versions of plugins.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::domain::{PluginInfo, ServiceFacts};
use crate::plugin_host::Evaluator;
use crate::registry::testing::TestStore;

/// Two versions of the plugins, of which one is active.
struct Versions {
    versions: [FakePlugins; 2],
    active: AtomicUsize,
}

impl Versions {
    fn active(&self) -> &FakePlugins {
        &self.versions[self.active.load(Ordering::Relaxed)]
    }
}

impl PluginDirectory for Arc<Versions> {
    fn info(&self, kind: PluginKind, name: &str) -> Option<Arc<PluginInfo>> {
        self.active().info(kind, name)
    }

    fn names(&self, kind: PluginKind) -> Vec<String> {
        self.active().names(kind)
    }

    fn evaluator(&self) -> &Evaluator {
        Evaluator::for_tests()
    }

    async fn check_settings(
        &self,
        kind: PluginKind,
        name: &str,
        settings: &Value,
        service: Option<&ServiceFacts>,
    ) -> Result<(), Vec<Fault>> {
        self.active()
            .check_settings(kind, name, settings, service)
            .await
    }

    async fn look_back(&self, rule: &str, settings: &Value) -> Result<Duration, String> {
        self.active().look_back(rule, settings).await
    }
}

#[tokio::test]
async fn a_service_that_only_the_older_version_accepts_runs_again_after_a_swap_back() {
    let mut newer = FakePlugins::bundled();
    newer.remove(PluginKind::Probe, "http");
    let plugins = Arc::new(Versions {
        versions: [FakePlugins::bundled(), newer],
        active: AtomicUsize::new(0),
    });
    let (files, _) = checked(&FileEntries::default()).await;
    let store = TestStore::open().await;
    let registry = Registry::open(files, plugins.clone(), store.control.clone())
        .await
        .unwrap();
    registry.create(shop()).await.unwrap();
    let (swaps, stop) = (watch::Sender::new(0_u64), CancellationToken::new());
    let follower = tokio::spawn({
        let (registry, receiver, stop) = (registry.clone(), swaps.subscribe(), stop.clone());
        async move { registry.follow_swaps(receiver, stop).await }
    });
    let mut catalog = registry.watch();
    for (version, runs) in [(1, false), (0, true)] {
        catalog.mark_unchanged();
        plugins.active.store(version, Ordering::Relaxed);
        swaps.send_modify(|count| *count += 1);
        catalog.changed().await.unwrap();
        let services = &catalog.borrow().services;
        assert_eq!(services.contains_key("shop-api"), runs, "version {version}");
    }
    stop.cancel();
    follower.await.unwrap();
}
