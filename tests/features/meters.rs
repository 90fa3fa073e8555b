//! Meters read what a vendor bills; it becomes an invoice, which is compared with what was counted.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use extrack_tests::{Inbox, PATIENCE, TestRuntime, wait_for};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

const KEY: &str = "adm1n-k3y-of-openai";

/// Costs of the first day that is asked for, on two pages, for who has the key.
async fn costs(
    State(key): State<&'static str>,
    uri: Uri,
    headers: HeaderMap,
) -> (StatusCode, String) {
    if uri.path() != "/v1/organization/costs" {
        return (StatusCode::OK, "{}".to_owned());
    }
    let sent = headers.get("authorization").and_then(|it| it.to_str().ok());
    if sent != Some(format!("Bearer {key}").as_str()) {
        return (StatusCode::UNAUTHORIZED, "who are you?".to_owned());
    }
    let query = uri.query().unwrap_or_default();
    let asked = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut values = pairs.filter(|(key, _)| *key == name);
        values.next().map(|(_, value)| value)
    };
    let start = asked("start_time").and_then(|text| text.parse::<i64>().ok());
    let start = start.expect("a moment is asked for");
    let (item, value, next) = match asked("page") {
        None => ("gpt-5, input", "10.25", Some("two")),
        Some("two") => ("gpt-5, output", "2.25", None),
        Some(other) => panic!("there is no page `{other}`"),
    };
    let page = json!({
        "object": "page",
        "data": [{"object": "bucket", "start_time": start, "end_time": start + 86_400, "results": [
            {"amount": {"value": value, "currency": "usd"}, "line_item": item},
        ]}],
        "has_more": next.is_some(),
        "next_page": next,
    });
    (StatusCode::OK, page.to_string())
}

async fn vendor() -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(costs).with_state(KEY);
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (format!("http://{address}"), AbortOnDropHandle::new(server))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_vendor_bills_is_an_invoice_and_an_alert_where_it_differs() {
    let (url, _vendor) = vendor().await;
    let inbox = Inbox::start().await;
    let alerts = format!(
        "alerts:\n  - {{name: Billed, type: invoice, threshold: 5, minAmount: 0.1, notifications: [{{channel: webhook, url: \"{}\"}}]}}\n",
        inbox.url("/hook")
    );
    let service = |name: &str, key: &str| {
        format!(
            "\n  - name: {name}\n    baseUrl: {url}\n    monitoring: {{interval: 86400}}\n    \
             authentication: {{type: bearer, token: {key}}}\n    \
             cost: {{currency: USD, prices: [{{price: \"0.50\"}}]}}\n    \
             meters: [{{plugin: openai-costs, interval: 1h}}]"
        )
    };
    let services = format!(
        "services:{}{}\n",
        service("Model", KEY),
        service("Stranger", "wr0ng-k3y")
    );
    let runtime = TestRuntime::builder()
        .services(services)
        .alerts(alerts)
        .start()
        .await;
    let api = runtime.api();
    let invoice = wait_for("the invoice of the meter", PATIENCE * 2, async || {
        let found = api.get("/api/v1/invoices?service=model").await.expect(200);
        match &found["invoices"][0] {
            Value::Null => Err(found.to_string()),
            invoice => Ok(invoice.clone()),
        }
    })
    .await;
    let id = invoice["invoice"].as_str().unwrap_or_default().to_owned();
    assert!(id.starts_with("model.openai-costs.20"), "{id}");
    assert_eq!(
        (&invoice["billed"], &invoice["currency"], &invoice["lines"]),
        (&json!("12.5"), &json!("USD"), &json!(2))
    );
    let lines = api
        .get(&format!("/api/v1/invoices/{id}/lines"))
        .await
        .expect(200);
    assert_eq!(
        (&lines["lines"][0]["name"], &lines["lines"][0]["amount"]),
        (&json!("gpt-5, input"), &json!("10.25"))
    );
    wait_for("an alert about the difference", PATIENCE, async || {
        let alerts = api.list("/api/v1/alerts").await;
        let is_it = |alert: &&Value| {
            let summary = alert["summary"].as_str().unwrap_or_default();
            alert["state"] == "firing" && summary.contains("bills 12.5 USD, and 0 USD were counted")
        };
        alerts
            .iter()
            .find(is_it)
            .map(drop)
            .ok_or_else(|| format!("{alerts:?}"))
    })
    .await;
    let status = |slug: &'static str| {
        let api = &api;
        wait_for("the meter to be read", PATIENCE * 2, async move || {
            let service = api
                .get(&format!("/api/v1/services/{slug}"))
                .await
                .expect(200);
            match &service["meterStatus"][0] {
                Value::Null => Err(service.to_string()),
                status => Ok(status.clone()),
            }
        })
    };
    let read = status("model").await;
    assert_eq!(
        (&read["name"], &read["error"], &read["failures"]),
        (&json!("openai-costs"), &Value::Null, &json!(0))
    );
    let failed = status("stranger").await;
    let error = failed["error"].as_str().unwrap_or_default();
    assert!(
        error.contains("status 401") && error.contains("who are you?"),
        "{failed}"
    );
    assert_eq!(failed["failures"], 1);
}
