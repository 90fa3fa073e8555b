//! Budgets: what calls cost is compared with what may be spent, and alerts come once at each threshold.

use extrack_tests::{Api, Inbox, PATIENCE, TestRuntime, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

/// Each call costs ten cents. The cycle began yesterday, whatever day it is.
fn services() -> String {
    let yesterday = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24);
    let day = yesterday.to_zoned(jiff::tz::TimeZone::UTC).day();
    format!(
        "services:\n  - name: Pay\n    baseUrl: https://api.pay.example\n    monitoring: {{interval: 86400}}\n    \
         tags: [money]\n    cost: {{currency: EUR, cycle: {{day: {day}}}, prices: [{{price: \"0.10\"}}]}}\n"
    )
}

fn alerts(inbox: &Inbox, budget: &str) -> String {
    format!(
        "notifications: [{{channel: webhook, url: \"{}\"}}]\nbudgets:\n  - {budget}\n",
        inbox.url("/hook")
    )
}

async fn started(alerts: String) -> TestRuntime {
    TestRuntime::builder()
        .services(services())
        .alerts(alerts)
        .start()
        .await
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_millis() as i64
}

/// Reports calls until they are taken: a program that was just started may ask to come again.
async fn report(api: &Api, ids: std::ops::Range<i64>, ts_ms: impl Fn(i64) -> i64) {
    let line = |id: i64| {
        let call = json!({
            "id": format!("c{id}"), "ts": ts_ms(id), "service": "pay", "consumer": "shop",
            "method": "GET", "route": "/lookups", "status": 200,
        });
        format!("{call}\n")
    };
    let body: String = ids.map(line).collect();
    wait_for("the calls to be taken", PATIENCE, async || {
        let request = api.request(Method::POST, "/api/v1/calls");
        let request = request.header("content-type", "application/x-ndjson");
        let reply = api.send(request.body(body.clone())).await;
        match reply.status {
            503 => Err(reply.text),
            _ => Ok(reply.expect(200)),
        }
    })
    .await;
}

async fn budget_with(api: &Api, key: &str, wanted: Value) -> Value {
    wait_for(&format!("{key} {wanted}"), PATIENCE, async || {
        let found = api.get("/api/v1/budgets").await.expect(200)["budgets"][0].clone();
        if found[key] == wanted {
            Ok(found)
        } else {
            Err(found.to_string())
        }
    })
    .await
}

async fn firing(api: &Api, names: &[&str]) -> Vec<Value> {
    wait_for(&format!("{names:?} that fire"), PATIENCE, async || {
        let alerts = api.list("/api/v1/alerts").await;
        let mut found: Vec<&str> = alerts
            .iter()
            .filter(|alert| alert["state"] == "firing")
            .filter_map(|alert| alert["name"].as_str())
            .collect();
        found.sort_unstable();
        if found == names {
            Ok(alerts)
        } else {
            Err(format!("{alerts:?}"))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_threshold_of_a_budget_alerts_once_also_over_a_restart() {
    let inbox = Inbox::start().await;
    let budget = "{name: Payments, amount: 1.00, currency: EUR, tags: [money], \
                  alertAt: [80%, 100%]}";
    let mut runtime = started(alerts(&inbox, budget)).await;
    let api = runtime.api();
    let now_ms = now_ms();
    report(&api, 0..7, |_| now_ms).await;
    let found = budget_with(&api, "used", json!("0.7")).await;
    assert_eq!(
        (
            &found["state"],
            &found["share"],
            &found["calls"],
            &found["id"]
        ),
        (
            &json!("within"),
            &json!("70"),
            &json!(7),
            &json!("payments")
        )
    );
    let reason = found["forecastMissing"].as_str().expect("a reason");
    assert!(reason.contains("whole days"), "{reason}");
    report(&api, 7..8, |_| now_ms).await;
    firing(&api, &["Budget Payments: 80 %"]).await;

    // What was counted is there again, and the alert goes on.
    assert!(runtime.stop().await.success());
    runtime.start().await;
    let api = runtime.api();
    budget_with(&api, "used", json!("0.8")).await;
    report(&api, 8..11, |_| now_ms).await;
    let both = ["Budget Payments: 100 %", "Budget Payments: 80 %"];
    let alerts = firing(&api, &both).await;
    assert_eq!(alerts.len(), 2, "{alerts:?}");
    let subjects: Vec<&Value> = alerts.iter().map(|alert| &alert["service"]).collect();
    assert_eq!(subjects, ["budget:payments", "budget:payments"]);
    let summary = alerts
        .iter()
        .filter_map(|alert| alert["summary"].as_str())
        .find(|summary| summary.contains("alert at 100 %"));
    let wanted = "budget `Payments` has used 1.1 of 1 EUR (110 %), alert at 100 %";
    assert_eq!(summary, Some(wanted));
    wait_for("a message for each", PATIENCE, async || {
        let received = inbox.received("/hook");
        if received.len() == 2 {
            Ok(())
        } else {
            Err(format!("{received:?}"))
        }
    })
    .await;

    let printed = runtime.cli(["budgets"]).await;
    assert_eq!(printed.code, Some(0), "{}", printed.err);
    assert!(printed.out.contains("exceeded"), "{}", printed.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forecast_above_the_amount_alerts_before_it_is_used() {
    let inbox = Inbox::start().await;
    // Fifty cents on each of the last days make at least 13.5 euros in a cycle that began yesterday.
    let budget = "{name: Payments, amount: 13.00, currency: EUR, services: [pay], alertAt: []}";
    let runtime = started(alerts(&inbox, budget)).await;
    let api = runtime.api();
    let now_ms = now_ms();
    let day_ms = 86_400_000;
    report(&api, 0..50, |id| now_ms - (id / 5 + 1) * day_ms).await;
    let alerts = firing(&api, &["Budget Payments: forecast"]).await;
    let summary = alerts[0]["summary"].as_str().unwrap_or_default();
    assert!(
        summary.starts_with("budget `Payments` will be at "),
        "{summary}"
    );
    let found = budget_with(&api, "state", json!("atRisk")).await;
    assert_eq!(found["forecast"]["days"], 10);
    assert!(found["usedUpAt"].is_string(), "{found}");
}
