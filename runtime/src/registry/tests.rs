//! The registry through its outer interface.

mod channels;

use std::sync::Arc;

use serde_json::{Value, json};

use super::testing::{FakePlugins, MemoryStore};
use super::*;
use crate::domain::PrivateReach;

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

async fn checked(entries: &FileEntries) -> (CheckedFiles, Report) {
    check_files(
        entries,
        Defaults::default(),
        &FakePlugins::bundled(),
        Report::default(),
    )
    .await
}

async fn registry(entries: FileEntries, store: Arc<MemoryStore>) -> Registry {
    let (files, report) = checked(&entries).await;
    assert_eq!(report.faults, []);
    Registry::open(files, Arc::new(FakePlugins::bundled()), store)
        .await
        .unwrap()
}

fn told(faults: &[Fault]) -> Vec<String> {
    faults
        .iter()
        .map(|fault| format!("{}: {}", fault.pointer, fault.message))
        .collect()
}

fn shop() -> Value {
    json!({"name": "Shop API", "baseUrl": "https://shop.example", "authentication": {"type": "bearer", "token": "s3cret"}})
}

#[tokio::test]
async fn tells_all_faults_of_the_files_at_once() {
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
        told(&report.faults),
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
            "/services/2/alerts/2: says nothing to look for; write a `condition`, or a `type`: `availability`, `response_time`",
            "/services/2/alerts/3/window: `soon` is not a duration; write numbers and units, as in `500ms`, `2s`, `5m`, `1h30m` or `7d`",
            "/services/2/alerts/4/notifications/0/channel: there is no notifier plugin `slak`; did you mean `slack`?",
            "/services/2/alerts/4/notifications/1/recipients: must not be empty",
            "/services/2/alerts/4/name: another alert of this service is named `response_time`; give this one a `name`",
        ]
    );
}

