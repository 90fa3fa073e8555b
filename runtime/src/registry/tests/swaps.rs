//! Services of the API follow the versions of plugins.

use super::*;
use crate::registry::testing::TestStore;

#[tokio::test]
async fn a_service_that_only_the_older_version_accepts_runs_again_after_a_swap_back() {
    let plugins = Arc::new(FakePlugins::bundled());
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
    let http = plugins.info(PluginKind::Probe, "http").unwrap();
    for runs in [false, true] {
        catalog.mark_unchanged();
        if runs {
            plugins.put(PluginKind::Probe, http.clone());
        } else {
            plugins.remove(PluginKind::Probe, "http");
        }
        swaps.send_modify(|count| *count += 1);
        catalog.changed().await.unwrap();
        let services = &catalog.borrow().services;
        assert_eq!(services.contains_key("shop-api"), runs);
    }
    stop.cancel();
    follower.await.unwrap();
}
