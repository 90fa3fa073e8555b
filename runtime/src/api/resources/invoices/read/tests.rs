use std::sync::Arc;

use rust_decimal::Decimal;

use super::*;
use crate::registry::testing::TestRegistry;
use crate::registry::{CheckedFiles, Registry};

async fn catalog() -> Arc<Catalog> {
    let registry = TestRegistry::open(CheckedFiles::default()).await;
    let service = serde_json::json!({"name": "Simple Storage", "slug": "s3", "baseUrl": "https://s3.example"});
    Registry::create(&registry, service).await.unwrap();
    registry.catalog()
}

fn reader<'a>(
    catalog: &'a Catalog,
    invoice: Option<&'a str>,
    service: Option<&'a str>,
) -> Reader<'a> {
    Reader {
        catalog,
        invoice,
        service,
        now_ms: 7,
    }
}

fn ms(text: &str) -> UnixMillis {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

#[tokio::test]
async fn columns_of_focus_are_read_wherever_they_are() {
    let catalog = catalog().await;
    let text = "ChargeCategory,ServiceName,BilledCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,InvoiceId,ChargeDescription\n\
                Usage,simple storage,0.00000123,USD,2026-11-01T00:00:00Z,2026-11-02 00:00:00 UTC,INV-7,\"Requests, tier 1\"\n\
                Tax,s3,-1.2E-3,USD,2026-11-01,2026-12-01,INV-7,\n";
    let lines = reader(&catalog, None, None).csv(text).unwrap();
    let first = InvoiceLine {
        invoice: "INV-7".to_owned(),
        line: 1,
        service: "s3".to_owned(),
        name: "Requests, tier 1".to_owned(),
        category: "Usage".to_owned(),
        from_ms: ms("2026-11-01T00:00:00Z"),
        until_ms: ms("2026-11-02T00:00:00Z"),
        amount: Decimal::from_str_exact("0.00000123").unwrap(),
        currency: "USD".to_owned(),
        imported_ms: 7,
    };
    assert_eq!(lines[0].line.as_ref(), Ok(&first));
    let second = lines[1].line.as_ref().unwrap();
    assert_eq!(
        (
            second.line,
            second.category.as_str(),
            second.amount.to_string()
        ),
        (2, "Tax", "-0.0012".to_owned())
    );
    assert_eq!(second.until_ms, ms("2026-12-01T00:00:00Z"));
}

#[tokio::test]
async fn a_line_that_is_wrong_is_reported_and_stops_no_other() {
    let catalog = catalog().await;
    let text = "from,to,service,amount,currency,line\n\
                2026-11-01,2026-12-01,s3,12.50,EUR,10\n\
                2026-11-01,2026-12-01,glacier,1,EUR,\n\
                2026-12-01,2026-12-01,s3,1,EUR,\n\
                November,2026-12-01,s3,1,EUR,\n\
                2026-11-01,2026-12-01,s3,1 EUR,EUR,\n\
                2026-11-01,2026-12-01,s3,1,EURO,\n\
                2026-11-01,2026-12-01,s3,1,EUR,first\n";
    let lines = reader(&catalog, Some("INV-8"), None).csv(text).unwrap();
    let good = lines[0].line.as_ref().unwrap();
    assert_eq!((good.line, good.invoice.as_str()), (10, "INV-8"));
    let wanted = [
        (3, "there is no service `glacier`"),
        (4, "the period ends before it begins"),
        (5, "`from` is `November`"),
        (6, "`amount` is `1 EUR`"),
        (7, "`EURO` is no currency"),
        (8, "`line` is `first`"),
    ];
    for (found, (place, start)) in lines[1..].iter().zip(wanted) {
        let reason = found.line.as_ref().unwrap_err();
        assert!(
            found.place == place && reason.starts_with(start),
            "{found:?}"
        );
    }
    assert_eq!(lines.len(), 7);
}

#[tokio::test]
async fn parameters_stand_for_columns_that_are_not_there() {
    let catalog = catalog().await;
    let text = "from,to,amount,currency\n2026-11-01,2026-12-01,1,EUR\n";
    let missing = reader(&catalog, None, None).csv(text).unwrap_err();
    assert!(
        missing.starts_with("the header has no `service`, `invoice`;"),
        "{missing}"
    );
    let lines = reader(&catalog, Some("1"), Some("s3")).csv(text).unwrap();
    assert_eq!(lines[0].line.as_ref().unwrap().service, "s3");
    let header = reader(&catalog, None, None).csv("\n").unwrap_err();
    assert_eq!(header, "the file has no header");
}

/// Answers as the vendors document them, cut to the keys that matter and a few of the others.
const OPEN_AI: &str = r#"{"object": "page", "has_more": false, "next_page": null, "data": [
  {"object": "bucket", "start_time": 1793491200, "end_time": 1793577600, "results": [
    {"object": "organization.costs.result", "amount": {"value": 0.06, "currency": "usd"}, "line_item": "input", "project_id": null},
    {"object": "organization.costs.result", "amount": {"value": 1.5e-7, "currency": "usd"}, "line_item": "output", "project_id": "p"}]},
  {"object": "bucket", "start_time": 1793577600, "end_time": 1793664000, "results": []},
  {"object": "bucket", "start_time": 1793664000, "end_time": 1793750400, "results": [
    {"object": "organization.costs.result", "amount": {"value": 2, "currency": "usd"}, "line_item": null}]}]}"#;
