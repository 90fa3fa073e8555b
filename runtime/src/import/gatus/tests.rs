use serde_json::{Value, json};

use super::*;
use crate::import::Format;
use crate::import::testing::{imported, notes};

/// Returns the service that an endpoint with these keys becomes, and the notes.
fn service(keys: &str) -> (Value, Vec<String>) {
    let keys = keys.replace('\n', "\n    ");
    let text = format!(
        "alerting:\n  slack:\n    webhook-url: https://hooks.example/T0/secret\nendpoints:\n  - name: Shop\n    {keys}\n"
    );
    let imported = imported(Format::Gatus, &text);
    let services = imported.services_file().unwrap_or_default();
    let service = services.get("services").map(|list| list[0].clone());
    (service.unwrap_or_default(), notes(&imported))
}

fn assertions(condition: &str) -> (Value, Value, Vec<String>) {
    let (service, notes) = service(&format!(
        "url: https://a.example/x\nconditions: ['{}']",
        condition.replace('\'', "''")
    ));
    let monitoring = &service["monitoring"];
    let settings = monitoring["settings"].clone();
    (monitoring["expectedStatus"].clone(), settings, notes)
}

#[test]
fn variables_are_written_our_way() {
    for (theirs, ours) in [
        ("a ${B} c", "a ${B} c"),
        ("$B-$C_1", "${B}-${C_1}"),
        ("5$$ $${B} $1 $", "5$ $${B} $1 $"),
    ] {
        assert_eq!(with_our_variables(theirs), ours, "{theirs}");
    }
}

#[test]
fn an_endpoint_becomes_a_service_that_is_asked_in_the_same_way() {
    let (service, notes) = service(
        "group: core\nurl: https://me:hunter2@a.example:8443/x?y=1\ninterval: 5m\nmethod: POST\nbody: 'by [ENDPOINT_NAME]'\n\
         headers: {Accept: text/plain, X-Token: hunter3}\nclient: {timeout: 3s, insecure: true, ignore-redirect: true}\n\
         extra-labels: {region: eu}\nconditions: ['[STATUS] == 200']",
    );
    let wanted = json!({
        "name": "Shop", "type": "HTTP", "baseUrl": "https://a.example:8443", "healthEndpoint": "/x?y=1",
        "authentication": {"type": "basic", "username": "me", "password": "${SHOP_PASSWORD}"},
        "monitoring": {
            "interval": "5m", "timeout": "3s", "expectedStatus": 200,
            "settings": {
                "method": "POST", "headers": {"Accept": "text/plain", "X-Token": "${SHOP_X_TOKEN}"},
                "body": "by Shop", "insecure": true, "followRedirects": 0,
            },
        },
        "tags": ["core"], "labels": {"region": "eu"},
    });
    assert_eq!(service, wanted);
    assert!(
        !format!("{service}{notes:?}").contains("hunter"),
        "{notes:?}"
    );
    assert!(
        notes[0].contains("f.yaml:7: endpoints[0].url: is secret"),
        "{notes:?}"
    );
}

#[test]
fn conditions_on_statuses_are_one_setting() {
    for (conditions, wanted) in [
        ("[STATUS] == 200", json!(200)),
        ("[STATUS] == any(200, 429)", json!([200, 429])),
        ("[STATUS] < 300", json!("100-299")),
        ("[STATUS] == pat(2*)", json!("2xx")),
        ("[CONNECTED] == true", json!("100-999")),
    ] {
        let (status, _, notes) = assertions(conditions);
        assert_eq!((status, notes.len()), (wanted, 0), "{conditions}");
    }
}

