//! Services and webhooks of the files.

use super::*;

#[tokio::test]
async fn all_faults_of_the_files_are_reported_at_once() {
    let services = json!([
        {"name": "A", "baseUrl": "https://a", "monitoring": {"interval": 0.5, "timeout": "1x", "expectedStatus": 20}},
        {"name": "a", "baseUrl": "a.example", "type": "FTP", "probes": [{"plugin": "tsl"}, {"plugin": "slack"}]},
        {"name": "B", "slug": "Bee!", "baseUrl": "https://b", "alerts": [
            {"type": "availability", "treshold": 1},
            {"condition": "a = b"},
            {"severity": "info"},
            {"type": "response_time", "threshold": 1, "window": "soon"},
            {"type": "response_time", "threshold": 2, "notifications": [{"channel": "slak"}, {"channel": "email", "recipients": []}]},
        ]},
    ]);
    let (_, report) = checked(&entries(services, json!([]), json!([]))).await;
    assert_eq!(
        texts(&report.faults),
        [
            "/services/0/monitoring/interval: must be at least 1s",
            "/services/0/monitoring/timeout: `1x` is not a duration; write numbers and units, as in `500ms`, `2s`, `5m`, `1h30m` or `7d`",
            "/services/0/monitoring/expectedStatus: must be at least 100",
            "/services/1/type: no probe is known for the type `FTP`; did you mean `HTTP`?; or set `monitoring.probe`",
            "/services/1/probes/0/plugin: there is no probe plugin `tsl`; did you mean `tls`?",
            "/services/1/probes/1/plugin: `slack` is a notifier plugin, not a probe plugin; known: `dns`, `http`, `tcp`, `tls`",
            "/services/1/name: `a` is already the slug of `A`; give this one a `slug` of its own",
            "/services/2/slug: must be in lower case, words joined by `-`; write `bee`",
            "/services/2/alerts/0/treshold: is not a known key; did you mean `threshold`?",
            "/services/2/alerts/0/threshold: is missing",
            "/services/2/alerts/1/condition: does not parse: unexpected `=`",
            "/services/2/alerts/2: has nothing to look for; write a `condition`, or a `type`: `availability`, `response_time`",
            "/services/2/alerts/3/window: `soon` is not a duration; write numbers and units, as in `500ms`, `2s`, `5m`, `1h30m` or `7d`",
            "/services/2/alerts/4/notifications/0/channel: there is no notifier plugin `slak`; did you mean `slack`?",
            "/services/2/alerts/4/notifications/1/recipients: must not be empty",
            "/services/2/alerts/4/name: another alert of this service is named `response_time`; give this one a `name`",
        ]
    );
}

#[tokio::test]
async fn what_works_but_was_hardly_meant_is_a_warning() {
    let services = json!([{"name": "A", "baseUrl": "https://a", "monitoring": {"interval": "2m", "timeout": "3m"},
        "alerts": [{"type": "response_time", "threshold": 1, "window": "1m"}]}]);
    let alerts = json!([{"name": "Down", "condition": "status == 'unhealthy'", "notifications": [{"channel": "slack", "webhook": "x"}]}]);
    let (_, report) = checked(&entries(services, alerts, json!([]))).await;
    assert_eq!(
        texts(&report.warnings),
        [
            "/services/0/monitoring/timeout: is longer than the interval (3m against 2m), so a run that hangs makes the next ones missed",
            "/services/0/alerts/0: alert `response_time` notifies no one: it has no `notifications`, and neither does the top of alerts.yaml",
            "/services/0/alerts/0: looks back 1m, but `A` is only checked every 2m, so most of the time there is nothing to judge",
            "/alerts/0/condition: never sees a service that does not answer at all, whose status is `error`; \
         write `status in ['unhealthy', 'error']` to be notified of both",
        ]
    );
}

