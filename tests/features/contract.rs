//! Plugins that were built against a published contract go on working: components that are kept from
//! then are run in the program of today, and its text may grow only where they notice nothing.

use std::path::{Path, PathBuf};

use extrack_tests::{
    Api, Authority, DnsServer, Inbox, Mailbox, PATIENCE, TargetServer, TestRuntime, Vendor,
    contract, wait_for,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::webhooks::sender::github_with;

/// `tests/fixtures/contract/README.md` describes what is kept there.
fn published(name: &str) -> PathBuf {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/contract/0.2.0"
    ))
    .join(name)
}

fn component(kind: &str) -> Vec<u8> {
    std::fs::read(published(&format!("{kind}.wasm"))).expect("published components are kept")
}

#[test]
fn nothing_of_the_published_contract_was_removed_or_changed() {
    let current = contract::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../wit")));
    assert_eq!(
        contract::breaks(&contract::read(&published("wit")), &current),
        Vec::<String>::new()
    );
}

/// A small contract with one of each thing that can change.
const SAMPLE: &str = r"
package external-tracking:plugin@0.2.0;

interface types {
  record entry { key: string, value: string }
  record fault { path: string, message: string }
  enum error-kind { dns, tls, timeout }
  variant net-error { connect(string), too-large(string), }
}

interface history {
  record sample { ts-ms: u64, latency-us: option<u64>, http-status: option<u16> }
  latest: func() -> option<sample>;
}

interface clock {
  now-ms: func() -> u64;
  monotonic-us: func() -> u64;
}

interface random {
  /// Random bytes, at most 4,096.
  bytes: func(count: u32) -> list<u8>;
}

interface tcp {
  use types.{net-error};
  resource connection {
    read: func(max: u32) -> result<list<u8>, net-error>;
  }
}

interface probes {
  use types.{entry, error-kind, fault};
  record context { settings: string, timeout-ms: u64, attributes: list<entry> }
  variant probe-error { settings(fault), failed(error-kind) }
  check: func(ctx: context) -> result<_, probe-error>;
}

world probe {
  import tcp;
  import clock;
  import random;
  export probes;
}

world rule {
  import history;
  import clock;
  export probes;
}
";

/// A name, a text, its replacement, and the break that is reported, if any.
type Change = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
);