#[tokio::test]
async fn shared_alerts_reach_the_services_they_select() {
    let services = json!([
        {"name": "A", "baseUrl": "https://a", "tags": ["prod"]},
        {"name": "B", "baseUrl": "https://b", "tags": ["prod"],
         "alerts": [{"type": "availability", "name": "Down", "threshold": 99, "notifications": [{"channel": "slack", "webhook": "https://1"}]}]},
        {"name": "C", "baseUrl": "https://c"},
    ]);
    let alerts = json!([
        {"name": "Down", "condition": "status != 'healthy'", "duration": "2m", "severity": "critical"},
        {"name": "Prod", "condition": "true", "tags": ["prod"], "notifications": []},
        {"name": "One", "condition": "true", "services": ["a", "zz"], "duration": 90},
    ]);
    let default = json!([{"channel": "email", "name": "Ops", "recipients": ["ops@company.com"]}]);
    let entries = entries(services, alerts, default);
    let (_, report) = checked(&entries).await;
    assert_eq!(
        told(&report.warnings),
        [
            "/alerts/1: alert `Prod` tells nobody: it has no `notifications`, and neither does the top of alerts.yaml",
            "/alerts/2/services/1: services.yaml has no service with the slug `zz`",
        ]
    );
    let catalog = registry(entries, Arc::default()).await.catalog();
    let keys = |slug: &str| {
        catalog.rules[slug]
            .iter()
            .map(|rule| rule.key.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys("a"), ["a/Down", "a/Prod", "a/One"]);
    assert_eq!(keys("b"), ["b/Down", "b/Prod"]);
    assert_eq!(keys("c"), ["c/Down"]);
    let plugin_and_channels = |slug: &str, index: usize| {
        let rule = &catalog.rules[slug][index];
        let names: Vec<&str> = rule
            .channels
            .iter()
            .map(|id| catalog.channels[id].name.as_str())
            .collect();
        (rule.plugin.as_str(), rule.duration.as_secs(), names)
    };
    assert_eq!(plugin_and_channels("a", 0), ("condition", 120, vec!["Ops"]));
    assert_eq!(plugin_and_channels("a", 1), ("condition", 0, vec![]));
    assert_eq!(plugin_and_channels("a", 2), ("condition", 90, vec!["Ops"]));
    assert_eq!(
        plugin_and_channels("b", 0),
        ("availability", 0, vec!["slack"])
    );
}

#[tokio::test]
async fn what_the_api_makes_is_stored_published_and_masked() {
    let store = Arc::new(MemoryStore::default());
    let registry = registry(FileEntries::default(), store.clone()).await;
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
    assert_eq!(
        store.rows.lock().unwrap()["shop-api"].spec["authentication"]["token"],
        "s3cret"
    );
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
    assert!(store.rows.lock().unwrap().is_empty());
}

#[tokio::test]
async fn changes_are_refused_for_a_reason() {
    let services = json!([{"name": "From File", "baseUrl": "https://f"}]);
    let registry = registry(entries(services, json!([]), json!([])), Arc::default()).await;
    registry.create(shop()).await.unwrap();
    let refused = |refusal: Refusal| match refusal {
        Refusal::Invalid(faults) => told(&faults).join("; "),
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
    let store = Arc::new(MemoryStore::default());
    let spec = json!({"name": "t", "baseUrl": "https://t", "tags": ["eu"], "probes": [{"plugin": "tls", "settings": {"days": 3}}]});
    registry(FileEntries::default(), store.clone())
        .await
        .create(spec)
        .await
        .unwrap();
    let mut plugins = FakePlugins::bundled();
    plugins.remove(PluginKind::Probe, "tls");
    let registry = Registry::open(CheckedFiles::default(), Arc::new(plugins), store)
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
        told(&record.faults),
        ["/probes/0/plugin: there is no probe plugin `tls`; known: `dns`, `http`, `tcp`"]
    );
    assert_eq!(record.spec["probes"][0]["settings"]["days"], "***");
}

#[tokio::test]
async fn files_are_put_in_place_whole_and_win_over_the_api() {
    let registry = registry(FileEntries::default(), Arc::default()).await;
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
async fn knows_who_uses_a_plugin() {
    let services = json!([{"name": "A", "baseUrl": "https://a", "monitoring": {"expectedStatus": 204},
        "alerts": [{"type": "availability", "threshold": 99, "notifications": [{"channel": "slack", "webhook": "https://1"}]}]}]);
    let registry = registry(entries(services, json!([]), json!([])), Arc::default()).await;
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

#[tokio::test]
async fn warns_of_what_works_but_was_hardly_meant() {
    let services = json!([{"name": "A", "baseUrl": "https://a", "monitoring": {"interval": "2m", "timeout": "3m"},
        "alerts": [{"type": "response_time", "threshold": 1, "window": "1m"}]}]);
    let alerts = json!([{"name": "Down", "condition": "status == 'unhealthy'", "notifications": [{"channel": "slack", "webhook": "x"}]}]);
    let (_, report) = checked(&entries(services, alerts, json!([]))).await;
    assert_eq!(
        told(&report.warnings),
        [
            "/services/0/monitoring/timeout: is longer than the interval (3m against 2m), so a run that hangs makes the next ones missed",
            "/services/0/alerts/0: alert `response_time` tells nobody: it has no `notifications`, and neither does the top of alerts.yaml",
            "/services/0/alerts/0: looks back 1m, but `A` is only checked every 2m, so most of the time there is nothing to judge",
            "/alerts/0/condition: never sees a service that does not answer at all, whose status is `error`; \
         write `status in ['unhealthy', 'error']` to be told of both",
        ]
    );
}

fn plugin_alerts(registry: &Registry) -> Vec<(String, Vec<String>)> {
    let catalog = registry.catalog();
    let rules = catalog
        .rules
        .iter()
        .filter(|(subject, _)| subject.starts_with("plugin:"));
    rules
        .map(|(subject, rules)| {
            let told = |rule: &Arc<crate::domain::AlertRule>| {
                let channels: Vec<&str> = rule
                    .channels
                    .iter()
                    .map(|id| id.0.split('-').next().unwrap_or_default())
                    .collect();
                let (severity, condition) = (rule.severity.as_str(), &rule.settings["condition"]);
                format!("{} {severity} {condition} {}", rule.key, channels.join(" "))
            };
            (subject.clone(), rules.iter().map(told).collect())
        })
        .collect()
}

#[tokio::test]
async fn every_plugin_in_use_has_an_alert_of_its_own() {
    let services = json!([{"name": "A", "baseUrl": "https://a", "probes": [{"plugin": "tls", "settings": {"days": 3}}]}]);
    let channels = json!([{"channel": "email", "recipients": ["ops@a"]}]);
    let entries = entries(
        services,
        json!([{"name": "Down", "condition": "status == 'error'"}]),
        channels,
    );
    let registry = registry(entries, Arc::default()).await;
    let alerts = plugin_alerts(&registry);
    let subjects: Vec<&str> = alerts.iter().map(|(subject, _)| subject.as_str()).collect();
    assert_eq!(
        subjects,
        [
            "plugin:condition",
            "plugin:email",
            "plugin:http",
            "plugin:tls"
        ]
    );
    assert_eq!(
        alerts[2].1,
        ["plugin:http/Plugin failing warning \"error != null\" email"]
    );
    let uses = registry.settings_using("condition");
    assert!(
        uses.iter().any(|usage| usage.owner.contains("plugin:http")),
        "a new version has to take them: {uses:?}"
    );
}

#[tokio::test]
async fn a_monitor_with_offline_targets_has_an_alert_of_its_own_that_inhibits_all_others() {
    use crate::domain::{Firing, Labels, MONITOR_SUBJECT, Severity};
    let services = || json!([{"name": "A", "baseUrl": "https://a"}]);
    let channels = || json!([{"channel": "email", "recipients": ["ops@a"]}]);
    let without = registry(entries(services(), json!([]), channels()), Arc::default()).await;
    assert!(
        !without.catalog().rules.contains_key(MONITOR_SUBJECT)
            && without.catalog().inhibitions.is_empty()
    );

    let with = |alerts| FileEntries {
        has_offline_targets: true,
        ..entries(services(), alerts, channels())
    };
    let catalog = registry(with(json!([])), Arc::default()).await.catalog();
    let rule = &catalog.rules[MONITOR_SUBJECT][0];
    assert_eq!(
        (rule.name.as_str(), rule.severity, rule.channels.len()),
        ("Monitor offline", Severity::Critical, 1)
    );
    let firing = |name: &str, service: &str| {
        let severity = Severity::Critical;
        let (name, service) = (name.to_owned(), service.to_owned());
        Firing {
            labels: Labels::of(&name, &service, severity, None),
            name,
            service,
            severity,
        }
    };
    let all = [
        firing("Monitor offline", MONITOR_SUBJECT),
        firing("Down", "a"),
        firing("Plugin failing", "plugin:http"),
    ];
    let is_muted = |alert: &Firing| {
        catalog.inhibitions[0]
            .while_firing(&all)
            .source(alert)
            .is_some()
    };
    assert_eq!(all.each_ref().map(is_muted), [false, true, true]);

    let disabled = json!([{"name": "Monitor offline", "disabled": true}]);
    let catalog = registry(with(disabled), Arc::default()).await.catalog();
    assert!(!catalog.rules.contains_key(MONITOR_SUBJECT) && catalog.inhibitions.is_empty());
}

#[tokio::test]
async fn without_defaults_whoever_is_told_of_anything_is_told_of_a_failing_plugin() {
    let services = json!([{"name": "A", "baseUrl": "https://a"}]);
    let alerts = json!([
        {"name": "Down", "condition": "status == 'error'", "notifications": [{"channel": "slack", "webhook": "https://s"}]},
        {"name": "Slow", "condition": "latency_ms > 5.0", "notifications": [{"channel": "email", "recipients": ["ops@a"]}]},
    ]);
    let registry = registry(entries(services, alerts, json!([])), Arc::default()).await;
    for (subject, rules) in plugin_alerts(&registry) {
        assert!(
            rules[0].ends_with("\"error != null\" email slack"),
            "{subject}: {rules:?}"
        );
    }
}

#[tokio::test]
async fn a_failing_plugin_is_no_sign_of_life_to_the_watchdogs_channel() {
    let alerts = json!([
        {"name": "Down", "condition": "status == 'error'", "notifications": [{"channel": "slack", "webhook": "https://s"}]},
    ]);
    let mut files = entries(
        json!([{"name": "A", "baseUrl": "https://a"}]),
        alerts,
        json!([]),
    );
    files.watchdog = serde_json::from_value(json!({"url": "https://hc.example/ping"})).unwrap();
    let registry = registry(files, Arc::default()).await;
    assert!(
        registry
            .catalog()
            .channels
            .values()
            .any(|channel| channel.name == "watchdog")
    );
    for (subject, rules) in plugin_alerts(&registry) {
        assert!(
            rules[0].ends_with("\"error != null\" slack"),
            "{subject}: {rules:?}"
        );
    }
}

#[tokio::test]
async fn without_a_tree_the_channels_at_the_top_are_one_that_groups_by_name() {
    let alerts = json!([
        {"name": "Down", "condition": "status == 'error'"},
        {"name": "Own", "condition": "true", "notifications": [{"channel": "slack", "webhook": "https://s"}]},
    ]);
    let files = || {
        let channels = json!([{"channel": "email", "recipients": ["ops@a"]}]);
        entries(
            json!([{"name": "A", "baseUrl": "https://a"}]),
            alerts.clone(),
            channels,
        )
    };
    let catalog = registry(files(), Arc::default()).await.catalog();
    let routed: Vec<(&str, bool)> = catalog.rules["a"]
        .iter()
        .map(|rule| (rule.name.as_str(), rule.is_routed))
        .collect();
    assert_eq!(routed, [("Down", true), ("Own", false)]);
    let labels =
        |service: &str| crate::domain::Labels::from([("alertname", "Down"), ("service", service)]);
    let tree = catalog.route.as_ref().unwrap();
    let [one] = &tree.destinations(&labels("a"))[..] else {
        panic!("one destination")
    };
    assert_eq!(
        (one.timing.wait.as_secs(), one.timing.interval.as_secs()),
        (10, 60)
    );
    assert_eq!(one.group_key(&labels("a")), one.group_key(&labels("b")));
    assert_eq!(catalog.channels[&one.channels[0]].plugin, "email");
    assert!(one.path == "{}" && one.channels.len() == 1);

    let mut with_tree = files();
    with_tree.routing.route = serde_json::from_value(json!({"groupWait": 0})).unwrap();
    let catalog = registry(with_tree, Arc::default()).await.catalog();
    assert!(
        catalog.route.as_ref().unwrap().destinations(&labels("a"))[0]
            .timing
            .wait
            .is_zero()
    );
}

#[tokio::test]
async fn an_entry_of_its_name_takes_the_place_of_the_built_in_alert() {
    let services = || json!([{"name": "A", "baseUrl": "https://a"}]);
    for (entry, wanted) in [
        (
            json!({"name": "Plugin failing", "severity": "critical", "notifications": [{"channel": "slack", "webhook": "https://s"}]}),
            vec!["plugin:http/Plugin failing critical \"error != null\" slack"],
        ),
        (
            json!({"name": "Plugin failing", "condition": "metrics.broken_in_a_row > 50"}),
            vec!["plugin:http/Plugin failing warning \"metrics.broken_in_a_row > 50\" "],
        ),
        (json!({"name": "Plugin failing", "disabled": true}), vec![]),
    ] {
        let registry = registry(
            entries(services(), json!([entry]), json!([])),
            Arc::default(),
        )
        .await;
        let alerts = plugin_alerts(&registry);
        let http: Vec<&String> = alerts
            .iter()
            .filter(|(subject, _)| subject == "plugin:http")
            .flat_map(|(_, rules)| rules)
            .collect();
        assert_eq!(http, wanted);
        assert!(
            registry.catalog().rules["a"].is_empty(),
            "it is no alert about services"
        );
    }
    let wrong = json!([
        {"name": "Plugin failing", "services": ["a"], "colour": "red"},
        {"name": "Plugin failing"},
        {"name": "Off", "disabled": true, "type": "availability"},
    ]);
    let (_, report) = checked(&entries(services(), wrong, json!([]))).await;
    assert_eq!(
        told(&report.faults),
        [
            "/alerts/0/services: `Plugin failing` looks at plugins, not at services; leave this out",
            "/alerts/0/colour: is not a known key; known: `condition`, `disabled`, `duration`, `escalation`, `failures`, `flapping`, `for`, `keepFiringFor`, `name`, `noData`, `noDataAfter`, `notifications`, `probes`, `services`, `severity`, `tags`, `template`, `type`, `types`, `where`, `with`",
            "/alerts/1/name: another alert is named `Plugin failing`; give this one another name",
            "/alerts/2/threshold: is missing",
        ]
    );
}

#[tokio::test]
async fn a_disabled_alert_is_checked_and_not_in_force() {
    let alerts = json!([{"name": "Down", "condition": "status == 'error'", "disabled": true}]);
    let services = json!([{"name": "A", "baseUrl": "https://a"}]);
    let registry = registry(entries(services, alerts, json!([])), Arc::default()).await;
    assert!(registry.catalog().rules["a"].is_empty());
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
        told(&report.faults),
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
    let warnings = told(&report.warnings);
    assert!(
        warnings
            .iter()
            .any(|warning| warning.starts_with("/services/0/webhooks/4/unsigned: ")),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn alerts_name_the_probes_and_webhooks_they_look_at() {
    let webhooks = json!([{"plugin": "github", "name": "told", "settings": {"secret": "s"}}]);
    let alert =
        |name: &str, probes: Value| json!({"name": name, "condition": "true", "probes": probes});
    let services = json!([{"name": "A", "baseUrl": "https://a", "webhooks": webhooks, "alerts": [
        alert("good", json!(["told", "http"])), alert("none", json!([])), alert("unknown", json!(["htp", "told"])),
    ]}]);
    let (_, report) = checked(&entries(services, json!([]), json!([]))).await;
    assert_eq!(
        told(&report.faults),
        [
            "/services/0/alerts/1/probes: selects nothing to look at; leave it out to select all",
            "/services/0/alerts/2/probes/0: the service has no probe or webhook `htp`; did you mean `http`?",
        ]
    );
    let mut spec = shop();
    spec["webhooks"] = webhooks;
    let shared = json!([alert("Vendor", json!(["told"]))]);
    let registry = registry(entries(json!([]), shared, json!([])), Arc::default()).await;
    registry.create(spec).await.unwrap();
    let rule = &registry.catalog().rules["shop-api"][0];
    assert!(rule.looks_at("told") && !rule.looks_at("http"));
    assert_eq!(
        rule.settings,
        json!({"condition": "true"}),
        "the plugin does not see it"
    );
}

#[tokio::test]
async fn webhooks_are_in_the_catalog_and_their_settings_are_in_use() {
    let mut spec = shop();
    spec["webhooks"] = json!([{"plugin": "github", "settings": {"secret": ["new", "old"]}}]);
    let registry = registry(FileEntries::default(), Arc::default()).await;
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
async fn channels_take_templates_limits_and_fallbacks_and_their_faults_have_places() {
    let templates = json!({
        "short": {"title": "{{ status }}"},
        "wrong": {"title": "fine", "text": "one\n{{ alerts[0].sumary }}"},
        "empty": {},
    });
    let notifications = json!([
        {"channel": "slack", "name": "ops", "webhook": "https://a", "template": "short",
            "rateLimit": {"messages": 3, "per": "1m"}, "fallback": "mail"},
        {"channel": "slack", "name": "plain", "webhook": "https://a", "fallback": "mial"},
        {"channel": "slack", "name": "odd", "webhook": "https://b", "template": "shrt", "fallback": "odd"},
        {"channel": "slack", "name": "mail", "webhook": "https://c", "rateLimit": {"messages": 1, "per": 0}, "fallbackAfter": "1m"},
    ]);
    let message_templates = serde_json::from_value(templates).unwrap();
    let entries = FileEntries {
        message_templates,
        ..entries(json!([]), json!([]), notifications)
    };
    let (files, report) = checked(&entries).await;
    assert_eq!(
        told(&report.faults),
        [
            "/messageTemplates/empty: says nothing; write a `title`, a `text` or an `html`",
            "/messageTemplates/wrong/text: line 2, column 4 of the template: there is no `alerts[0].sumary`",
            "/notifications/2/template: alerts.yaml has no message template `shrt` below `messageTemplates`; did you mean `short`?",
            "/notifications/2/fallback: is the channel itself; name another one",
            "/notifications/3/rateLimit/per: has to be between 1 ms and a day",
            "/notifications/3/fallbackAfter: there is no `fallback` to go to; name a channel",
            "/notifications/1/fallback: there is no channel with the name `mial`; did you mean `mail`?",
        ]
    );
    let channels: Vec<_> = files.channels().collect();
    let options = &channels[0].options;
    assert_eq!(
        options
            .template
            .as_ref()
            .map(|template| template.name.as_str()),
        Some("short")
    );
    assert_eq!(
        options
            .rate_limit
            .map(|limit| (limit.messages, limit.per.as_secs())),
        Some((3, 60))
    );
    assert_eq!(
        options
            .fallback
            .as_ref()
            .map(|fallback| fallback.channel.as_str()),
        Some("mail")
    );
    assert_ne!(
        channels[0].id, channels[1].id,
        "another template makes another channel"
    );
}

#[tokio::test]
async fn the_routing_tree_is_in_the_catalog_and_rules_without_channels_follow_it() {
    let mut files = entries(
        json!([shop()]),
        json!([{"name": "Down", "condition": "true"}]),
        json!([]),
    );
    files.routing.channels =
        serde_json::from_value(json!({"ops": {"channel": "slack", "webhook": "https://a"}}))
            .unwrap();
    files.routing.route = serde_json::from_value(json!({
        "receiver": "ops", "groupBy": ["service", "team"], "groupWait": 0,
        "routes": [{"match": "severity=critical", "continue": true, "muteTimes": ["night"]}],
    }))
    .unwrap();
    files.routing.mute_times =
        serde_json::from_value(json!({"night": {"cron": "0 22 * * *", "duration": "8h"}})).unwrap();
    let (checked, report) = checked(&files).await;
    assert_eq!(
        (told(&report.faults), told(&report.warnings)),
        (vec![], vec![])
    );
    assert_eq!(checked.channels().count(), 1);
    let catalog = registry(files, Arc::default()).await.catalog();
    let route = catalog.route.as_ref().unwrap();
    let channel = &catalog.channels[&route.channels.as_ref().unwrap()[0]];
    assert_eq!(
        (channel.name.as_str(), channel.plugin.as_str()),
        ("ops", "slack")
    );
    assert!(catalog.rules["shop-api"].iter().all(|rule| rule.is_routed));
    assert!(catalog.mute_times.contains_key("night"));
}

#[tokio::test]
async fn faults_of_routes_windows_and_dependencies_have_their_places() {
    let services = json!([
        {"name": "A", "baseUrl": "https://a", "dependsOn": ["b"], "labels": {"severity": "x", "1st": "y"}},
        {"name": "B", "baseUrl": "https://b", "dependsOn": ["c"]},
        {"name": "C", "baseUrl": "https://c", "dependsOn": ["a", "dd"]},
    ]);
    let mut files = entries(services, json!([]), json!([]));
    files.routing.channels = serde_json::from_value(json!({
        "ops": {"channel": "slack", "webhook": "https://a", "name": "other"},
        "odd": {"channel": "pigeon"},
    }))
    .unwrap();
    files.routing.route = serde_json::from_value(json!({
        "match": "severity=critical",
        "groupInterval": 0,
        "routes": [
            {"receiver": ["ops", "opps"], "match": ["severity=critical", "severity"], "groupBy": ["...", "service"]},
            {"muteTimes": ["night"], "groupBy": ["a b"], "groupWait": "soon"},
        ],
    }))
    .unwrap();
    files.routing.inhibit = vec![(
        0,
        serde_json::from_value(json!({"source": [], "target": "service=~\"(\""})).unwrap(),
    )];
    let windows = json!([
        {"name": "a", "cron": "0 2 30 2 *", "duration": "1h"},
        {"name": "a", "start": "2026-11-23T22:00:00Z", "end": "2026-11-23T20:00:00Z"},
        {"name": "b", "start": "tomorrow", "end": "2026-11-23T20:00:00Z"},
        {"name": "c"},
    ]);
    files.routing.maintenance = serde_json::from_value::<Vec<_>>(windows)
        .unwrap()
        .into_iter()
        .enumerate()
        .collect();
    let (_, report) = checked(&files).await;
    let mut faults = told(&report.faults);
    faults.sort();
    let mut places: Vec<&str> = faults
        .iter()
        .map(|fault| fault.split(": ").next().unwrap())
        .collect();
    places.sort();
    assert_eq!(
        places,
        [
            "/channels/odd/channel",
            "/channels/ops/name",
            "/inhibit/0/source",
            "/inhibit/0/target",
            "/maintenance/0/cron",
            "/maintenance/1/end",
            "/maintenance/1/name",
            "/maintenance/2/start",
            "/maintenance/3",
            "/route",
            "/route/groupInterval",
            "/route/match",
            "/route/routes/0/groupBy",
            "/route/routes/0/match/1",
            "/route/routes/0/receiver/1",
            "/route/routes/1/groupBy/0",
            "/route/routes/1/groupWait",
            "/route/routes/1/muteTimes/0",
            "/services/0/dependsOn",
            "/services/0/labels/1st",
            "/services/0/labels/severity",
        ],
        "{faults:#?}"
    );
    let circle = faults
        .iter()
        .find(|fault| fault.starts_with("/services/0/dependsOn"))
        .unwrap();
    assert!(
        circle.ends_with("depends on itself: `a`, `b`, `c`, `a`; leave one of them out"),
        "{circle}"
    );
    let warnings = told(&report.warnings);
    assert!(
        warnings
            .iter()
            .any(|warning| warning.starts_with("/services/2/dependsOn/1")),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn a_service_of_the_api_can_not_come_to_depend_on_itself() {
    let registry = registry(FileEntries::default(), Arc::default()).await;
    let service =
        |name: &str, on: Value| json!({"name": name, "baseUrl": "https://x", "dependsOn": on});
    registry.create(service("a", json!(["b"]))).await.unwrap();
    let Err(Refusal::Invalid(faults)) = registry.create(service("b", json!(["a"]))).await else {
        panic!("must be refused")
    };
    assert_eq!(
        told(&faults),
        ["/dependsOn: depends on itself: `a`, `b`, `a`; leave one of them out"]
    );
    registry.create(service("b", json!([]))).await.unwrap();
    assert_eq!(registry.catalog().dependencies.down("a", |_| false), None);
}

#[tokio::test]
async fn rules_say_how_their_alerts_live() {
    use crate::domain::{Failures, FlappingThresholds, NoData};
    use std::time::Duration;
    let services = json!([{"name": "A", "baseUrl": "https://a", "monitoring": {"interval": 60, "retries": 2, "retryInterval": "5s"},
        "probes": [{"plugin": "tcp", "retries": 1}, {"plugin": "dns"}]}]);
    let alerts = json!([
        {"name": "One", "condition": "true", "for": "2m", "keepFiringFor": 90, "failures": {"count": 3, "of": 5},
         "flapping": {"high": 50, "low": 20}, "noData": "alert", "noDataAfter": "15m", "notifications": []},
        {"name": "Two", "condition": "true", "flapping": true, "notifications": []},
        {"name": "Three", "condition": "true", "notifications": []},
    ]);
    let catalog = registry(entries(services, alerts, json!([])), Arc::default())
        .await
        .catalog();
    let [one, two, three] = [0, 1, 2].map(|index| catalog.rules["a"][index].clone());
    assert_eq!(
        (one.duration.as_secs(), one.life.keep_firing_for.as_secs()),
        (120, 90)
    );
    assert_eq!(one.life.failures, Failures { count: 3, of: 5 });
    assert_eq!(
        one.life.flapping,
        Some(FlappingThresholds {
            high: 50.0,
            low: 20.0
        })
    );
    assert_eq!(
        (one.life.no_data, one.life.no_data_after),
        (NoData::Alert, Some(Duration::from_secs(900)))
    );
    assert_eq!(two.life.flapping, Some(FlappingThresholds::default()));
    assert_eq!(three.life, crate::domain::Life::default());
    let retries: Vec<_> = catalog.services["a"]
        .probes
        .iter()
        .map(|probe| probe.retry)
        .collect();
    let retry = |times, seconds| {
        Some(crate::domain::Retry {
            times,
            every: Duration::from_secs(seconds),
        })
    };
    assert_eq!(retries, [retry(2, 5), retry(1, 10), None]);
}

#[tokio::test]
async fn wrong_lives_are_told_in_their_places() {
    let services = json!([{"name": "A", "baseUrl": "https://a", "monitoring": {"interval": 10, "retries": 11, "retryInterval": 10},
        "probes": [{"plugin": "tcp", "retryInterval": 1}]}]);
    let alerts = json!([
        {"name": "One", "condition": "true", "for": "2m", "duration": "2m", "failures": {"count": 3, "of": 2}, "notifications": []},
        {"name": "Two", "condition": "true", "failures": {"count": 0, "of": 61}, "flapping": {"high": 20, "low": 30},
         "noDataAfter": 0, "keepFiringFor": "soon", "escalation": "opps", "notifications": []},
    ]);
    let mut entries = entries(services, alerts, json!([]));
    entries.escalations = vec![(
        "ops".to_owned(),
        serde_json::from_value(
            json!({"steps": [{"notify": [{"channel": "slack", "webhook": "https://1"}]}]}),
        )
        .unwrap(),
    )];
    let (_, report) = checked(&entries).await;
    assert_eq!(
        told(&report.faults),
        [
            "/services/0/monitoring/retries: must be at most 10",
            "/services/0/monitoring/retryInterval: must be shorter than the interval; retries are there to be faster",
            "/services/0/probes/0/retryInterval: says nothing without `retries`",
            "/alerts/0/for: is another word for `duration`, which is given too; remove one",
            "/alerts/0/failures/count: is more than `of`: 3 of 2 can't be",
            "/alerts/1/keepFiringFor: `soon` is not a duration; write numbers and units, as in `500ms`, `2s`, `5m`, `1h30m` or `7d`",
            "/alerts/1/noDataAfter: must be longer than 0",
            "/alerts/1/failures/count: must be at least 1",
            "/alerts/1/failures/of: must be between 1 and 60",
            "/alerts/1/flapping/low: must be between 0 and `high`",
            "/alerts/1/escalation: alerts.yaml has no escalation `opps`; did you mean `ops`?",
        ]
    );
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

#[tokio::test]
async fn rules_select_services_by_what_they_are() {
    let services = json!([
        {"name": "A", "baseUrl": "https://a", "tags": ["prod", "eu"], "owner": "payments"},
        {"name": "B", "baseUrl": "b:1", "type": "TCP", "tags": ["prod"]},
        {"name": "C", "baseUrl": "https://c"},
    ]);
    let rule = |name: &str, scope: Value| {
        let mut rule = json!({"name": name, "condition": "true", "notifications": []});
        rule.as_object_mut()
            .unwrap()
            .extend(scope.as_object().unwrap().clone());
        rule
    };
    let alerts = json!([
        rule("slug", json!({"services": ["a"]})),
        rule("type", json!({"types": ["tcp"]})),
        rule(
            "where",
            json!({"where": "'eu' in service.tags || service.slug == 'c'"})
        ),
        rule(
            "both",
            json!({"tags": ["prod"], "where": "service.owner.startsWith('pay')"})
        ),
        rule("odd", json!({"where": "service.nothing == 1"})),
    ]);
    let entries = entries(services, alerts, json!([]));
    let (_, report) = checked(&entries).await;
    let warnings = told(&report.warnings);
    assert!(
        warnings
            .iter()
            .any(|text| text.starts_with("/alerts/4/where: can't be told of")),
        "{warnings:?}"
    );
    let catalog = registry(entries, Arc::default()).await.catalog();
    let names = |slug: &str| {
        catalog.rules[slug]
            .iter()
            .map(|rule| rule.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("a"), ["slug", "where", "both"]);
    assert_eq!(names("b"), ["type"]);
    assert_eq!(names("c"), ["where"]);

    let wrong = json!([
        rule("one", json!({"where": "tag == 'a'"})),
        rule("two", json!({"where": "1 +", "types": []}))
    ]);
    let (_, report) = checked(&self::entries(json!([]), wrong, json!([]))).await;
    let faults = told(&report.faults);
    assert!(
        faults[0].starts_with(
            "/alerts/0/where: can't be evaluated: unknown variable `tag`; did you mean `service`?"
        ),
        "{faults:?}"
    );
    assert!(
        faults[1].starts_with("/alerts/1/types: selects no service"),
        "{faults:?}"
    );
    assert!(
        faults[2].starts_with("/alerts/1/where: does not parse"),
        "{faults:?}"
    );
}

#[tokio::test]
async fn alerts_are_written_once_and_used_many_times() {
    let services = json!([{"name": "A", "baseUrl": "https://a", "alerts": [
        {"template": "slow", "with": {"limit": 800}},
        {"template": "slow", "name": "Very slow", "severity": "critical", "duration": "5m", "with": {"limit": 2000, "window": "1m"}},
    ]}]);
    let alerts = json!([{"name": "All slow", "template": "slow", "with": {"limit": 5000}, "notifications": []}]);
    let mut entries = entries(services, alerts, json!([]));
    entries.alert_templates = named(json!({
        "slow": {
            "params": {"limit": {"description": "Milliseconds."}, "window": {"default": "5m"}},
            "type": "response_time", "threshold": "{{limit}}", "window": "{{ window }}", "for": "1m", "severity": "info",
            "notifications": [],
        },
    }));
    let catalog = registry(entries, Arc::default()).await.catalog();
    let rules: Vec<_> = catalog.rules["a"]
        .iter()
        .map(|rule| {
            (
                rule.name.as_str(),
                rule.settings.clone(),
                rule.duration.as_secs(),
                rule.severity.as_str(),
            )
        })
        .collect();
    assert_eq!(
        rules,
        [
            (
                "slow",
                json!({"threshold": 800, "window": "5m"}),
                60,
                "info"
            ),
            (
                "Very slow",
                json!({"threshold": 2000, "window": "1m"}),
                300,
                "critical"
            ),
            (
                "All slow",
                json!({"threshold": 5000, "window": "5m"}),
                60,
                "info"
            ),
        ]
    );
}

#[tokio::test]
async fn faults_of_templates_are_told_where_they_stand() {
    let services = json!([{"name": "A", "baseUrl": "https://a"}]);
    let alerts = json!([
        {"name": "One", "template": "slwo", "notifications": []},
        {"name": "Two", "template": "slow", "notifications": []},
        {"name": "Three", "template": "slow", "with": {"limit": 1, "windw": "1m"}, "notifications": []},
        {"name": "Four", "template": "slow", "with": {"limit": "many"}, "notifications": []},
        {"name": "Five", "template": "slow", "with": {"limit": 1}, "window": "soon", "notifications": []},
        {"name": "Six", "condition": "true", "with": {"limit": 1}, "notifications": []},
    ]);
    let mut entries = entries(services, alerts, json!([]));
    entries.alert_templates = named(json!({
        "slow": {"params": {"limit": {}, "window": {"default": "5m"}, "spare": {"default": 1}},
            "type": "response_time", "threshold": "{{limit}}", "window": "{{window}}"},
        "odd": {"params": {}, "condition": "latency_ms > {{limit}}", "template": "slow"},
    }));
    let (_, report) = checked(&entries).await;
    assert_eq!(
        told(&report.faults),
        [
            "/alertTemplates/odd/template: can't be in a template: templates don't build on each other",
            "/alertTemplates/odd/condition: uses `{{limit}}`, which is none of `params`",
            "/alerts/0/template: there is no alert template `slwo`; did you mean `slow`?",
            "/alerts/1/template: alert template `slow` needs `with` values for `limit`",
            "/alerts/2/with/windw: alert template `slow` has no parameter `windw`; did you mean `window`?",
            "/alertTemplates/slow/threshold: must be a number, not text (as `/alerts/3` uses it)",
            "/alerts/4/window: `soon` is not a duration; write numbers and units, as in `500ms`, `2s`, `5m`, `1h30m` or `7d`",
            "/alerts/5/with: says nothing without a `template`",
        ]
    );
    assert_eq!(
        told(&report.warnings)[0],
        "/alertTemplates/slow/params/spare: is not used by the template"
    );
}

#[tokio::test]
async fn escalations_and_the_watchdog_name_channels() {
    let services = json!([{"name": "A", "baseUrl": "https://a"}]);
    let alerts = json!([{"name": "Down", "condition": "true", "escalation": "ops"}]);
    let default = json!([{"channel": "email", "name": "Ops", "recipients": ["ops@company.com"]}]);
    let mut entries = entries(services, alerts, default);
    entries.escalations = named(json!({"ops": {"steps": [
        {"wait": "10m", "notify": ["Ops", {"channel": "slack", "name": "On call", "webhook": "https://1"}],
         "repeat": {"every": "5m", "times": 3}},
        {"wait": 600, "notify": ["Ops"], "hours": {"days": ["mon", "Friday"], "from": "09:00", "to": "17:30", "timezone": "Europe/Berlin"}},
    ]}}));
    entries.watchdog = Some(
        serde_json::from_value(json!({"url": "https://hc.example/ping/1", "interval": "30s"}))
            .unwrap(),
    );
    let catalog = registry(entries, Arc::default()).await.catalog();
    let policy = &catalog.escalations["ops"];
    let names: Vec<Vec<&str>> = policy
        .steps
        .iter()
        .map(|step| {
            step.channels
                .iter()
                .map(|id| catalog.channels[id].name.as_str())
                .collect()
        })
        .collect();
    assert_eq!(names, [vec!["Ops", "On call"], vec!["Ops"]]);
    assert_eq!(policy.steps[0].repeat.unwrap().times, Some(3));
    let hours = policy.steps[1].hours.clone().unwrap();
    assert_eq!(
        (hours.weekdays.as_slice(), hours.from, hours.to),
        ([0, 4].as_slice(), 540, 1_050)
    );
    let watchdog = catalog.watchdog.clone().unwrap();
    assert_eq!(
        (
            catalog.channels[&watchdog.channel].plugin.as_str(),
            watchdog.interval.as_secs()
        ),
        ("webhook", 30)
    );
    assert_eq!(catalog.rules["a"][0].escalation.as_deref(), Some("ops"));
}

#[tokio::test]
async fn wrong_escalations_are_told_in_their_places() {
    let mut entries = entries(json!([]), json!([]), json!([]));
    entries.escalations = named(json!({"ops": {"steps": [
        {"notify": ["Opps"], "repeat": {"every": "5m"}},
        {"notify": [], "repeat": {"every": 1, "times": 1}},
        {"notify": [{"channel": "slak"}], "hours": {"days": ["mo"], "from": "9", "to": "25:00", "timezone": "Mars"}},
    ]}, "none": {"steps": []}}));
    entries.watchdog = Some(serde_json::from_value(json!({"interval": 1})).unwrap());
    let (_, report) = checked(&entries).await;
    let faults = told(&report.faults);
    for wanted in [
        "/escalations/ops/steps/0/notify/0: there is no channel `Opps`",
        "/escalations/ops/steps/0/repeat: is repeated until somebody comes",
        "/escalations/ops/steps/1/notify: must have between 1 and 32 entries",
        "/escalations/ops/steps/1/repeat/every: must be at least 10s",
        "/escalations/ops/steps/2/notify/0/channel: there is no notifier plugin `slak`; did you mean `slack`?",
        "/escalations/ops/steps/2/hours/days/0: `mo` is not a day",
        "/escalations/ops/steps/2/hours/from: `9` is not a time of day",
        "/escalations/ops/steps/2/hours/to: `25:00` is not a time of day",
        "/escalations/ops/steps/2/hours/timezone: is not a known time zone",
        "/escalations/none/steps: must have between 1 and 32 entries",
        "/watchdog/interval: must be at least 5s",
        "/watchdog: needs to know where it is sent to: either a `url` or `notify`",
    ] {
        assert!(
            faults.iter().any(|fault| fault.starts_with(wanted)),
            "{wanted} is not in {faults:#?}"
        );
    }
    assert_eq!(faults.len(), 12);
}

#[tokio::test]
async fn a_node_of_the_tree_names_an_escalation_for_rules_that_name_none() {
    let mut entries = entries(json!([]), json!([]), json!([]));
    entries.escalations = named(json!({"ops": {"steps": [{"notify": ["pager"]}]}}));
    let channels = json!({"pager": {"channel": "slack", "webhook": "https://1"}});
    entries.routing.channels = serde_json::from_value(channels).unwrap();
    let route = json!({"receiver": "pager", "escalation": "ops", "routes": [
        {"match": "severity=info", "escalation": "opps"}, {"match": "severity=warning"},
    ]});
    entries.routing.route = Some(serde_json::from_value(route).unwrap());
    let (files, report) = checked(&entries).await;
    assert_eq!(
        told(&report.faults),
        ["/route/routes/0/escalation: alerts.yaml has no escalation `opps`; did you mean `ops`?"]
    );
    let route = files.routing.route.unwrap();
    let labels = crate::domain::Labels::of("Down", "a", crate::domain::Severity::Warning, None);
    assert_eq!(
        route.destinations(&labels)[0].escalation.as_deref(),
        Some("ops"),
        "from the node above"
    );
}
