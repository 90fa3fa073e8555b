//! Clients that leave before they have their answer.

use std::time::Duration;

use super::*;
use crate::registry::CheckedFiles;

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(waited.is_ok(), "{what}: not within 30 s");
}

#[tokio::test]
async fn a_pause_goes_on_to_its_end_though_its_client_leaves() {
    let world = world().await;
    let state = world.state(ApiSettings::default(), Live::new());
    let router = crate::api::router(state.clone());
    for (action, is_paused) in [("pause", true), ("resume", false)] {
        // What holds the catalog lets no other change begin.
        let held = world
            .registry
            .prepare(CheckedFiles::default(), &*world.directory)
            .await;
        let path = format!("/api/v1/services/shop-api/{action}");
        let request = as_admin(Method::POST, &path).header(CONTENT_TYPE, "application/json");
        let request = request.body(Body::from("{}")).unwrap();
        let asked = tokio::spawn(router.clone().oneshot(request));
        until("under way", || !state.work.is_empty()).await;
        asked.abort();
        assert!(asked.await.is_err(), "{action}: the client is still there");
        drop(held);
        until(action, || {
            world.registry.catalog().paused.contains_key("shop-api") == is_paused
        })
        .await;
        until("over", || state.work.is_empty()).await;
    }
}
