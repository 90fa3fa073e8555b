use std::sync::Arc;

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