#[test]
fn conditions_on_the_answer_are_assertions() {
    for (condition, wanted) in [
        (
            "[RESPONSE_TIME] < 500",
            json!({"cel": "latency_ms < 500.0"}),
        ),
        (
            "[BODY].status == UP",
            json!({"jsonpath": "$.status", "equals": "UP"}),
        ),
        (
            "[BODY].data[0].id == 1",
            json!({"jsonpath": "$.data[0].id", "equals": 1}),
        ),
        (
            "[BODY].age > 18",
            json!({"jsonpath": "$.age", "above": 18.0}),
        ),
        ("[BODY].age >= 18", json!({"cel": "json.age >= 18"})),
        ("[BODY].a == [BODY].b", json!({"cel": "json.a == json.b"})),
        ("[BODY].x-y != no", json!({"cel": "json['x-y'] != 'no'"})),
        (
            "[BODY].name == pat(john*)",
            json!({"cel": "json.name.matches('(?s)^john.*$')"}),
        ),
        (
            "[BODY].id == any(1, b)",
            json!({"cel": "json.id in [1, 'b']"}),
        ),
        (
            "len([BODY].data) < 5",
            json!({"cel": "size(json.data) < 5"}),
        ),
        ("len([BODY]) > 0", json!({"cel": "size(body) > 0"})),
        (
            "has([BODY].errors) == false",
            json!({"jsonpath": "$.errors", "exists": false}),
        ),
        (
            "has([BODY].errors) != false",
            json!({"jsonpath": "$.errors", "exists": true}),
        ),
        (
            "[BODY] == it's",
            json!({"cel": "body.matches('^\\\\s*(?:it\\'s)\\\\s*$')"}),
        ),
        (
            "[BODY] != pat(*down*)",
            json!({"cel": "!body.contains('down')"}),
        ),
    ] {
        let (_, settings, notes) = assertions(condition);
        assert_eq!(settings, json!({"assertions": [wanted]}), "{condition}");
        assert_eq!(notes, [""; 0], "{condition}");
    }
    let (_, settings, _) = assertions("[BODY] == pat(*<h1>Shop</h1>*)");
    assert_eq!(settings, json!({"bodyContains": "<h1>Shop</h1>"}));
}

#[test]
fn conditions_without_a_counterpart_are_noted_with_their_line() {
    for (condition, reason) in [
        ("[IP] == 127.0.0.1", "no assertion looks at the address"),
        (
            "[DOMAIN_EXPIRATION] > 720h",
            "no probe reads until when a domain is registered",
        ),
        (
            "[CONNECTED] == false",
            "no probe is content without a connection",
        ),
        ("[BODY] == pat([ab]*)", "its pattern has classes"),
        ("[STATUS]=200", "is no comparison"),
    ] {
        let (_, _, notes) = assertions(condition);
        let wanted = format!("f.yaml:7: endpoints[0].conditions[0]: {reason}; left out");
        assert_eq!(notes, [wanted], "{condition}");
    }
}

#[test]
fn alerts_are_rules_with_their_thresholds_and_channels() {
    let (service, notes) = service(
        "url: https://a.example\ninterval: 1m\nconditions: ['[STATUS] == 200', '[CERTIFICATE_EXPIRATION] > 48h']\nalerts:\n\
         - {type: slack, failure-threshold: 5, description: 'shop is down', send-on-resolved: true}\n\
         - {type: ntfy, failure-threshold: 1, success-threshold: 4}\n- {type: slack, enabled: false}",
    );
    let channel = json!({"channel": "slack", "name": "slack", "webhook": "${SLACK_WEBHOOK_URL}"});
    let wanted = json!([
        {
            "name": "shop is down", "condition": "status != 'healthy'", "severity": "critical",
            "failures": {"count": 5, "of": 5}, "keepFiringFor": "30s", "notifications": [channel], "probes": ["http"],
        },
        {
            "name": "Down", "condition": "status != 'healthy'", "severity": "critical", "keepFiringFor": "150s",
            "probes": ["http"],
        },
        {
            "type": "certificate", "name": "Certificate ends", "threshold": 2, "untrusted": false,
            "notifications": [channel],
        },
    ]);
    assert_eq!(service["alerts"], wanted);
    // The probe refuses a warning that is shorter than the limit.
    let settings = json!({"warnDays": 2, "criticalDays": 2});
    assert_eq!(service["probes"][0]["settings"], settings);
    let is_noted = |start: &str| notes.iter().any(|note| note.starts_with(start));
    assert!(
        is_noted("f.yaml:11: endpoints[0].alerts[1]: no notifier for `ntfy`"),
        "{notes:?}"
    );
    assert!(
        is_noted("f.yaml:12: endpoints[0].alerts[2]: is not enabled"),
        "{notes:?}"
    );
    assert!(is_noted(
        "f.yaml:3: alerting.slack.webhook-url: is secret; set `SLACK_WEBHOOK_URL`"
    ));
}

