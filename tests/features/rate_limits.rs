//! Rate limits of a service: read from its answers, kept for each credential, and forecast.

use extrack_tests::{Api, PATIENCE, TestRuntime, Vendor, wait_for};
use serde_json::{Value, json};

/// A service whose main probe looks every second.
fn service(name: &str, base_url: &str, more: &str) -> String {
    format!(
        "services:\n  - name: {name}\n    baseUrl: \"{base_url}\"\n    healthEndpoint: /limited\n    \
         monitoring: {{interval: 1, timeout: 5000}}\n{more}"
    )
}

/// Waits until the limits of a service look as wanted, and returns them.
async fn limits(api: &Api, slug: &str, is_wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let path = format!("/api/v1/services/{slug}/rate-limits");
    wait_for("rate limits", PATIENCE, async || {
        let body = api.get(&path).await.expect(200);
        assert_eq!(body["service"], slug);
        let found = body["limits"].as_array().cloned().unwrap_or_default();
        if is_wanted(&found) {
            Ok(found)
        } else {
            Err(body.to_string())
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_shown_with_what_is_left_and_what_is_to_be_expected() {
    let vendor = Vendor::start().await;
    let headers = |remaining: &str| {
        let headers = [
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-reset", "600"),
            ("x-ratelimit-resource", "core"),
        ];
        vendor.set_headers("/limited", &headers);
    };
    headers("4000");
    let runtime = TestRuntime::builder()
        .services(service("Limited", &vendor.url(), ""))
        .start()
        .await;
    let api = runtime.api();
    let found = limits(&api, "limited", |limits| limits.len() == 1).await;
    let host = vendor.url().replace("http://", "");
    let wanted = [
        ("host", json!(host)),
        ("name", json!("core")),
        ("quota", json!(5_000)),
        ("remaining", json!(4_000)),
        ("remainingPercent", json!(80.0)),
        ("credential", Value::Null),
        ("probe", json!("http")),
    ];
    for (key, value) in wanted {
        assert_eq!(found[0][key], value, "{key}: {found:?}");
    }
    assert_eq!(found[0]["forecast"]["outlook"], "unknown");

    headers("0");
    let found = limits(&api, "limited", |limits| {
        limits.first().is_some_and(|limit| limit["remaining"] == 0)
    })
    .await;
    assert_eq!(found[0]["forecast"]["outlook"], "exhausted");
    let listed = runtime.cli(["rate-limits", "limited"]).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(
        listed.out.contains("core") && listed.out.contains("nothing is left"),
        "{listed:?}"
    );
    let listed = runtime.cli(["rate-limits", "limited", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(listed["limits"][0]["name"], "core");
    api.get("/api/v1/services/nowhere/rate-limits")
        .await
        .expect_problem(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_may_say_how_its_limits_are_meant() {
    let vendor = Vendor::start().await;
    vendor.set_headers(
        "/limited",
        &[
            ("x-ratelimit-remaining", "7"),
            ("x-ratelimit-reset", "90000"),
            ("x-left-today", "120"),
        ],
    );
    let rules = "    rateLimits:\n      reset: ms\n      quotas: {default: 10}\n      limits:\n        \
                 - {name: day, remaining: X-Left-Today, quota: 500, window: 86400, unit: messages}\n";
    let runtime = TestRuntime::builder()
        .services(service("Ours", &vendor.url(), rules))
        .start()
        .await;
    let api = runtime.api();
    limits(&api, "ours", |limits| limits.len() == 2).await;
    let rows = api
        .sql(
            "SELECT DISTINCT name, quota, remaining, window_ms, unit, round(epoch(reset_ts) - epoch(ts)) FROM rate_limits \
             ORDER BY name",
        )
        .await;
    assert_eq!(
        json!(rows),
        json!([
            ["day", 500, 120, 86_400_000, "messages", null],
            ["default", 10, 7, null, null, 90.0]
        ])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_credential_has_a_quota_of_its_own() {
    let vendor = Vendor::start().await;
    vendor.set_headers("/limited", &[("x-ratelimit-remaining", "7")]);
    let more = "    authentication: {type: bearer, token: first-token}\n    \
                credentials: {batch: {type: bearer, token: second-token}}\n    \
                probes: [{plugin: http, name: batch, interval: 1, settings: {path: /limited, auth: batch}}]\n";
    let runtime = TestRuntime::builder()
        .services(service("Two keys", &vendor.url(), more))
        .start()
        .await;
    let api = runtime.api();
    let found = limits(&api, "two-keys", |limits| limits.len() == 2).await;
    let mut credentials: Vec<&str> = found
        .iter()
        .filter_map(|limit| limit["credential"].as_str())
        .collect();
    credentials.sort_unstable();
    assert_eq!(credentials, ["batch", "default"], "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_of_a_service_that_mean_nothing_are_faults_with_their_place() {
    let rules = "    rateLimits: {vendor: kucion, refused: [200]}\n";
    let runtime = TestRuntime::builder()
        .services(service("Ours", "http://127.0.0.1:9", rules))
        .prepare();
    let checked = runtime.check_config().await;
    assert_eq!(checked.code, Some(64), "{checked:?}");
    let said = format!("{}{}", checked.out, checked.err);
    assert!(
        said.contains("did you mean `kucoin`?") && said.contains("`200` refuses nothing"),
        "{said}"
    );
}
