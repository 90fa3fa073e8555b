use serde_json::{Value, json};

use crate::import::testing::{imported, notes};
use crate::import::{Format, Imported, import};

const PROMETHEUS: &str = "\
global: {scrape_interval: 30s}
scrape_configs:
  - job_name: node
    static_configs: [{targets: ['localhost:9100']}]
  - job_name: web
    metrics_path: /probe
    scrape_timeout: 4s
    params: {module: [m]}
    static_configs:
      - targets: [a.example, 'https://b.example/x']
        labels: {region: eu, __param_x: y}
    file_sd_configs: [{files: ['*.json']}]
";

fn with_targets(module: &str) -> Imported {
    let text = format!("modules:\n  m:\n    {}\n", module.replace('\n', "\n    "));
    let file = Format::Blackbox.parse("f.yaml", &text).unwrap();
    let targets = Format::Blackbox.parse("p.yaml", PROMETHEUS).unwrap();
    import(Format::Blackbox, &file, Some(&targets))
}

fn services(imported: &Imported) -> Value {
    let services = imported.services_file().unwrap_or_default();
    services.get("services").cloned().unwrap_or_default()
}

/// Returns the settings of a module of HTTP, and the notes but those about targets.
fn http(settings: &str) -> (Value, Vec<String>) {
    let settings = settings.replace('\n', "\n      ");
    let imported = imported(
        Format::Blackbox,
        &format!("modules:\n  m:\n    prober: http\n    http:\n      {settings}\n"),
    );
    let mut notes = notes(&imported);
    notes.retain(|note| !note.contains("has no target"));
    (services(&imported)[0].clone(), notes)
}

#[test]
fn targets_of_prometheus_are_services_of_their_module() {
    let imported =
        with_targets("prober: http\ntimeout: 5s\nhttp: {valid_status_codes: [200, 204]}");
    let wanted = json!([
        {
            "name": "a.example", "type": "HTTP", "baseUrl": "http://a.example",
            "monitoring": {"interval": "30s", "timeout": "4s", "expectedStatus": [200, 204]},
            "tags": ["web"], "labels": {"region": "eu"},
        },
        {
            "name": "https://b.example/x", "type": "HTTP", "baseUrl": "https://b.example", "healthEndpoint": "/x",
            "monitoring": {"interval": "30s", "timeout": "4s", "expectedStatus": [200, 204]},
            "tags": ["web"], "labels": {"region": "eu"},
        },
    ]);
    assert_eq!(services(&imported), wanted);
    assert_eq!((imported.found, imported.carried), (2, 2));
    let notes = notes(&imported);
    for note in [
        "p.yaml:3: scrape_configs[0]: is no job of the blackbox exporter; left out",
        "p.yaml:11: scrape_configs[1].static_configs[0].labels.__param_x: is no label that a service can have; left out",
        "p.yaml:12: scrape_configs[1].file_sd_configs: no targets are discovered; left out",
    ] {
        assert!(notes.iter().any(|found| found == note), "{note}: {notes:?}");
    }
}

#[test]
fn a_module_without_targets_has_a_variable() {
    let imported = imported(
        Format::Blackbox,
        "modules:\n  a-b: {prober: tcp}\n  dns: {prober: dns, dns: {query_name: a.example, query_type: SOA}}\n  icmp: {prober: icmp}\n",
    );
    let wanted = json!([
        {"name": "a-b", "type": "TCP", "baseUrl": "${A_B_TARGET}"},
        {
            "name": "dns", "type": "DNS", "baseUrl": "a.example",
            "monitoring": {"settings": {"recordType": "SOA", "server": "${DNS_TARGET}"}},
        },
    ]);
    assert_eq!(services(&imported), wanted);
    let names: Vec<_> = imported
        .variables
        .iter()
        .map(|variable| variable.name.as_str())
        .collect();
    assert_eq!(names, ["A_B_TARGET", "DNS_TARGET"]);
    let notes = notes(&imported);
    assert!(
        notes[0].starts_with("f.yaml:4: modules.icmp.prober: no probe for ICMP"),
        "{notes:?}"
    );
    assert_eq!((imported.found, imported.carried), (3, 2));
}

#[test]
fn assertions_on_bodies_and_headers_are_in_cel() {
    let (service, notes) = http(
        "fail_if_body_matches_regexp: ['no \\d+']\nfail_if_body_not_matches_regexp: ['Up']\n\
         fail_if_header_matches: [{header: Set-Cookie, regexp: '.*', allow_missing: true}]\n\
         fail_if_header_not_matches: [{header: Origin, regexp: '(\\*|a)'}]",
    );
    let wanted = json!([
        {"cel": "!body.matches('no \\\\d+')"},
        {"cel": "body.matches('Up')"},
        {"cel": "!('set-cookie' in headers) || !headers['set-cookie'].matches('.*')"},
        {"cel": "'origin' in headers && headers['origin'].matches('(\\\\*|a)')"},
    ]);
    assert_eq!(service["monitoring"]["settings"]["assertions"], wanted);
    assert_eq!(notes, [""; 0]);
    let (service, notes) = http("fail_if_body_json_not_matches_cel: \"body.foo == 'body'\"");
    let wanted = json!([{"cel": "json.foo == 'body'"}]);
    assert_eq!(service["monitoring"]["settings"]["assertions"], wanted);
    assert!(
        notes[0].contains("see that it means the same here"),
        "{notes:?}"
    );
}

