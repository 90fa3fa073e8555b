//! Built-in alerts about plugins and about the monitor.

use super::*;

fn plugin_alerts(registry: &Registry) -> Vec<(String, Vec<String>)> {
    let catalog = registry.catalog();
    let rules = catalog
        .rules
        .iter()
        .filter(|(subject, _)| subject.starts_with("plugin:"));
    rules
        .map(|(subject, rules)| {
            let texts = |rule: &Arc<crate::domain::AlertRule>| {
                let channels: Vec<&str> = rule
                    .channels
                    .iter()
                    .map(|id| id.0.split('-').next().unwrap_or_default())
                    .collect();
                let (severity, condition) = (rule.severity.as_str(), &rule.settings["condition"]);
                format!("{} {severity} {condition} {}", rule.key, channels.join(" "))
            };
            (subject.clone(), rules.iter().map(texts).collect())
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
    let registry = registry(entries).await;
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
    let without = registry(entries(services(), json!([]), channels())).await;
    assert!(
        !without.catalog().rules.contains_key(MONITOR_SUBJECT)
            && without.catalog().inhibitions.is_empty()
    );

    let with = |alerts| FileEntries {
        has_offline_targets: true,
        ..entries(services(), alerts, channels())
    };
    let catalog = registry(with(json!([]))).await.catalog();
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
            .while_firing(&all, |_| true)
            .source(alert)
            .is_some()
    };
    assert_eq!(all.each_ref().map(is_muted), [false, true, true]);

    let disabled = json!([{"name": "Monitor offline", "disabled": true}]);
    let catalog = registry(with(disabled)).await.catalog();
    assert!(!catalog.rules.contains_key(MONITOR_SUBJECT) && catalog.inhibitions.is_empty());
}

#[tokio::test]
async fn without_defaults_every_channel_is_notified_of_a_failing_plugin() {
    let services = json!([{"name": "A", "baseUrl": "https://a"}]);
    let alerts = json!([
        {"name": "Down", "condition": "status == 'error'", "notifications": [{"channel": "slack", "webhook": "https://s"}]},
        {"name": "Slow", "condition": "latency_ms > 5.0", "notifications": [{"channel": "email", "recipients": ["ops@a"]}]},
    ]);
    let registry = registry(entries(services, alerts, json!([]))).await;
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
    let registry = registry(files).await;
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
        let registry = registry(entries(services(), json!([entry]), json!([]))).await;
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
        texts(&report.faults),
        [
            "/alerts/0/services: `Plugin failing` looks at plugins, not at services; leave this out",
            "/alerts/0/colour: is not a known key; known: `condition`, `disabled`, `duration`, `escalation`, `failures`, `flapping`, `for`, `keepFiringFor`, `name`, `noData`, `noDataAfter`, `notifications`, `probes`, `services`, `severity`, `tags`, `template`, `type`, `types`, `where`, `with`",
            "/alerts/1/name: another alert is named `Plugin failing`; give this one another name",
            "/alerts/2/threshold: is missing",
        ]
    );
}

#[tokio::test]
async fn a_credential_that_is_known_to_end_has_an_alert() {
    use crate::domain::{CREDENTIALS_SUBJECT, Severity, credentials_ending};
    let services = |end: Value| {
        let mut service = json!([{"name": "A", "baseUrl": "https://a", "authentication": {"type": "bearer", "token": "t0ken-of-many"}}]);
        service[0]["authentication"]["expires"] = end;
        service
    };
    let channels = || json!([{"channel": "email", "recipients": ["ops@a"]}]);
    let of = async |end: Value, alerts: Value| {
        let registry = registry(entries(services(end), alerts, channels())).await;
        registry.catalog()
    };
    let without = of(Value::Null, json!([])).await;
    assert!(!without.rules.contains_key(CREDENTIALS_SUBJECT));
    let with = of(json!("2027-01-31"), json!([])).await;
    let rule = &with.rules[CREDENTIALS_SUBJECT][0];
    assert_eq!(
        (rule.name.as_str(), rule.severity, rule.channels.len()),
        ("Credential expiring", Severity::Warning, 1)
    );
    let day_ms = 86_400_000;
    let end_ms = 1_801_353_600_000;
    for (now_ms, wanted) in [
        (end_ms - 15 * day_ms, 0),
        (end_ms - 14 * day_ms, 1),
        (end_ms + day_ms, 1),
    ] {
        assert_eq!(credentials_ending(&with, now_ms).len(), wanted, "{now_ms}");
    }
    let off = json!([{"name": "Credential expiring", "disabled": true}]);
    let off = of(json!("2027-01-31"), off).await;
    assert!(!off.rules.contains_key(CREDENTIALS_SUBJECT));
}
