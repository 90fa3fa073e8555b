//! What calls cost: priced as they are counted, by the price list of their service, over restarts.

use extrack_tests::{Api, Inbox, PATIENCE, TestRuntime, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

/// Ten calls a cycle are free; charges cost a share of what they move.
const SERVICES: &str = r#"
services:
  - name: Pay
    baseUrl: https://api.pay.example
    monitoring: {interval: 86400}
    tags: [money]
    cost:
      currency: EUR
      monthly: 9.00
      prices:
        - {percent: 1.4, plus: "0.25", routes: [/charges], status: [2xx]}
        - {price: "0.50", allowance: 10, routes: [/lookups]}
  - name: Free
    baseUrl: https://free.example
    monitoring: {interval: 86400}
"#;

async fn started() -> TestRuntime {
    TestRuntime::builder().services(SERVICES).start().await
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_millis() as i64
}

fn lookup(id: &str, ts_ms: i64, status: u16) -> Value {
    json!({
        "id": id, "ts": ts_ms, "service": "pay", "consumer": "shop", "method": "GET", "route": "/lookups",
        "status": status,
    })
}

/// Reports calls until they are taken: a program that was just started may ask to come again.
async fn report(api: &Api, lines: &[Value]) {
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    wait_for("the calls to be taken", PATIENCE, async || {
        let request = api.request(Method::POST, "/api/v1/calls");
        let request = request.header("content-type", "application/x-ndjson");
        let reply = api.send(request.body(body.clone())).await;
        if reply.status == 503 {
            return Err(reply.text);
        }
        assert_eq!(reply.expect(200)["accepted"], lines.len());
        Ok(())
    })
    .await;
}

async fn costs(api: &Api, question: &str) -> Value {
    api.get(&format!("/api/v1/costs{question}"))
        .await
        .expect(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allowances_go_on_where_they_were_after_a_restart() {
    let ts_ms = now_ms();
    let mut runtime = started().await;
    let lookups = |ids: std::ops::Range<i32>| -> Vec<Value> {
        ids.map(|id| lookup(&format!("c{id}"), ts_ms, 200))
            .collect()
    };
    report(&runtime.api(), &lookups(0..8)).await;
    assert!(runtime.stop().await.success());
    runtime.start().await;
    let api = runtime.api();
    report(&api, &lookups(8..13)).await;
    let found = costs(&api, "?from=2020-01-01T00:00:00Z").await;
    let row = &found["rows"][0];
    assert_eq!(
        (
            &row["service"],
            &row["currency"],
            &row["used"],
            &row["metered"]
        ),
        (&json!("pay"), &json!("EUR"), &json!("1.5"), &json!(13))
    );
    let sum = "SELECT sum(cost_min)::VARCHAR, sum(cost_max)::VARCHAR FROM calls";
    let exact = json!("1.500000000000");
    assert_eq!(api.sql(sum).await, [[exact.clone(), exact]]);
}

async fn import(api: &Api, csv: &str) -> Value {
    let request = api.request(Method::POST, "/api/v1/invoices?invoice=INV-1");
    let request = request.header("content-type", "text/csv");
    api.send(request.body(csv.to_owned())).await.expect(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invoice_counts_once_and_is_an_alert_if_it_differs_from_what_was_counted() {
    let inbox = Inbox::start().await;
    let alerts = format!(
        "alerts:\n  - {{name: Billed, type: invoice, threshold: 5, minAmount: 0.1, notifications: [{{channel: webhook, url: \"{}\"}}]}}\n",
        inbox.url("/hook")
    );
    let runtime = TestRuntime::builder()
        .services(SERVICES)
        .alerts(alerts)
        .start()
        .await;
    let api = runtime.api();
    // Two paid lookups in a time that is no cycle: one euro.
    let calls: Vec<Value> = (0..12)
        .map(|id| lookup(&format!("c{id}"), now_ms(), 200))
        .collect();
    report(&api, &calls).await;
    let day = |ahead: i64| {
        let moment = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * ahead);
        moment.strftime("%Y-%m-%d").to_string()
    };
    let (from, to) = (day(-2), day(2));
    let csv = format!(
        "from,to,service,amount,currency,category\n{from},{to},pay,1.00,EUR,Usage\n{from},{to},pay,0.19,EUR,Tax\n\
         {from},{to},gone,5,EUR,Usage\n"
    );
    let imported = import(&api, &csv).await;
    assert_eq!(
        (&imported["taken"], &imported["refused"][0]["line"]),
        (&json!(2), &json!(4))
    );
    assert_eq!(import(&api, &csv).await["duplicates"], 2);
    let found = api.get("/api/v1/invoices").await.expect(200);
    let invoice = &found["invoices"][0];
    assert_eq!(
        (
            &invoice["billed"],
            &invoice["tax"],
            &invoice["counted"],
            &invoice["drift"],
            &invoice["lines"]
        ),
        (
            &json!("1"),
            &json!("0.19"),
            &json!("1"),
            &json!("0"),
            &json!(2)
        )
    );
    let reasons = invoice["reasons"].as_array().expect("reasons").iter();
    let kinds: Vec<&Value> = reasons.map(|reason| &reason["kind"]).collect();
    assert_eq!(kinds, ["countedSince", "noFees"]);
    let changed = import(&api, &csv.replace("1.00", "2.00")).await;
    let reason = changed["refused"][0]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("is there with another content"), "{reason}");
    assert_eq!(api.list("/api/v1/alerts").await, Vec::<Value>::new());

    // A correction by half a euro.
    let more = format!("from,to,service,amount,currency,line\n{from},{to},pay,0.5,EUR,9\n");
    std::fs::write(runtime.data().join("more.csv"), more).expect("a file");
    let file = runtime.data().join("more.csv").display().to_string();
    let printed = runtime
        .cli(["invoices", "import", file.as_str(), "--invoice", "INV-1"])
        .await;
    assert_eq!(printed.code, Some(0), "{} {}", printed.out, printed.err);
    let alert = wait_for("an alert about the invoice", PATIENCE, async || {
        let alerts = api.list("/api/v1/alerts").await;
        let firing = alerts.iter().find(|alert| alert["state"] == "firing");
        firing.cloned().ok_or_else(|| format!("{alerts:?}"))
    })
    .await;
    let summary = alert["summary"].as_str().unwrap_or_default();
    let start = "invoice `INV-1` bills 1.5 EUR, and 1 EUR were counted: 0.5 EUR more (33.33 %), wanted at most 5 %; ";
    assert!(summary.starts_with(start), "{summary}");
    let rows = api
        .sql("SELECT invoice, line, amount::VARCHAR FROM invoices ORDER BY line")
        .await;
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert_eq!(rows[2][1], json!(9));
    let shown = runtime.cli(["invoices", "show", "INV-1"]).await;
    assert!(
        shown.out.contains("33.33") && shown.out.contains("Tax"),
        "{}",
        shown.out
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_been_billed_is_shown_apart() {
    let ts_ms = now_ms();
    let runtime = started().await;
    let api = runtime.api();
    let mut calls: Vec<Value> = (0..10)
        .map(|id| lookup(&format!("ok{id}"), ts_ms, 200))
        .collect();
    calls.push(lookup("down", ts_ms, 503));
    calls.push(json!({
        "id": "charge", "ts": ts_ms, "service": "pay", "method": "POST", "route": "/charges", "status": 201,
        "units": {"amount": "100.00"},
    }));
    calls.push(json!({
        "id": "other", "ts": ts_ms, "service": "pay", "method": "GET", "route": "/balance", "status": 200,
    }));
    report(&api, &calls).await;
    let found = costs(&api, "").await;
    let row = &found["rows"][0];
    assert_eq!(
        (
            &row["used"],
            &row["usedAtMost"],
            &row["calls"],
            &row["metered"]
        ),
        (&json!("1.65"), &json!("2.15"), &json!(13), &json!(12))
    );
    assert_eq!(
        (&row["owed"], &row["owedAtMost"], &row["cycle"]["fees"]),
        (&json!("10.65"), &json!("11.15"), &json!("9"))
    );
    let reason = row["forecastMissing"].as_str().expect("a reason");
    assert!(reason.contains("whole days"), "{reason}");
    let failures = json!({"calls": 1, "atLeast": "0", "atMost": "0.5"});
    assert_eq!(found["overhead"]["EUR"]["failures"], failures);
    assert_eq!(row["overhead"]["failures"], failures);
    let by_tag = costs(&api, "?by=tag,consumer").await;
    let row = &by_tag["rows"][1];
    assert_eq!(
        (&row["tag"], &row["consumer"]),
        (&json!("money"), &json!("shop"))
    );
    let usage = api.get("/api/v1/usage").await.expect(200);
    assert_eq!(usage["rows"][0]["units"], json!({"amount": "100"}));

    let printed = runtime.cli(["costs"]).await;
    assert_eq!(printed.code, Some(0), "{}", printed.err);
    let line = "1.65 to 2.15";
    assert!(printed.out.contains(line), "{}", printed.out);
    let refused = api
        .get("/api/v1/costs?by=weather")
        .await
        .expect_problem(400);
    assert!(refused.to_string().contains("`consumer`"), "{refused}");
}