#[test]
fn changes_that_break_plugins_are_noticed_and_others_are_not() {
    let old = SAMPLE;
    let changes: [Change; 19] = [
        (
            "a field more",
            " key: string,",
            " key: string, unit: string,",
            Some("type types/entry was"),
        ),
        (
            "a field less",
            "latency-us: option<u64>, http-status",
            "http-status",
            Some("type history/sample was"),
        ),
        (
            "fields in another order",
            "path: string, message: string",
            "message: string, path: string",
            Some("types/fault"),
        ),
        (
            "a field of another type",
            "timeout-ms: u64",
            "timeout-ms: u32",
            Some("type probes/context was"),
        ),
        (
            "a case more",
            "too-large(string),",
            "too-large(string), throttled,",
            Some("type types/net-error was"),
        ),
        (
            "a case less",
            "tls, timeout",
            "timeout",
            Some("type types/error-kind was"),
        ),
        (
            "a type by another name",
            "net-error",
            "net-fault",
            Some("type types/net-error is gone"),
        ),
        (
            "a function gone",
            "now-ms: func() -> u64;",
            "",
            Some("function clock/now-ms is gone"),
        ),
        (
            "another result",
            "monotonic-us: func() -> u64",
            "monotonic-us: func() -> s64",
            Some("clock/monotonic-us was"),
        ),
        (
            "another parameter",
            "bytes: func(count: u32)",
            "bytes: func(count: u64)",
            Some("function random/bytes was"),
        ),
        (
            "a method's parameter",
            "read: func(max: u32)",
            "read: func(max: u64)",
            Some("[method]connection.read was"),
        ),
        (
            "an import gone",
            "  import history;\n",
            "",
            Some("import history of world rule is gone"),
        ),
        (
            "an export more",
            "export probes;",
            "export probes; export extras;",
            Some("exports of world probe was"),
        ),
        (
            "a function more to export",
            "check: func(ctx: context)",
            "warm-up: func(); check: func(ctx: context)",
            Some("probes/warm-up is asked of plugins"),
        ),
        (
            "another package",
            "package external-tracking:plugin@0.2.0",
            "package external-tracking:plugin@0.3.0",
            Some("package"),
        ),
        (
            "a later patch of the package",
            "plugin@0.2.0",
            "plugin@0.2.7",
            None,
        ),
        (
            "a function more to import",
            "now-ms: func() -> u64;",
            "now-ms: func() -> u64; zone: func() -> string;",
            None,
        ),
        (
            "an import more",
            "world rule {",
            "world rule { import extras;",
            None,
        ),
        (
            "other words",
            "/// Random bytes, at most 4,096.",
            "/// At most 4,096 bytes.",
            None,
        ),
    ];
    for (what, from, to, wanted) in changes {
        assert!(
            old.contains(from),
            "{what}: `{from}` is not in the contract"
        );
        let new = format!(
            "{}\ninterface extras {{ more: func(); }}\n",
            old.replace(from, to)
        );
        let breaks = contract::breaks(old, &new);
        match wanted {
            Some(wanted) => assert!(
                breaks.iter().any(|found| found.contains(wanted)),
                "{what}: {breaks:?}"
            ),
            None => assert!(breaks.is_empty(), "{what}: {breaks:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_of_the_published_contract_runs_with_every_import() {
    let dns = DnsServer::start().await;
    let identity = Authority::new("Nobody's").sign(&["shop.test", "127.0.0.1"], -2, 30);
    let (nginx, tls) = (
        TargetServer::start().await,
        TargetServer::start_tls(&identity).await,
    );
    let services = format!(
        r#"
services:
  - name: "Shop API"
    type: own
    baseUrl: "{}"
    healthEndpoint: /health
    authentication: {{type: api_key, header: X-API-Key, value: s3cret-k3y}}
    monitoring:
      probe: contract-probe
      interval: 86400
      timeout: 8000
      settings: {{path: /locked, dnsServer: "{}", tlsAddress: "{}"}}
"#,
        nginx.url(),
        dns.address(),
        tls.address()
    );
    let runtime = TestRuntime::builder()
        .services(services)
        .plugin("old.wasm", component("probe"))
        .start()
        .await;
    let api = runtime.api();
    let before_ms = jiff::Timestamp::now().as_millisecond();
    let found = api.check("shop-api").await;
    assert_eq!(
        [&found["status"], &found["error"]],
        [&json!("healthy"), &Value::Null],
        "{found}"
    );
    assert_eq!(
        [&found["httpStatus"], &found["pluginVersion"]],
        [&json!(200), &json!("1.0.0")],
        "{found}"
    );
    let mut metrics = found["metrics"]
        .as_object()
        .expect("metrics are an object")
        .clone();
    let now_ms = metrics
        .remove("now_ms")
        .and_then(|value| value.as_i64())
        .expect("the clock answered");
    assert!(
        (before_ms..before_ms + 60_000).contains(&now_ms),
        "{now_ms} is not about {before_ms}"
    );
    let protocol = metrics.remove("tls_protocol");
    assert!(
        protocol == Some(json!("TLSv1.2")) || protocol == Some(json!("TLSv1.3")),
        "{protocol:?}"
    );
    assert_eq!(
        Value::from(metrics),
        json!({
            "service": "shop-api Shop API",
            "attributes": "type health-endpoint",
            "credentials": "default",
            "timeout_ms": 8000,
            "previous": "none",
            "http_version": "HTTP/1.1",
            // Four bytes were asked for; the fourth could be the first of the key in base64, and is kept back.
            "http_body": "wel",
            "http_truncated": true,
            "http_has_type": true,
            "http_peer": nginx.address().to_string(),
            "http_certificate": false,
            "http_phases": true,
            "http_elsewhere": "denied",
            "http_trailers": 0,
            "http_joined": true,
            "http_both": "200 denied",
            "tcp_answer": "HTTP/1.1 200",
            "tcp_peer": true,
            "tcp_phases": true,
            "udp_peer": true,
            "udp_silent": true,
            "dns": "NOERROR A 192.0.2.10",
            "dns_server": true,
            "tls_cipher": true,
            "tls_untrusted": true,
            "tls_names": "shop.test 127.0.0.1",
            "tls_valid": true,
            "cel": "5",
            "cel_good": true,
            "cel_bad": true,
            "monotonic": true,
            "random": true,
            "half": 0.5,
            "secrets": true,
            "features": true,
        })
    );
    assert_eq!(
        api.check("shop-api").await["metrics"]["previous"],
        "Status::Healthy"
    );
    assert!(
        runtime.logs().contains("contract-probe was here"),
        "its log line is not there"
    );
    // Its own check of settings, which no schema knows.
    let refused = json!({
        "name": "Other", "type": "own", "baseUrl": nginx.url(), "private": true,
        "monitoring": {"probe": "contract-probe", "settings": {"path": "locked", "dnsServer": "a", "tlsAddress": "b"}},
    });
    let refused = api
        .post("/api/v1/services", &refused)
        .await
        .expect_problem(422);
    assert!(
        refused.to_string().contains("has to begin with `/`"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_of_the_published_contract_runs_with_every_import() {
    const SECRET: &str = "a-secret-of-the-sender";
    let vendor = Vendor::start().await;
    let services = format!(
        r#"
services:
  - name: Shop
    baseUrl: "{}"
    monitoring: {{interval: 86400}}
    webhooks: [{{plugin: contract-webhook, name: old, settings: {{secret: "{SECRET}", report: status}}}}]
"#,
        vendor.url()
    );
    let runtime = TestRuntime::builder()
        .services(services)
        .plugin("webhook.wasm", component("webhook"))
        .start()
        .await;
    let api = runtime.api();
    let deliver = async |secret: &str| {
        let body = json!({"id": "e-1", "kind": "outage", "down": true}).to_string();
        let anonymous = api.anonymous();
        let mut request = anonymous.request(Method::POST, "/webhooks/shop/old?a=b");
        for (name, value) in github_with(secret, &body, "d-1", "outage") {
            request = request.header(name, value);
        }
        anonymous.send(request.body(body)).await
    };
    let refused = deliver("of-a-stranger").await;
    assert_eq!(refused.status, 401, "{}", refused.text);
    let taken = deliver(SECRET).await;
    assert_eq!((taken.status, taken.text.as_str()), (200, "taken"));
    let events = api
        .sql("SELECT kind, attributes->>'report', payload FROM events")
        .await;
    assert_eq!([&events[0][0], &events[0][1]], ["outage", "status"]);
    let answers = match &events[0][2] {
        Value::String(text) => serde_json::from_str(text).expect("the payload is JSON"),
        other => other.clone(),
    };
    for (name, wanted) in [
        ("method", json!("POST")),
        ("query", json!("a=b")),
        ("elsewhere", json!(true)),
        ("cel", json!("5")),
        ("clock", json!(true)),
        ("random", json!(8)),
        ("features", json!(true)),
        ("secretBytes", json!(SECRET.len())),
    ] {
        assert_eq!(answers[name], wanted, "{name} in {answers}");
    }
    wait_for("the report to be the status", PATIENCE, async || {
        let service = api.get("/api/v1/services/shop").await.expect(200);
        if service["status"] == "unhealthy" {
            Ok(())
        } else {
            Err(service.to_string())
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_and_a_notifier_of_the_published_contract_run_with_every_import() {
    let (vendor, inbox, mailbox) = (
        Vendor::start().await,
        Inbox::start().await,
        Mailbox::start().await,
    );
    let services = format!(
        "services:\n  - {{name: \"Shop API\", baseUrl: \"{}\", healthEndpoint: /health, monitoring: {{interval: 1, timeout: 5000}}}}\n",
        vendor.url()
    );
    let alerts = format!(
        r#"
alerts:
  - name: "Old Rule"
    type: contract-rule
    breach: "failures >= 3"
    windowMs: 600000
    severity: critical
    notifications:
      - {{channel: contract-notifier, name: old, url: "{}", token: "t0ken-of-the-hook", recipient: "ops@company.com"}}
"#,
        inbox.url("/hook")
    );
    let runtime = TestRuntime::builder()
        .services(services)
        .alerts(alerts)
        // Its setting has no mark of a mail address.
        .plugins_yaml("plugins: {contract-notifier: {grants: {mail: [company.com]}}}\n")
        .plugin("rule.wasm", component("rule"))
        .plugin("notifier.wasm", component("notifier"))
        .env("SMTP_HOST", "127.0.0.1")
        .env("SMTP_PORT", mailbox.port().to_string())
        .env("SMTP_TLS", "none")
        .env("SMTP_FROM", "extrack@company.com")
        .start()
        .await;
    let api = runtime.api();
    wait_for_runs(&api, "healthy", 2).await;
    vendor.set_status("/health", 500);
    let firing = message(&inbox, "firing").await;
    let summary = "shop-api: 3 failures in a row, the latest `Status::Unhealthy` with Some(500) by `http` at `local`, all seen";
    let alert = &firing["alerts"][0];
    assert_eq!(alert["summary"], summary, "{firing}");
    assert_eq!(
        [&alert["name"], &alert["service"], &alert["serviceName"]],
        ["Old Rule", "shop-api", "Shop API"]
    );
    assert_eq!(
        [&alert["severity"], &alert["status"]],
        ["critical", "firing"]
    );
    assert_eq!(
        [&alert["ended"], &firing["monotonic"]],
        [&json!(false), &json!(true)]
    );
    assert_eq!(
        [&firing["receiver"], &firing["attempt"], &firing["random"]],
        [&json!("old"), &json!(1), &json!(8)]
    );
    let open = api.list("/api/v1/alerts").await;
    assert_eq!(
        [&open[0]["value"], &open[0]["wanted"]],
        [&json!(3.0), &json!(0.0)],
        "{open:?}"
    );

    vendor.set_status("/health", 200);
    let resolved = message(&inbox, "resolved").await;
    assert_eq!(resolved["alerts"][0]["ended"], true, "{resolved}");
    let sent = inbox.received("/hook");
    assert!(
        sent.iter()
            .all(|one| one.headers["x-token"] == "t0ken-of-the-hook"),
        "{sent:?}"
    );
    wait_for("both mails", PATIENCE, async || {
        let subjects: Vec<_> = mailbox
            .mails()
            .iter()
            .filter_map(|mail| mail.header("Subject"))
            .collect();
        if subjects == ["contract: firing", "contract: resolved"] {
            Ok(())
        } else {
            Err(format!("{subjects:?}"))
        }
    })
    .await;
    let broken = api
        .sql("SELECT plugin, function, outcome, error FROM plugin_runs WHERE outcome <> 'ok'")
        .await;
    assert!(broken.is_empty(), "{broken:?}");
    assert!(
        runtime.logs().contains("contract-notifier was here"),
        "its log line is not there"
    );
    for (plugin, wanted) in [
        (
            "contract-rule",
            ["check-settings", "evaluate", "look-back"].as_slice(),
        ),
        ("contract-notifier", &["check-settings", "notify"]),
    ] {
        let query = format!(
            "SELECT DISTINCT function FROM plugin_runs WHERE plugin = '{plugin}' ORDER BY function"
        );
        wait_for(
            &format!("the functions of {plugin}"),
            PATIENCE,
            async || {
                let functions = api.sql(&query).await;
                let is_all = functions
                    .iter()
                    .map(|row| row[0].as_str().unwrap())
                    .eq(wanted.iter().copied());
                if is_all {
                    Ok(())
                } else {
                    Err(format!("{functions:?}"))
                }
            },
        )
        .await;
    }
}

async fn wait_for_runs(api: &Api, status: &str, wanted: i64) {
    let query = format!("SELECT count(*) FROM observations WHERE status = '{status}'");
    wait_for(&format!("{wanted} {status} runs"), PATIENCE, async || {
        let runs = api.sql_count(&query).await;
        if runs >= wanted {
            Ok(())
        } else {
            Err(format!("{runs} runs"))
        }
    })
    .await;
}

async fn message(inbox: &Inbox, status: &str) -> Value {
    wait_for(&format!("the message `{status}`"), PATIENCE, async || {
        let received = inbox.received("/hook");
        let found = received
            .iter()
            .find(|message| message.body["status"] == status);
        found
            .map(|message| message.body.clone())
            .ok_or_else(|| format!("{received:?}"))
    })
    .await
}
