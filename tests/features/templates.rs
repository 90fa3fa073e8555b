//! Plugins in other languages: the templates are built by the commands of their README, from the package
//! registries, and do their work; all of WASI is there and next to nothing of it is granted.

use std::time::Duration;

use extrack_tests::{
    Api, HangingServer, Inbox, PATIENCE, Project, TargetServer, TestRuntime, Vendor, components,
    refusing_address, wait_for,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::webhooks::sender;

/// Authorization that nginx wants at `/locked/status`.
const API_KEY: &str = "s3cret-k3y";

fn fetch(name: &'static str) -> Project {
    Project::new("javascript", "probe", name).blocks(&[2])
}

/// Six services that use the probe, each in another state.
fn services(probe: &str, up: &str, silent: &str) -> String {
    let gone = refusing_address();
    let key = format!("authentication: {{type: api_key, header: X-API-Key, value: \"{API_KEY}\"}}");
    let service = |name: &str, url: &str, more: &str, settings: &str| {
        let timeout = if name == "silent" { 3_000 } else { 10_000 };
        format!(
            "\n  - {{name: \"{probe} {name}\", baseUrl: \"{url}\", {more}, \
             monitoring: {{probe: {probe}, interval: 86400, timeout: {timeout}, settings: {settings}}}}}"
        )
    };
    [
        service("up", up, "healthEndpoint: /status", "{}"),
        service("locked", up, &key, "{path: /locked/status}"),
        service("shut", up, "type: own", "{path: /locked/status}"),
        service("wrong", up, "type: own", "{path: /status, wanted: up}"),
        service("gone", &format!("http://{gone}"), "type: own", "{}"),
        service("silent", silent, "type: own", "{}"),
    ]
    .concat()
}

/// The accounts of so many checks, which are stored within a second or so.
async fn runs(api: &Api, plugin: &str, count: usize, columns: &str) -> Vec<Vec<Value>> {
    let query = format!(
        "SELECT {columns} FROM plugin_runs WHERE plugin = '{plugin}' AND function = 'check'"
    );
    wait_for(&format!("{count} runs of {plugin}"), PATIENCE, async || {
        let rows = api.sql(&query).await;
        if rows.len() >= count {
            Ok(rows)
        } else {
            Err(format!("{rows:?}"))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_in_javascript_and_python_see_what_is_there() {
    let (nginx, silent) = (TargetServer::start().await, HangingServer::start().await);
    let probes = ["js-probe", "js-fetch", "py-probe"];
    let mut builder = TestRuntime::builder()
        .services(format!(
            "services:{}\n",
            probes
                .map(|probe| services(probe, &nginx.url(), &silent.url()))
                .concat()
        ))
        .plugin(
            "js-probe.wasm",
            Project::new("javascript", "probe", "js-probe")
                .build()
                .await,
        )
        .plugin("js-fetch.wasm", fetch("js-fetch").build().await);
    builder = builder.plugin(
        "py-probe.wasm",
        Project::new("python", "probe", "py-probe").build().await,
    );
    let runtime = builder.start().await;
    let api = runtime.api();
    for probe in probes {
        let found = api.check(&format!("{probe}-up")).await;
        assert_eq!(
            [&found["status"], &found["httpStatus"]],
            [&json!("healthy"), &json!(200)],
            "{found}"
        );
        assert_eq!(found["bytes"], 16, "{found}");
        // The host measured it, whatever the guest called it.
        let phases = &found["phases"];
        let sum: u64 = ["connectUs", "firstByteUs", "bodyUs"]
            .iter()
            .filter_map(|name| phases[name].as_u64())
            .sum();
        assert!(
            phases["connectUs"].is_u64()
                && phases["firstByteUs"].is_u64()
                && phases["tlsUs"].is_null(),
            "{found}"
        );
        assert!(
            found["latencyUs"]
                .as_u64()
                .is_some_and(|latency| latency >= sum && sum > 0),
            "{found}"
        );

        let found = api.check(&format!("{probe}-locked")).await;
        assert_eq!(
            found["status"], "healthy",
            "the credential was sent: {found}"
        );
        for (name, status, kind, error) in [
            (
                "shut",
                "unhealthy",
                "assertion",
                "status is 401, wanted 2xx",
            ),
            (
                "wrong",
                "unhealthy",
                "assertion",
                "`status` is \"ok\", wanted \"up\"",
            ),
            ("gone", "error", "connect", "connection refused"),
            ("silent", "error", "timeout", "waiting for the first byte"),
        ] {
            let found = api.check(&format!("{probe}-{name}")).await;
            assert_eq!(
                [&found["status"], &found["errorKind"]],
                [status, kind],
                "{probe} {name}: {found}"
            );
            assert!(
                found["error"]
                    .as_str()
                    .is_some_and(|text| text.contains(error)),
                "{probe} {name}: {found}"
            );
        }
        // One request is one host call.
        let found = runs(&api, probe, 6, "outcome, host_calls").await;
        assert_eq!(found, vec![vec![json!("ok"), json!(1)]; 6], "{probe}");
        // What it waits is not its CPU time.
        let waited = runs(&api, probe, 6, "duration_us - cpu_us > 1000000").await;
        assert!(waited.contains(&vec![json!(true)]), "{probe}: {waited:?}");
    }
    // Settings are looked at by the plugin, in its own language.
    for probe in probes {
        let spec = json!({
            "name": format!("{probe} blank"), "baseUrl": nginx.url(), "private": true,
            "monitoring": {"probe": probe, "interval": 86400, "settings": {"field": " "}},
        });
        let refused = api
            .post("/api/v1/services", &spec)
            .await
            .expect_problem(422);
        assert!(refused.to_string().contains("is blank"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_and_notifiers_in_javascript_and_python_do_their_work() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    vendor.set_delay("/health", Duration::from_millis(30));
    let services = format!(
        r#"
services:
  - name: "Shop"
    baseUrl: "{}"
    healthEndpoint: /health
    monitoring: {{interval: 1, timeout: 5000}}
    alerts:
      - {{type: js-rule, name: "Slow by JavaScript", slowMs: 10, share: 50}}
      - {{type: py-rule, name: "Slow by Python", slowMs: 10, share: 50}}
      - {{type: py-rule, name: "Never", slowMs: 60000}}
      - {{type: js-clock, name: "Clock"}}
"#,
        vendor.url()
    );
    let alerts = format!(
        r#"
notifications:
  - {{channel: js-notifier, url: "{}", prefix: "js "}}
  - {{channel: py-notifier, url: "{}", prefix: "py "}}
"#,
        inbox.url("/js"),
        inbox.url("/py")
    );
    let mut builder = TestRuntime::builder().services(services).alerts(alerts);
    for (language, kind, name) in [
        ("javascript", "rule", "js-rule"),
        ("javascript", "notifier", "js-notifier"),
        ("python", "rule", "py-rule"),
        ("python", "notifier", "py-notifier"),
    ] {
        builder = builder.plugin(
            &format!("{name}.wasm"),
            Project::new(language, kind, name).build().await,
        );
    }
    let clock = Project::new("javascript", "rule", "js-clock")
        .with_file(
            "src/evaluate.js",
            include_str!("../fixtures/templates/clock-watching.js"),
        )
        .with_file("tests/evaluate.test.js", "");
    let runtime = builder
        .plugin("js-clock.wasm", clock.build().await)
        .start()
        .await;
    let said = |path: &str| -> Vec<String> {
        inbox
            .received(path)
            .iter()
            .map(|one| one.body["text"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    for (path, prefix) in [("/js", "js "), ("/py", "py ")] {
        for wanted in [
            "Slow by JavaScript",
            "Slow by Python",
            "Clock (the clock stands)",
        ] {
            wait_for(&format!("`{wanted}` at {path}"), PATIENCE, async || {
                let said = said(path);
                let found = said.iter().any(|text| {
                    text.starts_with(&format!("{prefix}FIRING "))
                        && text.contains(&format!("Shop: {wanted}"))
                });
                if found {
                    Ok(())
                } else {
                    Err(format!("{said:?}"))
                }
            })
            .await;
        }
    }
    assert!(
        said("/js")
            .iter()
            .any(|text| text.contains("runs took longer than 10 ms, which is ")),
        "{:?}",
        said("/js")
    );
    let api = runtime.api();
    let names: Vec<Value> = api
        .list("/api/v1/alerts")
        .await
        .iter()
        .map(|alert| alert["name"].clone())
        .collect();
    assert!(!names.contains(&json!("Never")), "{names:?}");
    let broken = api
        .sql("SELECT plugin, error FROM plugin_runs WHERE outcome <> 'ok'")
        .await;
    assert!(broken.is_empty(), "{broken:?}");
}

/// Row 20 of a plugin author's first day: `console` was not defined.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_javascript_writes_to_the_console_is_in_the_log_of_the_run() {
    let component = Project::new("javascript", "probe", "js-console")
        .with_file(
            "src/check.js",
            include_str!("../fixtures/templates/console-check.js"),
        )
        .with_file(
            "tests/check.test.js",
            include_str!("../fixtures/templates/empty.js"),
        )
        .build()
        .await;
    let runtime = TestRuntime::builder()
        .services(
            "services: [{name: talks, baseUrl: \"http://127.0.0.1:9\", type: own, \
             monitoring: {probe: js-console, interval: 86400}}]\n",
        )
        .plugin("js-console.wasm", component)
        .start()
        .await;
    let found = runtime.api().check("talks").await;
    assert_eq!(found["status"], "healthy", "{found}");
    let log = runtime.logs();
    for line in [
        "a text ",
        "an object",
        " 7 undefined",
        "plain",
        "doubtful",
        "TypeError: wrong",
    ] {
        assert!(
            log.lines()
                .any(|logged| logged.contains(line) && logged.contains("js-console")),
            "{line} in {log}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_reaches_nothing_but_the_service() {
    let (nginx, elsewhere) = (TargetServer::start().await, Vendor::start().await);
    let component = fetch("js-elsewhere")
        .with_file(
            "src/plugin-fetch.js",
            include_str!("../fixtures/templates/fetch-elsewhere.js"),
        )
        .build()
        .await;
    let service = |name: &str, url: &str, wanted: &str, auth: &str| {
        format!(
            "\n  - {{name: {name}, baseUrl: \"{url}\", authentication: {{type: bearer, token: \"{API_KEY}\"}}, monitoring: \
             {{probe: js-elsewhere, interval: 86400, timeout: 10000, settings: {{wanted: \"{wanted}\", field: \"{auth}\"}}}}}}"
        )
    };
    let local = format!("http://localhost:{}", nginx.port());
    let services = [
        service(
            "allowed",
            &nginx.url(),
            &format!("{}/status", nginx.url()),
            "default",
        ),
        service("other", &local, &format!("{}/x", elsewhere.url()), "none"),
        service(
            "other-with-credential",
            &local,
            &format!("{}/x", elsewhere.url()),
            "default",
        ),
        service(
            "no-such-credential",
            &nginx.url(),
            &format!("{}/status", nginx.url()),
            "spare",
        ),
        service(
            "metadata",
            &local,
            "http://169.254.169.254/latest/meta-data/",
            "none",
        ),
        service(
            "metadata-itself",
            "http://169.254.169.254",
            "http://169.254.169.254/latest/meta-data/",
            "none",
        ),
    ];
    let runtime = TestRuntime::builder()
        .services(format!("services:{}\n", services.concat()))
        .plugin("js-elsewhere.wasm", component)
        .start()
        .await;
    let api = runtime.api();
    let found = api.check("allowed").await;
    assert_eq!(
        [&found["status"], &found["httpStatus"]],
        [&json!("healthy"), &json!(200)],
        "{found}"
    );
    for (name, why) in [
        ("other", "may not connect to `127.0.0.1:"),
        ("other-with-credential", "goes to the service's own host"),
        ("no-such-credential", "no credential `spare`"),
        ("metadata", "may not connect to `169.254.169.254:80`"),
        ("metadata-itself", "which is never allowed"),
    ] {
        let found = api.check(name).await;
        assert_eq!(
            [&found["status"], &found["errorKind"]],
            ["error", "denied"],
            "{name}: {found}"
        );
        assert!(
            found["error"]
                .as_str()
                .is_some_and(|text| text.contains(why)),
            "{name}: {found}"
        );
    }
    assert_eq!(elsewhere.hits("/x"), 0);
    // The guest's own words and the host's reason stand in the log, the credential does not.
    let log = runtime.logs();
    assert!(
        log.contains("it was told: TypeError") && log.contains("which is never allowed"),
        "{log}"
    );
    assert!(!log.contains(API_KEY), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wasi_is_all_there_and_grants_nothing() {
    let nginx = TargetServer::start().await;
    let component = Project::new("python", "probe", "py-trespass")
        .with_file(
            "plugin.py",
            include_str!("../fixtures/templates/trespass.py"),
        )
        .with_file("tests/test_plugin.py", "")
        .build()
        .await;
    let services = format!(
        "services: [{{name: Shop, baseUrl: \"{}\", monitoring: {{probe: py-trespass, interval: 86400, timeout: 10000}}}}]\n",
        nginx.url()
    );
    let runtime = TestRuntime::builder()
        .services(services)
        .plugin("py-trespass.wasm", component)
        .start()
        .await;
    let api = runtime.api();
    let found = api.check("shop").await;
    assert_eq!(found["status"], "healthy", "{found}");
    let metrics = found["metrics"]
        .as_object()
        .expect("it reports what it got");
    for name in [
        "read_a_file",
        "list_a_folder",
        "write_a_file",
        "connect",
        "look_up_a_name",
        "send_a_datagram",
        "listen",
    ] {
        assert!(
            metrics[name]
                .as_str()
                .is_some_and(|got| got.starts_with("refused: ")),
            "{name}: {found}"
        );
    }
    assert_eq!(
        metrics["read_standard_input"], "got nothing there",
        "{found}"
    );
    assert_eq!(metrics["arguments"], "got ", "{found}");
    for variable in ["EXTRACK", "PATH=", "HOME"] {
        assert!(
            !metrics["environment"].as_str().unwrap().contains(variable),
            "{found}"
        );
    }
    for name in ["clock_is_real", "time_passes", "random_is_random"] {
        assert_eq!(metrics[name], true, "{name}: {found}");
    }
    let log = runtime.logs();
    for line in [
        "a line of standard output",
        "a line of standard error, without an end",
    ] {
        assert!(
            log.lines()
                .any(|logged| logged.contains(line) && logged.contains("py-trespass")),
            "{log}"
        );
    }
    let runs = runs(&api, "py-trespass", 1, "log_bytes").await;
    assert_eq!(
        runs,
        [[json!(
            "a line of standard outputa line of standard error, without an end".len()
        )]]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_host_offers_is_refused_with_the_reason() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    for (kind, package, interface, version, reasons) in [
        (
            "probe",
            "wasi:keyvalue",
            "store",
            "0.2.0",
            ["`wasi:keyvalue/store@0.2.0`", "not offered"],
        ),
        (
            "probe",
            "wasi:cli",
            "environment",
            "0.3.0",
            ["`wasi:cli/environment@0.3.0`", "WASI 0.2"],
        ),
        (
            "rule",
            "wasi:http",
            "types",
            "0.2.0",
            ["`wasi:http/types@0.2.0`", "a rule has no network"],
        ),
        // Of the right name, with a function that WASI does not have.
        (
            "notifier",
            "wasi:io",
            "poll",
            "0.2.0",
            ["wasi:io/poll@0.2.0", "does not fit"],
        ),
    ] {
        let component = components::with_import(kind, package, interface, version);
        let refused = api
            .plugin_put("curious", &component)
            .await
            .expect_problem(422);
        let detail = refused["detail"].as_str().unwrap();
        for reason in ["`imports`"].iter().chain(&reasons) {
            assert!(
                detail.contains(reason),
                "{package} {version}: `{reason}` is not in: {detail}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_in_javascript_and_python_tell_the_sender_from_strangers() {
    let vendor = Vendor::start().await;
    let services = format!(
        "services:\n  - name: Shop\n    baseUrl: \"{}\"\n    monitoring: {{interval: 86400}}\n    webhooks: [{}]\n",
        vendor.url(),
        ["js-webhook", "py-webhook"]
            .map(|plugin| format!(
                "{{plugin: {plugin}, settings: {{secret: \"${{STANDARD_SECRET}}\"}}}}"
            ))
            .join(", ")
    );
    let runtime = TestRuntime::builder()
        .services(services)
        .env("STANDARD_SECRET", sender::secret("STANDARD_SECRET"))
        .plugin(
            "js-webhook.wasm",
            Project::new("javascript", "webhook", "js-webhook")
                .build()
                .await,
        )
        .plugin(
            "py-webhook.wasm",
            Project::new("python", "webhook", "py-webhook")
                .build()
                .await,
        )
        .start()
        .await;
    let (api, anyone) = (runtime.api(), runtime.api().anonymous());
    let post = async |plugin: &str, headers: &[(&str, String)], body: &str| {
        let mut request = anyone.request(Method::POST, &format!("/webhooks/shop/{plugin}"));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        anyone.send(request.body(body.to_owned())).await
    };
    for plugin in ["js-webhook", "py-webhook"] {
        let outage = format!(r#"{{"type": "outage.started", "data": {{"by": "{plugin}"}}}}"#);
        let signed = sender::standard("STANDARD_SECRET", plugin, &outage, sender::now_s());
        assert_eq!(
            post(plugin, &signed, &outage).await.expect(200)["events"],
            1
        );
        // Changed on its way, and signed but of no use.
        post(plugin, &signed, &outage.replace("started", "ended"))
            .await
            .expect_problem(401);
        let empty = sender::standard("STANDARD_SECRET", "empty", "{}", sender::now_s());
        post(plugin, &empty, "{}").await.expect_problem(400);
    }
    let events = api.list("/api/v1/services/shop/events").await;
    let mut told: Vec<(Value, Value)> = events
        .iter()
        .map(|event| (event["plugin"].clone(), event["payload"]["by"].clone()))
        .collect();
    told.sort_by_key(|(plugin, _)| plugin.to_string());
    assert_eq!(
        told,
        ["js-webhook", "py-webhook"].map(|plugin| (json!(plugin), json!(plugin))),
        "{events:?}"
    );
}
