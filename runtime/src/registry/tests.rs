//! The registry through its outer interface.

mod built_in;
mod changes;
mod channels;
mod files;
mod heartbeats;
mod pauses;
mod routing;
mod rules;
mod swaps;

use std::sync::Arc;

use serde_json::{Value, json};

use super::testing::{FakePlugins, TestRegistry};
use super::*;
use crate::domain::{PluginKind, PrivateReach};

fn entries(services: Value, alerts: Value, notifications: Value) -> FileEntries {
    fn list<T: serde::de::DeserializeOwned>(value: Value) -> Vec<(usize, T)> {
        serde_json::from_value::<Vec<T>>(value)
            .unwrap()
            .into_iter()
            .enumerate()
            .collect()
    }
    FileEntries {
        services: list(services),
        alerts: list(alerts),
        notifications: list(notifications),
        ..FileEntries::default()
    }
}

async fn checked(entries: &FileEntries) -> (CheckedFiles, FaultReport) {
    check_files(
        entries,
        Defaults::default(),
        &FakePlugins::bundled(),
        FaultReport::default(),
    )
    .await
}

async fn registry(entries: FileEntries) -> TestRegistry {
    let (files, report) = checked(&entries).await;
    assert_eq!(report.faults, []);
    TestRegistry::open(files).await
}

fn texts(faults: &[Fault]) -> Vec<String> {
    faults
        .iter()
        .map(|fault| format!("{}: {}", fault.pointer, fault.message))
        .collect()
}

fn shop() -> Value {
    json!({"name": "Shop API", "baseUrl": "https://shop.example", "authentication": {"type": "bearer", "token": "s3cret"}})
}

#[tokio::test]
async fn what_the_api_makes_is_stored_published_and_masked() {
    let registry = registry(FileEntries::default()).await;
    let store = &registry.store.control;
    let mut watch = registry.watch();
    let record = registry.create(shop()).await.unwrap();
    assert_eq!(
        (record.slug.as_str(), record.revision, record.origin),
        ("shop-api", Some(1), Origin::Api)
    );
    assert_eq!(
        record.spec["authentication"],
        json!({"type": "bearer", "token": "***"})
    );
    assert!(watch.has_changed().unwrap());
    let service = watch.borrow_and_update().services["shop-api"].clone();
    assert_eq!(service.private, PrivateReach::Closed);
    assert_eq!(service.probes[0].plugin, "http");

    let mut changed = Value::Object(record.spec);
    changed["name"] = json!("Shop");
    changed["private"] = json!(true);
    let record = registry
        .replace("shop-api", changed, Some(1))
        .await
        .unwrap();
    assert_eq!(
        (record.slug.as_str(), record.revision),
        ("shop-api", Some(2))
    );
    let stored = store.service_list().await.unwrap();
    assert_eq!(stored[0].spec["authentication"]["token"], "s3cret");
    assert_eq!(
        registry.catalog().services["shop-api"].private,
        PrivateReach::Open
    );

    let reopened = Registry::open(
        CheckedFiles::default(),
        Arc::new(FakePlugins::bundled()),
        store.clone(),
    )
    .await
    .unwrap();
    assert_eq!(reopened.record("shop-api").unwrap().revision, Some(2));

    registry.delete("shop-api", Some(2)).await.unwrap();
    assert!(registry.record("shop-api").is_none() && registry.catalog().services.is_empty());
    assert!(store.service_list().await.unwrap().is_empty());
}

