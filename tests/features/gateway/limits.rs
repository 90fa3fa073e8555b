//! Quotas and places in flight are exact, and survive a restart.

use extrack_tests::api::client;
use extrack_tests::wait_for;
use futures::StreamExt;
use reqwest::Method;

use super::vendor::ApiVendor;
use super::{call, ended, started};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_calls_at_once_as_many_pass_as_the_quota_has() {
    const CALLS: usize = 1_000;
    const AT_ONCE: usize = 200;
    let vendor = ApiVendor::start().await;
    let gateway =
        "      maxInFlight: 1000\n      quotas: {consumer: {day: 100}, service: {month: 5000}}";
    let (mut runtime, token) = started(&vendor.url(), gateway).await;
    let (client, url) = (client(), format!("{}/gateway/vendor/echo", runtime.url()));
    let statuses: Vec<u16> = futures::stream::iter(0..CALLS)
        .map(|_| {
            let request = client.get(&url).bearer_auth(&token);
            async move { request.send().await.unwrap().status().as_u16() }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(200), count(429)), (100, 900));
    assert_eq!(vendor.hits("/echo"), 100);
    ended(&runtime.api(), "refused", 900).await;

    let refused = call(&runtime, &token, Method::GET, "/echo").await;
    let header = |name: &str| refused.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(
        header("ratelimit-policy"),
        "\"consumer/alice\";q=100;w=86400"
    );
    assert!(header("ratelimit").starts_with("\"consumer/alice\";r=0;t="));
    assert!(header("retry-after").parse::<u64>().unwrap() <= 86_400);
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(problem["status"], 429);

    runtime.restart().await;
    let refused = call(&runtime, &token, Method::GET, "/echo").await;
    assert_eq!(refused.status(), 429);
    let other = super::consumer(&runtime.api(), "bob", &["vendor"]).await;
    assert_eq!(
        call(&runtime, &other, Method::GET, "/echo").await.status(),
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_in_flight_is_free_when_its_answer_has_ended() {
    let vendor = ApiVendor::start().await;
    let (runtime, token) = started(&vendor.url(), "      maxInFlight: 1").await;
    let first = call(&runtime, &token, Method::GET, "/events").await;
    let busy = call(&runtime, &token, Method::GET, "/echo").await;
    assert_eq!(busy.status(), 503);
    assert!(busy.headers().contains_key("retry-after"));
    drop(first);
    vendor.next_event();
    wait_for("a free place", extrack_tests::PATIENCE, async || {
        let status = call(&runtime, &token, Method::GET, "/echo").await.status();
        (status == 200).then_some(()).ok_or(status.to_string())
    })
    .await;
}