#[tokio::test]
async fn webhooks_are_checked_like_probes() {
    let services = json!([{"name": "A", "baseUrl": "https://a", "probes": [{"plugin": "tcp", "name": "github"}], "webhooks": [
        {"plugin": "github", "settings": {"secret": "s"}},
        {"plugin": "github", "name": "Second One", "settings": {"secret": "s"}},
        {"plugin": "githup", "name": "x"},
        {"plugin": "slack", "name": "y"},
        {"plugin": "github", "name": "open", "unsigned": true, "settings": {"secrets": "s"}},
        {"plugin": "github", "name": "open", "settings": {"secret": "s"}},
    ]}]);
    let (_, report) = checked(&entries(services, json!([]), json!([]))).await;
    assert_eq!(
        texts(&report.faults),
        [
            "/services/0/webhooks/0/name: a probe of this service is named `github`; give this one another `name`",
            "/services/0/webhooks/1/name: must be of lower case letters, digits, `-` and `_`, at most 64; write `second-one`",
            "/services/0/webhooks/2/plugin: there is no webhook plugin `githup`; did you mean `github`?",
            "/services/0/webhooks/3/plugin: `slack` is a notifier plugin, not a webhook plugin; known: `github`",
            "/services/0/webhooks/4/settings/secrets: is not a known key; did you mean `secret`?",
            "/services/0/webhooks/4/settings/secret: is missing",
            "/services/0/webhooks/5/name: a webhook of this service is named `open`; give this one another `name`",
        ]
    );
    let warnings = texts(&report.warnings);
    assert!(
        warnings
            .iter()
            .any(|warning| warning.starts_with("/services/0/webhooks/4/unsigned: ")),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn webhooks_are_in_the_catalog_and_their_settings_are_in_use() {
    let mut spec = shop();
    spec["webhooks"] = json!([{"plugin": "github", "settings": {"secret": ["new", "old"]}}]);
    let registry = registry(FileEntries::default()).await;
    let record = registry.create(spec).await.unwrap();
    assert_eq!(
        record.spec["webhooks"][0]["settings"]["secret"],
        json!(["***", "***"])
    );
    let catalog = registry.catalog();
    let [webhook] = &catalog.services["shop-api"].webhooks[..] else {
        panic!()
    };
    assert_eq!((webhook.name.as_str(), webhook.unsigned), ("github", false));
    assert!(!format!("{webhook:?}").contains("old"));
    let uses = registry.settings_using("github");
    assert_eq!(uses.len(), 1);
    assert_eq!(
        (uses[0].kind, uses[0].owner.as_str()),
        (
            PluginKind::Webhook,
            "webhook `github` of service `shop-api`"
        )
    );
}

#[tokio::test]
async fn meters_are_checked_and_are_in_the_catalog_with_their_settings_in_use() {
    let services = json!([{"name": "A", "baseUrl": "https://a", "meters": [
        {"plugin": "costs"},
        {"plugin": "costs", "name": "Often", "interval": "9m"},
        {"plugin": "cost", "name": "x"},
        {"plugin": "costs", "settings": {"keys": 1}},
    ]}]);
    let (_, report) = checked(&entries(services, json!([]), json!([]))).await;
    assert_eq!(
        texts(&report.faults),
        [
            "/services/0/meters/1/name: must be of lower case letters, digits, `-` and `_`, at most 64; write `often`",
            "/services/0/meters/1/interval: must be at least 10m",
            "/services/0/meters/2/plugin: there is no meter plugin `cost`; did you mean `costs`?",
            "/services/0/meters/3/settings/keys: is not a known key; did you mean `key`?",
            "/services/0/meters/3/name: a meter of this service is named `costs`; give this one another `name`",
        ]
    );
    let mut spec = shop();
    spec["meters"] = json!([{"plugin": "costs", "settings": {"key": "s3cret-value"}}]);
    let registry = registry(FileEntries::default()).await;
    let record = registry.create(spec).await.unwrap();
    assert_eq!(record.spec["meters"][0]["settings"]["key"], "***");
    let catalog = registry.catalog();
    let [meter] = &catalog.services["shop-api"].meters[..] else {
        panic!()
    };
    assert_eq!(
        (meter.name.as_str(), meter.interval.as_secs()),
        ("costs", 6 * 3_600)
    );
    assert!(!format!("{meter:?}").contains("s3cret-value"));
    let uses = registry.settings_using("costs");
    assert_eq!(
        (uses.len(), uses[0].kind, uses[0].owner.as_str()),
        (1, PluginKind::Meter, "meter `costs` of service `shop-api`")
    );
}

#[tokio::test]
async fn files_are_put_in_place_whole_and_win_over_the_api() {
    let registry = registry(FileEntries::default()).await;
    registry.create(shop()).await.unwrap();
    let before = registry.catalog().version;
    let services = json!([{"name": "Shop API", "baseUrl": "https://other"}, {"name": "New", "baseUrl": "https://n"}]);
    let (files, _) = checked(&entries(services, json!([]), json!([]))).await;
    let catalog = registry
        .prepare(files, &FakePlugins::bundled())
        .await
        .publish();
    assert_eq!(catalog.version, before + 1);
    assert_eq!(catalog.services["shop-api"].base_url, "https://other");
    assert_eq!(
        catalog.services["shop-api"].private,
        PrivateReach::as_loaded()
    );
    assert_eq!(registry.record("shop-api").unwrap().origin, Origin::File);
    let catalog = registry
        .prepare(CheckedFiles::default(), &FakePlugins::bundled())
        .await
        .publish();
    assert_eq!(catalog.services.keys().collect::<Vec<_>>(), ["shop-api"]);
    assert_eq!(
        catalog.services["shop-api"].base_url,
        "https://shop.example"
    );
}

#[tokio::test]
async fn the_settings_that_use_a_plugin_are_found_with_their_owners() {
    let services = json!([{"name": "A", "baseUrl": "https://a", "monitoring": {"expectedStatus": 204},
        "alerts": [{"type": "availability", "threshold": 99, "notifications": [{"channel": "slack", "webhook": "https://1"}]}]}]);
    let registry = registry(entries(services, json!([]), json!([]))).await;
    let owners = |plugin: &str| {
        registry
            .settings_using(plugin)
            .into_iter()
            .map(|using| using.owner)
            .collect::<Vec<_>>()
    };
    assert_eq!(owners("http"), ["probe `http` of service `a`"]);
    assert_eq!(
        owners("availability"),
        ["alert `availability` of service `a`"]
    );
    assert_eq!(owners("slack"), ["channel `slack`"]);
    assert_eq!(
        registry.settings_using("http")[0].settings,
        json!({"expectedStatus": 204})
    );
}