#[tokio::test]
async fn changes_are_refused_for_a_reason() {
    let services = json!([{"name": "From File", "baseUrl": "https://f"}]);
    let registry = registry(entries(services, json!([]), json!([]))).await;
    registry.create(shop()).await.unwrap();
    let refused = |error: CatalogError| match error {
        CatalogError::Invalid(faults) => texts(&faults).join("; "),
        other => other.to_string(),
    };
    for (result, wanted) in [
        (registry.create(shop()).await, "there is already a service `shop-api`; give this one another `slug`"),
        (
            registry.create(json!({"name": "From file", "baseUrl": "https://x"})).await,
            "there is already a service `from-file`; give this one another `slug`",
        ),
        (
            registry.replace("from-file", shop(), None).await,
            "service `from-file` comes from services.yaml; change it there",
        ),
        (registry.replace("nope", shop(), None).await, "there is no service `nope`"),
        (
            registry.replace("shop-api", shop(), Some(7)).await,
            "the service was changed meanwhile: it is at revision 1; read it again, then repeat",
        ),
        (
            registry.replace("shop-api", json!({"name": "x", "slug": "y", "baseUrl": "https://x"}), None).await,
            "/slug: can't be changed; it is `shop-api`, and history hangs on it",
        ),
        (
            registry
                .create(json!({"name": "n", "baseUrl": "n", "monitoring": {"intervall": 1, "timeout": true}}))
                .await,
            "/monitoring/timeout: must be a number or text, not a boolean; \
             /monitoring/intervall: is not a known key; did you mean `interval`?; \
             /baseUrl: `n` has no scheme; write `https://n`",
        ),
        (registry.create(json!([])).await, ": must be a mapping, not a list"),
        (
            registry
                .create(
                    json!({"name": "m", "baseUrl": "https://m", "authentication": {"type": "bearer", "token": "***"}}),
                )
                .await,
            "/authentication/token: `***` stands for a secret that is kept, but there is none to keep; write it out",
        ),
    ] {
        assert_eq!(refused(result.unwrap_err()), wanted);
    }
    assert_eq!(
        registry
            .delete("from-file", None)
            .await
            .unwrap_err()
            .to_string(),
        "service `from-file` comes from services.yaml; change it there"
    );
    assert_eq!(registry.catalog().services.len(), 2);
}

#[tokio::test]
async fn a_service_that_can_no_longer_run_is_shown_with_the_reason() {
    let before = registry(FileEntries::default()).await;
    let spec = json!({"name": "t", "baseUrl": "https://t", "tags": ["eu"], "probes": [{"plugin": "tls", "settings": {"days": 3}}]});
    before.create(spec).await.unwrap();
    let plugins = Arc::new(FakePlugins::bundled());
    plugins.remove(PluginKind::Probe, "tls");
    let store = before.store.control.clone();
    let registry = Registry::open(CheckedFiles::default(), plugins, store)
        .await
        .unwrap();
    let catalog = registry.catalog();
    assert!(catalog.services.is_empty());
    // Its alerts stay as they are, with the labels they are muted by.
    assert_eq!(
        (
            catalog.stopped.len(),
            catalog.described("t").unwrap().tags.as_slice()
        ),
        (1, &["eu".to_owned()][..])
    );
    let record = &registry.records()[0];
    assert_eq!(
        texts(&record.faults),
        ["/probes/0/plugin: there is no probe plugin `tls`; known: `dns`, `http`, `tcp`"]
    );
    assert_eq!(record.spec["probes"][0]["settings"]["days"], "***");
}

#[tokio::test]
async fn a_service_of_the_api_can_not_come_to_depend_on_itself() {
    let registry = registry(FileEntries::default()).await;
    let service =
        |name: &str, on: Value| json!({"name": name, "baseUrl": "https://x", "dependsOn": on});
    let refused = |result: Result<ServiceRecord, CatalogError>| match result {
        Err(CatalogError::Invalid(faults)) => texts(&faults),
        other => panic!("must be refused: {other:?}"),
    };
    assert_eq!(
        refused(registry.create(service("a", json!(["bb"]))).await),
        ["/dependsOn/0: there is no service with the slug `bb`"]
    );
    registry.create(service("b", json!([]))).await.unwrap();
    registry.create(service("a", json!(["b"]))).await.unwrap();
    let circle = registry
        .replace("b", service("b", json!(["a"])), None)
        .await;
    assert_eq!(
        refused(circle),
        ["/dependsOn: depends on itself: `a`, `b`, `a`; leave one of them out"]
    );
    assert_eq!(registry.catalog().dependencies.down("a", |_| false), None);
    let needed = registry.delete("b", None).await.unwrap_err();
    assert_eq!(
        needed.to_string(),
        "`a` can't work without `b`; change that first"
    );
    registry.delete("a", None).await.unwrap();
    registry.delete("b", None).await.unwrap();
}

fn named<T: serde::de::DeserializeOwned>(value: Value) -> Vec<(String, T)> {
    let Value::Object(members) = value else {
        panic!("an object")
    };
    members
        .into_iter()
        .map(|(name, item)| (name, serde_json::from_value(item).unwrap()))
        .collect()
}
