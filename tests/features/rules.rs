//! The bundled rules over real answers: what the headers, the certificates and the silence of
//! services lead to.

use extrack_tests::{Api, Authority, Inbox, PATIENCE, TargetServer, TestRuntime, Vendor, wait_for};
use serde_json::{Value, json};

/// A service that is looked at every second.
fn service(name: &str, base_url: &str, more: &str) -> String {
    format!(
        "  - {{name: {name}, type: REST, baseUrl: \"{base_url}\", monitoring: {{interval: 1, timeout: 5000{more}}}}}\n"
    )
}

async fn wait_for_alert(api: &Api, name: &str, state: &str) -> Value {
    wait_for(
        &format!("alert `{name}` that is {state}"),
        PATIENCE,
        async || {
            let alerts = api.list("/api/v1/alerts").await;
            let found = alerts
                .iter()
                .find(|alert| alert["name"] == name && alert["state"] == state);
            found.cloned().ok_or_else(|| format!("{alerts:?}"))
        },
    )
    .await
}

fn summary(alert: &Value) -> &str {
    alert["summary"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_of_a_rate_limit_is_read_from_headers_kept_and_alerted_on() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let left = |remaining: &str| {
        let headers = [
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-reset", "600"),
            ("x-ratelimit-resource", "core"),
        ];
        vendor.set_headers("/limited", &headers);
    };
    left("4000");
    let services = service("Limited", &vendor.url(), ", settings: {path: /limited}");
    let alerts = format!(
        "alerts:\n  - {{name: Quota, type: rate_limit, threshold: 10, severity: critical, \
         notifications: [{{channel: webhook, url: \"{}\"}}]}}\n",
        inbox.url("/hook")
    );
    let runtime = TestRuntime::builder()
        .services(format!("services:\n{services}"))
        .alerts(alerts)
        .start()
        .await;
    let api = runtime.api();
    wait_for("rows of the limit", PATIENCE, async || {
        let rows = api
            .sql_count("SELECT count(*) FROM rate_limits WHERE remaining = 4000")
            .await;
        if rows >= 2 {
            Ok(())
        } else {
            Err(format!("{rows} rows"))
        }
    })
    .await;
    assert_eq!(api.list("/api/v1/alerts").await, Vec::<Value>::new());
    let row = &api
        .sql("SELECT service, probe, host, name, quota, remaining_percent, epoch(reset_ts) - epoch(ts) FROM rate_limits LIMIT 1")
        .await[0];
    let host = vendor.url().replace("http://", "");
    assert_eq!(
        row[..6],
        [
            json!("limited"),
            json!("http"),
            json!(host),
            json!("core"),
            json!(5000),
            json!(80.0)
        ]
    );
    assert_eq!(row[6].as_f64().map(f64::round), Some(600.0), "{row:?}");

    left("412");
    let firing = wait_for_alert(&api, "Quota", "firing").await;
    assert!(
        summary(&firing).starts_with(&format!(
            "rate limit `core` of {host} has 412 of 5000 left (8.2 %), wanted at least 10 %"
        )),
        "{firing}"
    );
    left("4999");
    wait_for_alert(&api, "Quota", "resolved").await;
    wait_for("both messages", PATIENCE, async || {
        let received = inbox.received("/hook");
        if received.len() == 2 {
            Ok(())
        } else {
            Err(format!("{received:?}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_and_the_budget_they_burn_are_counted_by_windows() {
    let vendor = Vendor::start().await;
    let services = service("Flaky", &vendor.url(), ", settings: {path: /flaky}");
    let alerts = r#"
alerts:
  - {name: Errors, type: error_rate, threshold: 20, window: 5s, minSamples: 2, notifications: []}
  - name: Burning
    type: burn_rate
    objective: 99
    period: 1d
    windows: [{factor: 1, long: 1m, short: 5s}]
    notifications: []
  - {name: Both, condition: "failures('10s') > 1 && probes['http'].status == 'unhealthy'", notifications: []}
"#;
    let runtime = TestRuntime::builder()
        .services(format!("services:\n{services}"))
        .alerts(alerts)
        .start()
        .await;
    let api = runtime.api();
    wait_for("two runs", PATIENCE, async || {
        let runs = api
            .sql_count("SELECT count(*) FROM observations WHERE status = 'healthy'")
            .await;
        if runs >= 2 {
            Ok(())
        } else {
            Err(format!("{runs} runs"))
        }
    })
    .await;
    assert_eq!(api.list("/api/v1/alerts").await, Vec::<Value>::new());
    vendor.set_status("/flaky", 503);
    let errors = wait_for_alert(&api, "Errors", "firing").await;
    assert!(
        summary(&errors).contains("of runs over 5s failed (")
            && summary(&errors).ends_with("wanted at most 20 %"),
        "{errors}"
    );
    let burning = wait_for_alert(&api, "Burning", "firing").await;
    assert!(
        summary(&burning).starts_with("error budget of 99 % over 1d burns "),
        "{burning}"
    );
    assert!(summary(&burning).contains("of it is left"), "{burning}");
    let both = wait_for_alert(&api, "Both", "firing").await;
    assert!(
        summary(&both).contains("probe http is `unhealthy`")
            && summary(&both).contains("failures('10s') is "),
        "{both}"
    );
    vendor.set_status("/flaky", 200);
    for name in ["Errors", "Burning", "Both"] {
        wait_for_alert(&api, name, "resolved").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_end_and_services_that_are_silent_are_told() {
    let authority = Authority::new("Stranger");
    let soon = TargetServer::start_tls(&authority.sign(&["localhost", "127.0.0.1"], -80, 6)).await;
    let nginx = TargetServer::start().await;
    let secure = format!(
        "  - {{name: Secure, type: TLS, baseUrl: \"localhost:{}\", monitoring: {{interval: 1, timeout: 5000, \
         settings: {{allowUntrusted: true}}}}}}\n",
        soon.port()
    );
    // Its only probe is due at some moment of the day.
    let quiet = format!(
        "  - {{name: Quiet, type: REST, baseUrl: \"{}\", healthEndpoint: /health, monitoring: {{interval: 86400}}}}\n",
        nginx.url()
    );
    let strange = format!(
        "  - {{name: Strange, type: TLS, baseUrl: \"localhost:{}\", monitoring: {{interval: 1, timeout: 5000}}}}\n",
        soon.port()
    );
    let alerts = r#"
alerts:
  - {name: Ends, type: certificate, services: [secure], notifications: []}
  - {name: Untrusted, type: certificate, threshold: 1, services: [strange], notifications: []}
  - {name: Silent, type: absence, window: 3s, services: [quiet], notifications: []}
"#;
    let runtime = TestRuntime::builder()
        .services(format!("services:\n{secure}{quiet}{strange}"))
        .alerts(alerts)
        .start()
        .await;
    let api = runtime.api();
    let ends = wait_for_alert(&api, "Ends", "firing").await;
    assert!(
        summary(&ends).starts_with(
            "the certificate that probe `tls` saw has 5 days left, wanted at least 14"
        ) || summary(&ends).starts_with(
            "the certificate that probe `tls` saw has 6 days left, wanted at least 14"
        ),
        "{ends}"
    );
    let untrusted = wait_for_alert(&api, "Untrusted", "firing").await;
    assert!(
        summary(&untrusted).starts_with("probe `tls` says: certificate is not trusted"),
        "{untrusted}"
    );
    let silent = wait_for_alert(&api, "Silent", "firing").await;
    assert!(
        summary(&silent).starts_with("nothing heard for "),
        "{silent}"
    );
    assert!(
        summary(&silent).ends_with("or longer, wanted every 3s"),
        "{silent}"
    );
    // Data at last.
    assert_eq!(api.check("quiet").await["status"], "healthy");
    let heard = wait_for_alert(&api, "Silent", "resolved").await;
    assert_eq!(heard["id"], silent["id"]);
}