#[test]
fn other_kinds_of_endpoints_are_other_types_or_noted() {
    for (keys, wanted) in [
        (
            "url: tcp://db.example:5432\nbody: PING\nconditions: ['[BODY] == pat(*PONG*)', '[RESPONSE_TIME] < 1s']",
            json!({
                "name": "Shop", "type": "TCP", "baseUrl": "db.example:5432", "monitoring": {
                    "interval": "1m", "timeout": "10s",
                    "settings": {"send": "PING", "expect": "PONG", "degradedOver": "1s"},
                },
            }),
        ),
        (
            "url: starttls://mail.example:587\nconditions: ['[CERTIFICATE_EXPIRATION] > 24h']",
            json!({
                "name": "Shop", "type": "SMTP", "baseUrl": "mail.example:587", "monitoring": {
                    "interval": "1m", "timeout": "10s", "settings": {"warnDays": 1},
                },
            }),
        ),
        (
            "url: tls://a.example:636\nconditions: ['[CONNECTED] == true']",
            json!({
                "name": "Shop", "type": "TLS", "baseUrl": "a.example:636", "monitoring": {
                    "interval": "1m", "timeout": "10s", "settings": {"warnDays": 0, "criticalDays": 0},
                },
            }),
        ),
        (
            "url: 8.8.8.8\ndns: {query-name: a.example., query-type: A}\nconditions: ['[DNS_RCODE] == NOERROR', '[BODY] == 1.2.3.4']",
            json!({
                "name": "Shop", "type": "DNS", "baseUrl": "a.example", "monitoring": {
                    "interval": "1m", "timeout": "10s",
                    "settings": {"recordType": "A", "server": "8.8.8.8", "rcode": "NOERROR", "expected": ["1.2.3.4"]},
                },
            }),
        ),
    ] {
        let (service, notes) = service(keys);
        assert_eq!(service, wanted, "{keys}");
        assert_eq!(notes, [""; 0], "{keys}");
    }
    for (keys, wanted) in [
        (
            "url: ssh://a.example:22\nssh: {username: me, password: hunter2}",
            "f.yaml:7: endpoints[0].ssh: no probe for SSH; left out",
        ),
        (
            "url: icmp://a.example",
            "f.yaml:6: endpoints[0].url: no probe for ICMP; one for TCP, at a port that is open, is near; left out",
        ),
        (
            "url: udp://a.example:53",
            "f.yaml:6: endpoints[0].url: no probe for UDP; left out",
        ),
    ] {
        let (service, notes) = service(keys);
        assert_eq!(
            (service, notes),
            (Value::Null, vec![wanted.to_owned()]),
            "{keys}"
        );
    }
}

#[test]
fn windows_and_names_that_come_twice() {
    let text = "maintenance: {start: '23:00', duration: 1h, timezone: Europe/Berlin, every: [Monday, Thursday]}\n\
                endpoints:\n- {name: a, group: x, url: 'https://a', conditions: ['[STATUS] == 200']}\n\
                - name: a\n  group: y\n  url: https://b\n  maintenance-windows: [{start: '01:30', duration: 30m}]\n\
                suites: [{name: s}]\nexternal-endpoints: [{name: e, token: hunter2}]\nweb: {port: 1}\n";
    let imported = imported(Format::Gatus, text);
    let services = &imported.services_file().unwrap()["services"];
    assert_eq!(
        (services[0].get("slug"), &services[1]["slug"]),
        (None, &json!("y-a"))
    );
    let wanted = json!([
        {"name": "a", "match": "service=\"y-a\"", "cron": "30 1 * * *", "duration": "30m"},
        {"name": "maintenance", "cron": "0 23 * * MON,THU", "duration": "1h", "timezone": "Europe/Berlin"},
    ]);
    assert_eq!(imported.alerts_file().unwrap()["maintenance"], wanted);
    assert_eq!((imported.found, imported.carried), (6, 4));
    let notes = notes(&imported);
    for start in [
        "f.yaml:8: suites[0]: has steps that share a context",
        "f.yaml:9: external-endpoints[0]: reports by itself",
        "f.yaml:10: web: has no counterpart; left out",
    ] {
        assert!(
            notes.iter().any(|note| note.starts_with(start)),
            "{start}: {notes:?}"
        );
    }
}
