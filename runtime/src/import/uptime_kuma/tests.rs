use serde_json::{Value, json};

use crate::import::Format;
use crate::import::testing::{imported, notes};

fn service(monitor: &Value) -> (Value, Vec<String>) {
    let mut whole = json!({
        "id": 3, "name": "Shop", "interval": 60, "active": true, "maxretries": 0, "retryInterval": 60,
    });
    for (key, value) in monitor.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let slack = json!({"type": "slack", "slackwebhookURL": "https://hooks.example/hunter2"});
    let backup = json!({
        "version": "1.23.0",
        "notificationList": [
            {"id": 1, "name": "Ops", "config": slack.to_string()},
            {"id": 2, "name": "Phone", "config": "{\"type\": \"ntfy\"}"},
        ],
        "monitorList": [{"id": 9, "name": "Core", "type": "group", "active": true}, whole],
    });
    let imported = imported(Format::UptimeKuma, &backup.to_string());
    let services = imported.services_file().unwrap_or_default();
    let service = services.get("services").map(|list| list[0].clone());
    (service.unwrap_or_default(), notes(&imported))
}

#[test]
fn a_monitor_becomes_a_service_with_its_rule() {
    let (service, notes) = service(&json!({
        "type": "keyword", "url": "https://shop.example/health", "method": "POST", "body": "{\"a\": \"${b}\"}",
        "httpBodyEncoding": "json", "headers": "{\"Accept\": \"text/plain\"}", "keyword": "ok", "ignoreTls": true,
        "accepted_statuscodes": ["200-299", "301"], "maxredirects": 3, "timeout": 48, "maxretries": 2,
        "retryInterval": 20, "parent": 9, "tags": [{"name": "prod", "value": ""}, {"name": "team", "value": "shops"}],
        "authMethod": "basic", "basic_auth_user": "me", "basic_auth_pass": "hunter3", "expiryNotification": true,
        "notificationIDList": {"1": true, "2": true, "7": false},
    }));
    let channel = json!({"channel": "slack", "name": "Ops", "webhook": "${OPS_WEBHOOK_URL}"});
    let wanted = json!({
        "name": "Shop", "type": "HTTP", "baseUrl": "https://shop.example", "healthEndpoint": "/health",
        "authentication": {"type": "basic", "username": "me", "password": "${SHOP_PASSWORD}"},
        "monitoring": {
            "interval": "1m", "timeout": "48s", "retries": 2, "retryInterval": "20s",
            "expectedStatus": ["200-299", 301],
            "settings": {
                "method": "POST", "followRedirects": 3, "body": "{\"a\": \"$${b}\"}",
                "headers": {"Content-Type": "application/json", "Accept": "text/plain"},
                "bodyContains": "ok", "insecure": true,
            },
        },
        "alerts": [
            {"name": "Down", "condition": "status != 'healthy'", "severity": "critical", "notifications": [channel]},
            {
                "type": "certificate", "name": "Certificate ends", "threshold": 21, "untrusted": false,
                "notifications": [channel],
            },
        ],
        "tags": ["Core", "prod", "team:shops"],
    });
    assert_eq!(service, wanted);
    assert!(!format!("{service}{notes:?}").contains("hunter"));
    let wanted = "f.yaml: notificationList[1]: no notifier for `ntfy`; left out";
    assert!(notes.iter().any(|note| note == wanted), "{notes:?}");
}

#[test]
fn retries_as_far_apart_as_runs_are_failures_in_a_row() {
    let (service, _) = service(&json!({
        "type": "port", "hostname": "db.example", "port": 5432, "maxretries": 2, "notificationIDList": {"1": true},
    }));
    assert_eq!(service["baseUrl"], "db.example:5432");
    assert_eq!(service["monitoring"].get("retries"), None);
    assert_eq!(
        service["alerts"][0]["failures"],
        json!({"count": 3, "of": 3})
    );
}