#[test]
fn credentials_are_variables_and_what_has_no_counterpart_is_noted() {
    for (settings, wanted) in [
        (
            "basic_auth: {username: me, password: hunter2}",
            json!({"type": "basic", "username": "me", "password": "${M_PASSWORD}"}),
        ),
        (
            "authorization: {credentials_file: /run/token}",
            json!({"type": "bearer", "token": "${M_TOKEN}"}),
        ),
        (
            "oauth2: {client_id: a, client_secret: hunter2, token_url: 'https://t/x', scopes: [b]}",
            json!({
                "type": "oauth2", "tokenUrl": "https://t/x", "clientId": "a", "clientSecret": "${M_CLIENT_SECRET}",
                "scopes": ["b"],
            }),
        ),
    ] {
        let (service, notes) = http(settings);
        assert_eq!(service["authentication"], wanted);
        assert!(
            !format!("{service}{notes:?}").contains("hunter2"),
            "{notes:?}"
        );
    }
    let (_, notes) = http("authorization: {credentials_file: /run/token}");
    let wanted = "f.yaml:5: modules.m.http.authorization.credentials_file: is read from a file; set `M_TOKEN_FILE` to `/run/token`";
    assert_eq!(notes, [wanted]);
    let (service, notes) = http(
        "proxy_url: http://p\ntls_config: {insecure_skip_verify: true, ca_file: /x}\nbody_size_limit: 1MB",
    );
    assert_eq!(
        service["monitoring"]["settings"],
        json!({"insecure": true, "maxBodyBytes": 1_048_576})
    );
    assert_eq!(
        notes,
        [
            "f.yaml:6: modules.m.http.tls_config.ca_file: has no counterpart; left out",
            "f.yaml:5: modules.m.http.proxy_url: has no counterpart; left out",
        ]
    );
}

#[test]
fn conversations_are_carried_over_as_far_as_a_probe_has_them() {
    for (module, kind, settings, note) in [
        (
            "prober: tcp\ntcp: {query_response: [{expect: '^SSH-2.0-'}]}",
            "TCP",
            json!({"expect": "SSH-2.0-"}),
            "",
        ),
        (
            "prober: tcp\ntcp: {query_response: [{send: PING}, {expect: PONG}]}",
            "TCP",
            json!({"send": "PING\n", "expect": "PONG"}),
            "",
        ),
        (
            "prober: tcp\ntcp: {tls: true, tls_config: {insecure_skip_verify: true}}",
            "TLS",
            json!({"warnDays": 0, "allowUntrusted": true}),
            "",
        ),
        (
            "prober: tcp\ntcp: {query_response: [{expect: '^220 '}, {send: EHLO x}, {starttls: true}, {expect: '^250-AUTH PLAIN'}]}",
            "SMTP",
            json!({"warnDays": 0, "auth": ["PLAIN"]}),
            "",
        ),
        (
            "prober: tcp\ntcp: {query_response: [{expect: 'PING :([^ ]+)', send: 'PONG ${1}'}]}",
            "TCP",
            Value::Null,
            "is more than one text sent and one plain text expected",
        ),
        (
            "prober: grpc\ngrpc: {service: a.B, tls: true, metadata: {Key: [hunter2]}}",
            "gRPC",
            json!({"tls": true, "service": "a.B", "metadata": {"key": "${M_KEY}"}}),
            "is secret",
        ),
        (
            "prober: websocket\nwebsocket: {headers: {A: b}, query_response: [{expect: '^Welcome'}]}",
            "WebSocket",
            json!({"headers": {"A": "b"}, "expect": "Welcome"}),
            "",
        ),
    ] {
        let imported = with_targets(module);
        let service = services(&imported)[0].clone();
        assert_eq!(service["type"], kind, "{module}");
        let found = service["monitoring"]
            .get("settings")
            .cloned()
            .unwrap_or_default();
        assert_eq!(found, settings, "{module}");
        let notes: Vec<String> = notes(&imported)
            .into_iter()
            .filter(|note| note.starts_with("f.yaml"))
            .collect();
        assert_eq!(notes.is_empty(), note.is_empty(), "{module}: {notes:?}");
        assert!(notes.iter().all(|found| found.contains(note)), "{notes:?}");
    }
}
