//! Rules of services, shared rules and alert templates.

use super::*;

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
        texts(&report.warnings),
        [
            "/alerts/1: alert `Prod` notifies no one: it has no `notifications`, and neither does the top of alerts.yaml",
            "/alerts/2/services/1: services.yaml has no service with the slug `zz`",
        ]
    );
    let catalog = registry(entries).await.catalog();
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
async fn a_disabled_alert_is_checked_and_not_in_force() {
    let alerts = json!([{"name": "Down", "condition": "status == 'error'", "disabled": true}]);
    let services = json!([{"name": "A", "baseUrl": "https://a"}]);
    let registry = registry(entries(services, alerts, json!([]))).await;
    assert!(registry.catalog().rules["a"].is_empty());
}

#[tokio::test]
async fn alerts_name_the_probes_and_webhooks_they_look_at() {
    let webhooks = json!([{"plugin": "github", "name": "texts", "settings": {"secret": "s"}}]);
    let alert =
        |name: &str, probes: Value| json!({"name": name, "condition": "true", "probes": probes});
    let services = json!([{"name": "A", "baseUrl": "https://a", "webhooks": webhooks, "alerts": [
        alert("good", json!(["texts", "http"])), alert("none", json!([])), alert("unknown", json!(["htp", "texts"])),
    ]}]);
    let (_, report) = checked(&entries(services, json!([]), json!([]))).await;
    assert_eq!(
        texts(&report.faults),
        [
            "/services/0/alerts/1/probes: selects nothing to look at; leave it out to select all",
            "/services/0/alerts/2/probes/0: the service has no probe or webhook `htp`; did you mean `http`?",
        ]
    );
    let mut spec = shop();
    spec["webhooks"] = webhooks;
    let shared = json!([alert("Vendor", json!(["texts"]))]);
    let registry = registry(entries(json!([]), shared, json!([]))).await;
    registry.create(spec).await.unwrap();
    let rule = &registry.catalog().rules["shop-api"][0];
    assert!(rule.looks_at("texts") && !rule.looks_at("http"));
    assert_eq!(
        rule.settings,
        json!({"condition": "true"}),
        "the plugin does not see it"
    );
}

#[tokio::test]
async fn rules_have_the_lifecycle_options_of_their_alerts() {
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
    let catalog = registry(entries(services, alerts, json!([])))
        .await
        .catalog();
    let [one, two, three] = [0, 1, 2].map(|index| catalog.rules["a"][index].clone());
    assert_eq!(
        (
            one.duration.as_secs(),
            one.options.keep_firing_for.as_secs()
        ),
        (120, 90)
    );
    assert_eq!(one.options.failures, Failures { count: 3, of: 5 });
    assert_eq!(
        one.options.flapping,
        Some(FlappingThresholds {
            high: 50.0,
            low: 20.0
        })
    );
    assert_eq!(
        (one.options.no_data, one.options.no_data_after),
        (NoData::Alert, Some(Duration::from_secs(900)))
    );
    assert_eq!(two.options.flapping, Some(FlappingThresholds::default()));
    assert_eq!(three.options, crate::domain::AlertOptions::default());
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
async fn faults_of_lifecycle_options_have_their_places() {
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
        texts(&report.faults),
        [
            "/services/0/monitoring/retries: must be at most 10",
            "/services/0/monitoring/retryInterval: must be shorter than the interval; retries are there to be faster",
            "/services/0/probes/0/retryInterval: has no effect without `retries`",
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

#[tokio::test]
async fn rules_select_services_by_their_properties() {
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
    let warnings = texts(&report.warnings);
    assert!(
        warnings
            .iter()
            .any(|text| text.starts_with("/alerts/4/where: can't be evaluated for")),
        "{warnings:?}"
    );
    let catalog = registry(entries).await.catalog();
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
    let faults = texts(&report.faults);
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
    let catalog = registry(entries).await.catalog();
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
async fn faults_of_templates_have_their_places() {
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
        texts(&report.faults),
        [
            "/alertTemplates/odd/template: can't be in a template: templates don't build on each other",
            "/alertTemplates/odd/condition: uses `{{limit}}`, which is none of `params`",
            "/alerts/0/template: there is no alert template `slwo`; did you mean `slow`?",
            "/alerts/1/template: alert template `slow` needs `with` values for `limit`",
            "/alerts/2/with/windw: alert template `slow` has no parameter `windw`; did you mean `window`?",
            "/alertTemplates/slow/threshold: must be a number, not text (as `/alerts/3` uses it)",
            "/alerts/4/window: `soon` is not a duration; write numbers and units, as in `500ms`, `2s`, `5m`, `1h30m` or `7d`",
            "/alerts/5/with: has no effect without a `template`",
        ]
    );
    assert_eq!(
        texts(&report.warnings)[0],
        "/alertTemplates/slow/params/spare: is not used by the template"
    );
}
