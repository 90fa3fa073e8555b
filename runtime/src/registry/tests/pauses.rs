//! Pauses of services, of descriptions and of the API.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::domain::{Pause, PausedBy, now_ms};

fn until(until_ms: Option<i64>) -> Pause {
    Pause {
        until_ms,
        reason: "moving".to_owned(),
        by: None,
    }
}

fn by() -> PausedBy {
    PausedBy {
        author: "ops".to_owned(),
        since_ms: now_ms(),
    }
}

fn paused(registry: &Registry) -> Vec<String> {
    registry.catalog().paused.keys().cloned().collect()
}

#[tokio::test]
async fn a_pause_holds_for_services_of_files_and_survives_a_restart() {
    let services = json!([{"name": "filed", "baseUrl": "https://f"}]);
    let files = entries(services, json!([]), json!([]));
    let before = registry(files.clone()).await;
    before.create(shop()).await.unwrap();
    for slug in ["filed", "shop-api"] {
        before.pause(slug, until(None), by()).await.unwrap();
    }
    assert!(matches!(
        before.pause("nope", until(None), by()).await,
        Err(CatalogError::NotFound(_))
    ));
    let (checked, _) = checked(&files).await;
    let store = before.store.control.clone();
    let registry = Registry::open(checked, Arc::new(FakePlugins::bundled()), store)
        .await
        .unwrap();
    assert_eq!(paused(&registry), ["filed", "shop-api"]);
    let catalog = registry.catalog();
    let pause = &catalog.paused["filed"];
    assert_eq!(pause.by.as_ref().unwrap().author, "ops");

    registry.resume("filed").await.unwrap();
    assert_eq!(paused(&registry), ["shop-api"]);
    // One made again under the same slug begins anew.
    registry.delete("shop-api", None).await.unwrap();
    registry.create(shop()).await.unwrap();
    assert_eq!(paused(&registry), [""; 0]);
}

#[tokio::test]
async fn a_pause_and_tokens_outlive_a_service_that_a_file_hides() {
    let registry = registry(entries(json!([]), json!([]), json!([]))).await;
    registry.create(shop()).await.unwrap();
    let file = json!([
        {"name": "Shop API", "baseUrl": "https://filed"},
        {"name": "cart", "baseUrl": "https://cart", "dependsOn": ["shop-api"]},
    ]);
    let (files, report) = checked(&entries(file, json!([]), json!([]))).await;
    assert_eq!(report.faults, []);
    let plugins = FakePlugins::bundled();
    registry.prepare(files, &plugins).await.publish();
    registry.pause("shop-api", until(None), by()).await.unwrap();
    let store = &registry.store.control;
    store
        .credential_token_put("shop-api", "default", b"kept")
        .await
        .unwrap();
    let error = registry.replace("shop-api", shop(), None).await;
    assert!(
        matches!(error, Err(CatalogError::OwnedByFile(_))),
        "{error:?}"
    );
    registry.delete("shop-api", None).await.unwrap();
    assert_eq!(paused(&registry), ["shop-api"]);
    assert!(store.pause_list().await.unwrap().contains_key("shop-api"));
    let token = store.credential_token("shop-api", "default").await.unwrap();
    assert_eq!(token.as_deref(), Some(&b"kept"[..]));
}

#[tokio::test]
async fn what_a_description_pauses_is_resumed_there() {
    let services = json!([
        {"name": "on", "baseUrl": "https://f", "paused": true},
        {"name": "over", "baseUrl": "https://f", "paused": {"until": "2020-01-01T00:00:00Z"}},
        {"name": "off", "baseUrl": "https://f", "paused": false},
    ]);
    let registry = registry(entries(services, json!([]), json!([]))).await;
    assert_eq!(paused(&registry), ["on"]);
    let refused = registry.resume("on").await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "service `on` is paused by its description; remove `paused` from it in services.yaml"
    );
    registry.resume("off").await.unwrap();
}

#[tokio::test]
async fn a_pause_ends_by_itself_and_leaves_nothing_behind() {
    let registry = registry(FileEntries::default()).await;
    registry.create(shop()).await.unwrap();
    let stop = CancellationToken::new();
    let following = tokio::spawn({
        let (registry, stop) = (registry.registry.clone(), stop.clone());
        async move { registry.follow_pauses(stop).await }
    });
    registry
        .pause("shop-api", until(Some(now_ms() + 50)), by())
        .await
        .unwrap();
    // Where the disk takes longer than the pause lasts, only the next look finds its end.
    let ended = async {
        let store = &registry.store.control;
        while !store.pause_list().await.unwrap().is_empty() || !paused(&registry).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended)
        .await
        .unwrap();
    let filter = Default::default();
    let audit = registry.store.control.audit_list(&filter, 10).await;
    assert_eq!(audit.unwrap()[0].action, "service.resume");
    stop.cancel();
    following.await.unwrap();
}