const ANTHROPIC: &str = r#"{"has_more": true, "next_page": "page_x", "data": [
  {"starting_at": "2026-11-01T00:00:00Z", "ending_at": "2026-11-02T00:00:00Z", "results": [
    {"currency": "USD", "amount": "123.78912", "workspace_id": null, "cost_type": "tokens", "token_type": "uncached_input_tokens"},
    {"currency": "USD", "amount": "0.21088", "workspace_id": "w", "cost_type": "web_search"}]}]}"#;
const TWILIO: &str = r#"{"first_page_uri": "/x", "next_page_uri": null, "usage_records": [
  {"category": "sms", "start_date": "2026-11-01", "end_date": "2026-11-01", "price": "0.75", "price_unit": "usd", "usage": "100"},
  {"category": "totalprice", "start_date": "2026-11-01", "end_date": "2026-11-01", "price": "1.25", "price_unit": "usd", "usage": "1.25"}]}"#;

#[tokio::test]
async fn reports_of_vendors_are_one_line_a_day_that_is_over() {
    let catalog = catalog().await;
    let (first, second) = (ms("2026-11-01T00:00:00Z"), ms("2026-11-02T00:00:00Z"));
    let number = first / 86_400_000 * 16;
    for (answer, amount) in [
        (OPEN_AI, "0.06000015"),
        (ANTHROPIC, "1.24"),
        (TWILIO, "1.25"),
    ] {
        let answer = serde_json::from_str(answer).unwrap();
        let reader = Reader {
            now_ms: ms("2026-11-03T12:00:00Z"),
            ..reader(&catalog, Some("own-2026-11"), Some("s3"))
        };
        let lines = reader.report(&answer).unwrap().unwrap();
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = lines[0].line.as_ref().unwrap();
        assert_eq!(
            (line.line, line.from_ms, line.until_ms),
            (number, first, second)
        );
        assert_eq!(
            (line.amount.to_string(), line.currency.as_str()),
            (amount.to_owned(), "USD")
        );
        assert_eq!(
            (line.invoice.as_str(), line.service.as_str()),
            ("own-2026-11", "s3")
        );
    }
}

#[tokio::test]
async fn a_report_that_can_not_be_taken_is_refused_with_the_reason() {
    let catalog = catalog().await;
    let with_service = reader(&catalog, Some("i"), Some("s3"));
    let overlapping = TWILIO.replace("totalprice", "calls");
    let in_euro = ANTHROPIC.replace("\"USD\"", "\"EUR\"");
    let no_amount = OPEN_AI.replace("0.06", "null");
    for (reader, answer, reason) in [
        (
            &reader(&catalog, Some("i"), None),
            OPEN_AI,
            "parameter `service`",
        ),
        (&with_service, overlapping.as_str(), "Category=totalprice"),
        (&with_service, in_euro.as_str(), "only cents of USD"),
        (
            &with_service,
            no_amount.as_str(),
            "the report of the vendor is cut",
        ),
    ] {
        let answer = serde_json::from_str(answer).unwrap();
        let refused = reader.report(&answer).unwrap().unwrap_err();
        assert!(refused.contains(reason), "{refused}");
    }
    for other in [
        "null",
        "{}",
        "[]",
        r#"{"data": []}"#,
        r#"{"data": [{"x": 1}]}"#,
    ] {
        let answer = serde_json::from_str(other).unwrap();
        assert!(with_service.report(&answer).is_none(), "{other}");
    }
}