#[test]
fn queries_of_json_are_assertions_as_far_as_they_are_paths() {
    for (path, operator, value, wanted) in [
        (
            "$.a.b",
            json!("=="),
            "1",
            json!({"jsonpath": "$.a.b", "equals": 1}),
        ),
        (
            "status",
            Value::Null,
            "UP",
            json!({"jsonpath": "$.status", "equals": "UP"}),
        ),
        (
            "a[0]",
            json!(">"),
            "5",
            json!({"jsonpath": "$.a[0]", "above": 5.0}),
        ),
        ("a", json!("<="), "5", json!({"cel": "json.a <= 5"})),
        ("a", json!("!="), "x", json!({"cel": "json.a != 'x'"})),
        (
            "a",
            json!("contains"),
            "x",
            json!({"jsonpath": "$.a", "contains": "x"}),
        ),
    ] {
        let (service, _) = service(&json!({
            "type": "json-query", "url": "https://a", "jsonPath": path, "jsonPathOperator": operator,
            "expectedValue": value,
        }));
        assert_eq!(
            service["monitoring"]["settings"]["assertions"],
            json!([wanted]),
            "{path}"
        );
    }
    let (service, notes) = service(&json!({
        "type": "json-query", "url": "https://a", "jsonPath": "$count(a)", "expectedValue": "1",
    }));
    assert_eq!(service, Value::Null);
    assert!(
        notes[0].starts_with("f.yaml: monitorList[1].jsonPath: is more than a path"),
        "{notes:?}"
    );
}

#[test]
fn other_types_become_other_probes_or_a_note() {
    for (monitor, kind, base_url, settings) in [
        (
            json!({"type": "dns", "hostname": "a.example", "dns_resolve_type": "MX", "dns_resolve_server": "1.1.1.1", "port": 53}),
            "DNS",
            "a.example",
            json!({"recordType": "MX", "server": "1.1.1.1"}),
        ),
        (
            json!({"type": "redis", "databaseConnectionString": "redis://me:hunter2@cache:6379/0"}),
            "Redis",
            "redis://cache:6379",
            json!({"password": "${SHOP_PASSWORD}", "username": "me"}),
        ),
        (
            json!({"type": "smtp", "hostname": "mail", "port": 465, "smtpSecurity": "secure"}),
            "SMTP",
            "mail:465",
            json!({"tls": "implicit"}),
        ),
        (
            json!({"type": "grpc-keyword", "grpcUrl": "a:50051", "grpcServiceName": "Health", "grpcMethod": "check", "grpcEnableTls": true}),
            "gRPC",
            "a:50051",
            json!({"tls": true}),
        ),
    ] {
        let (service, _) = service(&monitor);
        assert_eq!(
            (
                &service["type"],
                &service["baseUrl"],
                &service["monitoring"]["settings"]
            ),
            (&json!(kind), &json!(base_url), &settings)
        );
    }
    for (monitor, wanted) in [
        (
            json!({"type": "push"}),
            "monitorList[1].type: reports by itself: make a heartbeat",
        ),
        (
            json!({"type": "ping"}),
            "monitorList[1].type: no probe for ICMP",
        ),
        (
            json!({"type": "docker"}),
            "monitorList[1].type: no probe asks Docker",
        ),
        (
            json!({"type": "mqtt"}),
            "monitorList[1].type: no probe for `mqtt`; left out",
        ),
        (
            json!({"type": "http", "url": "https://a", "active": false}),
            "monitorList[1]: is paused",
        ),
        (
            json!({"type": "http", "url": "https://a", "upsideDown": true}),
            "monitorList[1]: is upside",
        ),
        (
            json!({"type": "http"}),
            "monitorList[1]: has no `url`; left out",
        ),
    ] {
        let (service, notes) = service(&monitor);
        assert_eq!(service, Value::Null);
        assert!(
            notes[0].starts_with(&format!("f.yaml: {wanted}")),
            "{notes:?}"
        );
    }
}
