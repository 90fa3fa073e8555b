//! Answers that are kept: whose they are, what they cost, and when the vendor is asked again.

use extrack_tests::{Api, PATIENCE, TestRuntime, Vendor, wait_for};
use reqwest::{Method, Response};

use super::{call, client, consumer, services};

async fn start(vendor: &Vendor, gateway: &str) -> (TestRuntime, String) {
    let yaml = services(&vendor.url(), gateway);
    let cost = "    cost: {currency: USD, prices: [{price: \"0.001\"}]}\n";
    let runtime = TestRuntime::builder()
        .services(format!("{yaml}{cost}"))
        .start()
        .await;
    let token = consumer(&runtime.api(), "alice", &["*"]).await;
    (runtime, token)
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    Some(answer.headers().get(name)?.to_str().unwrap())
}

/// Waits until so many rows meet the condition.
async fn rows(api: &Api, condition: &str, wanted: i64) {
    let count = format!("SELECT count(*) FROM calls WHERE source = 'gateway' AND {condition}");
    wait_for(&count, PATIENCE, async || {
        let rows = api.sql_count(&count).await;
        if rows == wanted {
            return Ok(());
        }
        let columns = "consumer, method, status, cache, attempts, cost_max, ended";
        let all = api.sql(&format!("SELECT {columns} FROM calls")).await;
        Err(format!("{rows} of {wanted} in {all:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_answer_is_its_consumers_costs_nothing_and_is_of_the_consumers_quota_alone() {
    let vendor = Vendor::start().await;
    let gateway = "      cache: {}\n      quotas: {consumer: {day: 4}, service: {day: 2}}";
    let (runtime, alice) = start(&vendor, gateway).await;
    let bob = consumer(&runtime.api(), "bob", &["*"]).await;
    let sent = [
        ("cache-control", "max-age=3600"),
        ("x-ratelimit-remaining", "5"),
    ];
    vendor.set_headers("/a", &sent);
    let get = async |token: &str| call(&runtime, token, Method::GET, "/a?b=1").await;

    let first = get(&alice).await;
    assert_eq!(
        header(&first, "cache-status"),
        Some("extrack; fwd=uri-miss; stored")
    );
    assert_eq!(header(&first, "x-ratelimit-remaining"), Some("5"));
    assert_eq!(first.text().await.unwrap(), "the vendor's answer\n");
    for _ in 0..3 {
        let kept = get(&alice).await;
        assert!(
            header(&kept, "cache-status")
                .unwrap()
                .starts_with("extrack; hit; ttl=")
        );
        assert!(kept.headers().contains_key("age"));
        assert_eq!(header(&kept, "x-ratelimit-remaining"), None);
        assert_eq!(kept.text().await.unwrap(), "the vendor's answer\n");
    }
    assert_eq!(vendor.hits("/a"), 1);
    assert_eq!(get(&alice).await.status(), 429, "it has four calls a day");
    let other = get(&bob).await;
    assert_eq!(
        header(&other, "cache-status"),
        Some("extrack; fwd=uri-miss; stored")
    );
    other.text().await.unwrap();
    assert_eq!(vendor.hits("/a"), 2);
    assert_eq!(
        get(&bob).await.status(),
        200,
        "the service's quota is used up"
    );
    assert_eq!(call(&runtime, &bob, Method::GET, "/b").await.status(), 429);

    let api = runtime.api();
    rows(
        &api,
        "cache = 'hit' AND attempts = 0 AND cost_max = 0 AND status = 200",
        4,
    )
    .await;
    rows(
        &api,
        "cache = 'miss' AND attempts = 1 AND cost_max = 0.001",
        2,
    )
    .await;
    rows(&api, "ended = 'refused'", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_needs_it_is_confirmed_and_what_changes_something_ends_it() {
    let vendor = Vendor::start().await;
    let gateway = "      cache: {paths: [/a], shared: true}";
    let (runtime, alice) = start(&vendor, gateway).await;
    let bob = consumer(&runtime.api(), "bob", &["*"]).await;
    vendor.set_headers("/a", &[("cache-control", "no-cache"), ("etag", "\"v1\"")]);
    // It is kept when it is whole.
    let first = call(&runtime, &alice, Method::GET, "/a").await;
    assert_eq!(first.text().await.unwrap(), "the vendor's answer\n");

    // From now on it has nothing to send but that nothing changed.
    vendor.set_status("/a", 304);
    let confirmed = call(&runtime, &bob, Method::GET, "/a").await;
    assert_eq!(confirmed.status(), 200);
    let status = header(&confirmed, "cache-status").unwrap();
    assert!(
        status.starts_with("extrack; fwd=stale; fwd-status=304"),
        "{status}"
    );
    assert_eq!(confirmed.text().await.unwrap(), "the vendor's answer\n");
    let url = format!("{}/gateway/vendor/a", runtime.url());
    let asked = client().get(&url).bearer_auth(&bob);
    let has_it = asked
        .header("if-none-match", "\"v1\"")
        .send()
        .await
        .unwrap();
    assert_eq!(has_it.status(), 304);

    vendor.set_status("/a", 201);
    assert_eq!(
        call(&runtime, &alice, Method::POST, "/a").await.status(),
        201
    );
    vendor.set_status("/a", 200);
    let asked = client().get(&url).bearer_auth(&bob);
    let nothing = asked
        .header("cache-control", "only-if-cached")
        .send()
        .await
        .unwrap();
    assert_eq!(nothing.status(), 504);
    let again = call(&runtime, &bob, Method::GET, "/a").await;
    assert_eq!(
        header(&again, "cache-status"),
        Some("extrack; fwd=uri-miss; stored")
    );
    let aside = call(&runtime, &bob, Method::GET, "/b").await;
    assert_eq!(header(&aside, "cache-status"), None);
    again.text().await.unwrap();
    aside.text().await.unwrap();

    let api = runtime.api();
    rows(
        &api,
        "cache = 'revalidated' AND status = 304 AND attempts = 1",
        2,
    )
    .await;
    rows(&api, "cache = 'bypass' AND method = 'POST'", 1).await;
    rows(&api, "cache = 'miss' AND ended = 'complete'", 2).await;
    rows(&api, "cache = 'none'", 1).await;
}
