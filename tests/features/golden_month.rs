//! A month of calls whose cost was worked out by hand, through reports, pricing and comparison.

use std::collections::BTreeMap;

use extrack_tests::{Api, PATIENCE, TestRuntime, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

const SERVICES: &str = include_str!("../fixtures/golden-month/services.yaml");
const CALLS: &str = include_str!("../fixtures/golden-month/calls.ndjson");
const WORKED: &str = include_str!("../fixtures/golden-month/README.md");
const MARCH: &str = "from=2026-02-28T23:00:00Z&to=2026-03-31T22:00:00Z";
const APRIL: &str = "from=2026-03-31T22:00:00Z&to=2026-04-30T22:00:00Z";

/// Returns the figures of the last table, at least and at most, as the API writes them.
fn figures() -> BTreeMap<&'static str, (String, String)> {
    let (_, table) = WORKED.split_once("## Figures").expect("the table");
    let rows = table.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [figure, low, high] = cells.as_slice() else {
            return None;
        };
        low.starts_with(|c: char| c.is_ascii_digit())
            .then(|| (*figure, (amount(low), amount(high))))
    });
    rows.collect()
}

/// Returns an amount without zeros that mean nothing.
fn amount(text: &str) -> String {
    if !text.contains('.') {
        return text.to_owned();
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn bounds(row: &Value, low: &str, high: &str) -> (String, String) {
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    (text(low), text(high))
}

async fn started() -> TestRuntime {
    let mut runtime = TestRuntime::builder().services(SERVICES).prepare();
    // The month is long ago some day.
    let settings = "results: {retention: {calls: forever, usageTotals: forever}}\n";
    std::fs::write(runtime.config().join("storage.yaml"), settings).expect("a file");
    runtime.start().await;
    runtime
}

async fn report(api: &Api) {
    wait_for("the calls to be taken", PATIENCE, async || {
        let request = api.request(Method::POST, "/api/v1/calls");
        let request = request.header("content-type", "application/x-ndjson");
        let reply = api.send(request.body(CALLS)).await;
        if reply.status == 503 {
            return Err(reply.text);
        }
        let reply = reply.expect(200);
        assert_eq!(reply["accepted"], CALLS.lines().count(), "{reply}");
        Ok(())
    })
    .await;
}

async fn costs(api: &Api, question: &str) -> Value {
    api.get(&format!("/api/v1/costs?{question}"))
        .await
        .expect(200)
}

async fn compared(api: &Api, invoice: &str, amount: &str) -> Value {
    let line = json!({
        "from": "2026-03-01T00:00:00+01:00", "to": "2026-04-01T00:00:00+02:00", "service": "golden",
        "amount": amount, "currency": "EUR",
    });
    let import = json!({"invoice": invoice, "lines": [line]});
    let taken = api.post("/api/v1/invoices", &import).await.expect(200);
    assert_eq!(taken["taken"], 1, "{taken}");
    let found = api.get("/api/v1/invoices").await.expect(200);
    let mut invoices = found["invoices"].as_array().expect("invoices").iter();
    let found = invoices.find(|found| found["invoice"] == invoice);
    found.expect("the invoice").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reported_month_costs_what_was_worked_out_by_hand() {
    let figures = figures();
    assert_eq!(figures.len(), 8, "{figures:?}");
    let runtime = started().await;
    let api = runtime.api();
    report(&api).await;

    let found = wait_for("all calls to be counted", PATIENCE, async || {
        let found = costs(&api, MARCH).await;
        if found["rows"][0]["calls"] == 30 {
            Ok(found)
        } else {
            Err(found.to_string())
        }
    })
    .await;
    let row = &found["rows"][0];
    assert_eq!(bounds(row, "used", "usedAtMost"), figures["used"], "{row}");
    assert_eq!((&row["calls"], &row["metered"]), (&json!(30), &json!(30)));
    for part in ["failures", "timeouts"] {
        let spent = &row["overhead"][part];
        assert_eq!(spent["calls"], 1, "{part}: {row}");
        let spent = bounds(spent, "atLeast", "atMost");
        assert_eq!(spent, figures[part], "{part}: {row}");
    }

    let by_route = costs(&api, &format!("{MARCH}&by=route")).await;
    let rows = by_route["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 3, "{by_route}");
    for row in rows {
        let route = row["route"].as_str().expect("a route");
        let found = bounds(row, "used", "usedAtMost");
        assert_eq!(found, figures[route], "{route}");
    }
    let april = costs(&api, APRIL).await;
    let april = bounds(&april["rows"][0], "used", "usedAtMost");
    assert_eq!(april, figures["april"]);

    // An invoice is compared with what is owed: usage and fees.
    let exact = compared(&api, "exact", "46.81").await;
    assert_eq!(
        bounds(&exact, "counted", "countedAtMost"),
        figures["owed"],
        "{exact}"
    );
    assert_eq!(exact["drift"], "0", "{exact}");
    // Invoices of one period are compared together.
    let more = compared(&api, "more", "3.19").await;
    assert_eq!(more["drift"], "2.67", "{more}");
}
