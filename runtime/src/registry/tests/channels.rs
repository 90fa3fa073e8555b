//! Ids of channels, whatever their settings are.

use serde_json::{Value, json};

use super::*;

/// The ids of the channels of service `a`'s first rule.
async fn ids(alerts: Value, notifications: Value) -> Vec<String> {
    let services = json!([{"name": "A", "baseUrl": "https://a"}]);
    let catalog = registry(entries(services, alerts, notifications))
        .await
        .catalog();
    catalog.rules["a"][0]
        .channels
        .iter()
        .map(|id| id.0.clone())
        .collect()
}

async fn ids_of(channels: Value) -> Vec<String> {
    ids(
        json!([{"name": "Down", "condition": "true", "notifications": channels}]),
        json!([]),
    )
    .await
}

#[tokio::test]
async fn the_id_of_a_channel_without_a_name_stays_when_its_settings_change() {
    let before = ids_of(json!([
        {"channel": "slack", "webhook": "https://1"},
        {"channel": "slack", "webhook": "https://2"},
        {"channel": "email", "recipients": ["a@a"]},
    ]))
    .await;
    assert!(
        before
            .iter()
            .all(|id| before.iter().filter(|other| *other == id).count() == 1),
        "{before:?}"
    );
    assert!(
        before[0].starts_with("slack-") && before[2].starts_with("email-"),
        "{before:?}"
    );
    let mended = ids_of(json!([
        {"channel": "email", "recipients": ["b@b"], "rateLimit": {"messages": 1, "per": "1m"}},
        {"channel": "slack", "webhook": "https://3"},
        {"channel": "slack", "webhook": "https://4"},
    ]))
    .await;
    assert_eq!(
        mended,
        [before[2].clone(), before[0].clone(), before[1].clone()]
    );
}

#[tokio::test]
async fn a_name_is_one_channel_wherever_it_is_written_out() {
    let named = |webhook: &str| json!([{"channel": "slack", "name": "ops", "webhook": webhook}]);
    let before = ids_of(named("https://1")).await;
    assert_eq!(ids_of(named("https://2")).await, before);
    assert_eq!(
        ids(
            json!([{"name": "Other", "condition": "true"}]),
            named("https://3")
        )
        .await,
        before
    );
    let by_mail = json!([{"channel": "email", "name": "ops", "recipients": ["a@a"]}]);
    assert_eq!(ids_of(by_mail).await, before, "by another notifier as well");
    let unnamed = ids_of(json!([{"channel": "slack", "webhook": "https://1"}])).await;
    assert_ne!(unnamed, before);
}

#[tokio::test]
async fn two_channels_of_one_name_stay_two_and_are_warned_of() {
    let alerts = json!([
        {"name": "Down", "condition": "true", "notifications": [{"channel": "slack", "name": "ops", "webhook": "https://1"}]},
        {"name": "Slow", "condition": "true", "notifications": [{"channel": "slack", "name": "ops", "webhook": "https://2"}]},
        {"name": "Late", "condition": "true", "notifications": [{"channel": "slack", "name": "ops", "webhook": "https://1"}]},
    ]);
    let entries = entries(
        json!([{"name": "A", "baseUrl": "https://a"}]),
        alerts,
        json!([]),
    );
    let (_, report) = checked(&entries).await;
    assert_eq!(
        texts(&report.warnings),
        [
            "/alerts/1/notifications/0/name: another channel is named `ops` and has other settings: they are two channels; \
          give one another name"
        ]
    );
    let catalog = registry(entries).await.catalog();
    let webhook = |index: usize| {
        let id = &catalog.rules["a"][index].channels[0];
        (
            id.clone(),
            catalog.channels[id].settings["webhook"]
                .as_str()
                .unwrap()
                .to_owned(),
        )
    };
    assert_eq!(
        (webhook(0).1.as_str(), webhook(1).1.as_str()),
        ("https://1", "https://2")
    );
    assert_eq!(webhook(0), webhook(2));
}

#[tokio::test]
async fn a_service_of_the_api_takes_no_channel_of_the_files_over() {
    let services = json!([{"name": "A", "baseUrl": "https://a"}]);
    let alerts = json!([{"name": "Down", "condition": "true",
        "notifications": [{"channel": "slack", "name": "ops", "webhook": "https://1"}]}]);
    let registry = registry(entries(services, alerts, json!([]))).await;
    let channels = json!([
        {"channel": "slack", "name": "ops", "webhook": "https://evil"},
        {"channel": "slack", "webhook": "https://1"},
    ]);
    let own = json!([{"name": "Own", "condition": "true", "notifications": channels}]);
    registry
        .create(json!({"name": "B", "baseUrl": "https://b", "alerts": own}))
        .await
        .unwrap();
    let catalog = registry.catalog();
    let of_file = &catalog.channels[&catalog.rules["a"][0].channels[0]];
    assert_eq!(
        (of_file.settings["webhook"].as_str(), of_file.origin),
        (Some("https://1"), Origin::File)
    );
    let own = &catalog.rules["b"][0].channels;
    assert_eq!(catalog.channels[&own[0]].origin, Origin::Api);
    assert_eq!(
        catalog.channels[&own[1]].origin,
        Origin::File,
        "a file has the same settings, so they are meant"
    );
    // A channel that is written out twice gets one message about a failing plugin.
    let texts = &catalog.rules["plugin:http"][0].channels;
    let mut webhooks: Vec<_> = texts
        .iter()
        .map(|id| catalog.channels[id].settings["webhook"].as_str())
        .collect();
    webhooks.sort_unstable();
    assert_eq!(webhooks, [Some("https://1"), Some("https://evil")]);
}
