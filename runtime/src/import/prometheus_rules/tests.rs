use serde_json::{Value, json};

use crate::import::Format;
use crate::import::testing::{imported, notes};

fn rule(keys: &str) -> (Value, Vec<String>) {
    let imported = imported(
        Format::PrometheusRules,
        &format!(
            "groups:\n- name: g\n  rules:\n  - alert: A\n    {}\n",
            keys.replace('\n', "\n    ")
        ),
    );
    let alerts = imported.alerts_file().unwrap_or_default();
    let rule = alerts.get("alerts").map(|list| list[0].clone());
    (rule.unwrap_or_default(), notes(&imported))
}

#[test]
fn expressions_over_probe_metrics_are_rules() {
    for (expression, wanted) in [
        (
            "probe_success == 0",
            json!({"condition": "status in ['unhealthy', 'error']"}),
        ),
        (
            "probe_success{} < 1",
            json!({"condition": "status in ['unhealthy', 'error']"}),
        ),
        (
            "1 > probe_success",
            json!({"condition": "status in ['unhealthy', 'error']"}),
        ),
        (
            "avg_over_time(probe_success[30d]) * 100 < 99.9",
            json!({"type": "availability", "threshold": 99.9, "window": "30d"}),
        ),
        (
            "max_over_time(probe_success[5m]) == 0",
            json!({"condition": "runs('5m') > 0 && failures('5m') == runs('5m')"}),
        ),
        (
            "probe_duration_seconds > 2.5",
            json!({"condition": "latency_ms > 2500.0"}),
        ),
        (
            "quantile_over_time(0.99, probe_duration_seconds[10m]) >= 1",
            json!({"type": "response_time", "threshold": 1000.0, "quantile": 0.99, "window": "10m"}),
        ),
        (
            "probe_http_status_code <= 199 OR probe_http_status_code >= 400",
            json!({"condition": "(status == 'error' || http_status <= 199) || (http_status >= 400)"}),
        ),
        (
            "probe_http_status_code != 200",
            json!({"condition": "status == 'error' || http_status != 200"}),
        ),
        (
            "probe_ssl_earliest_cert_expiry - time() < 86400 * 30",
            json!({"type": "certificate", "threshold": 30.0, "untrusted": false}),
        ),
        (
            "(probe_ssl_earliest_cert_expiry - time()) / 86400 <= 14",
            json!({"type": "certificate", "threshold": 14.0, "untrusted": false}),
        ),
        (
            "3 <= round((last_over_time(probe_ssl_earliest_cert_expiry[10m]) - time()) / 86400, 0.1) < 20",
            json!({"type": "certificate", "threshold": 20.0, "untrusted": false}),
        ),
        (
            "absent(probe_success{job='web'})",
            json!({"type": "absence", "window": "10m", "tags": ["web"]}),
        ),
        (
            "probe_success{job=~\"a|b\", instance!=\"https://x\"} == 0",
            json!({
                "condition": "status in ['unhealthy', 'error']",
                "where": "!(service.name == 'https://x') && service.tags.exists(tag, tag.matches('^(?:a|b)$'))",
            }),
        ),
    ] {
        let (mut rule, notes) = rule(&format!("expr: |-\n  {expression}"));
        let members = rule.as_object_mut().unwrap();
        assert_eq!(members.remove("name"), Some(json!("A")), "{expression}");
        assert_eq!(rule, wanted, "{expression}: {notes:?}");
    }
}

#[test]
fn any_other_expression_is_noted_with_its_line() {
    for (expression, reason) in [
        (
            "up == 0",
            "asks for the metric `up`, which is not measured here",
        ),
        ("probe_success", "compares nothing"),
        ("probe_success >= 0", "is true of every answer"),
        (
            "sum(probe_success) == 0",
            "calls `sum`, for which there is no rule",
        ),
        ("probe_success == bool 0", "has the modifier `bool`"),
        (
            "probe_success{env=\"x\"} == 0",
            "selects by the label `env`, which no rule does",
        ),
        (
            "probe_success == 0 and on(job) up == 1",
            "has the modifier `on`",
        ),
        (
            "probe_success{job=\"a\"} == 0 or probe_success == 0",
            "has different selectors",
        ),
        ("rate(probe_success[5m]) > 0", "calls `rate`"),
        ("probe_success == ", "ends too early"),
        (
            "probe_success offset 5m == 0",
            "is more than a comparison of probe metrics, at `offset`",
        ),
        (
            "probe_duration_seconds > time()",
            "compares a metric with the time",
        ),
        (
            "probe_success == 0 unless x",
            "is more than a comparison of probe metrics, at `unless`",
        ),
    ] {
        let (rule, notes) = rule(&format!("expr: |-\n  {expression}"));
        assert_eq!(rule, Value::Null, "{expression}");
        let start = format!("f.yaml:5: groups[0].rules[0].expr: {reason}");
        assert!(notes[0].starts_with(&start), "{expression}: {notes:?}");
        assert!(notes[0].ends_with("; left out"), "{notes:?}");
    }
}

#[test]
fn an_alert_keeps_its_times_and_its_severity() {
    let (rule, notes) = rule(
        "expr: probe_success == 0\nfor: 5m\nkeep_firing_for: 10m\nlabels: {severity: page, team: x}\nannotations: {summary: 's'}",
    );
    let wanted = json!({
        "name": "A", "condition": "status in ['unhealthy', 'error']", "severity": "critical", "for": "5m",
        "keepFiringFor": "10m",
    });
    assert_eq!(rule, wanted);
    assert_eq!(
        notes,
        [
            "f.yaml:8: groups[0].rules[0].labels.team: alerts have the labels of their service only; left out",
            "f.yaml:8: groups[0].rules[0].labels.severity: is written as `critical`",
            "f.yaml:9: groups[0].rules[0].annotations: annotations are left out: messages are in our notifiers' words, or \
             those of a template in `messageTemplates`",
        ]
    );
    let (rule, _) = self::rule("expr: absent(probe_success)\nfor: 30m");
    assert_eq!(
        rule,
        json!({"name": "A", "type": "absence", "window": "30m"})
    );
}

#[test]
fn names_are_unique_and_resources_of_kubernetes_are_read() {
    let imported = imported(
        Format::PrometheusRules,
        "kind: PrometheusRule\nspec:\n  groups:\n  - rules:\n    - {alert: A, expr: probe_success == 0, labels: {severity: warning}}\n    - {alert: A, expr: probe_success == 0, labels: {severity: critical}}\n    - {record: r, expr: probe_success}\n",
    );
    let alerts = &imported.alerts_file().unwrap()["alerts"];
    assert_eq!(
        (&alerts[0]["name"], &alerts[1]["name"]),
        (&json!("A"), &json!("A critical"))
    );
    assert_eq!((imported.found, imported.carried), (3, 2));
    assert!(notes(&imported)[0].contains("records a series"));
}
