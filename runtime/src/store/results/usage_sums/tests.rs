use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::super::tests::Running;
use super::*;
use crate::domain::{CacheUse, CallBatch, CallRow, CallSource, CallUnits, RowCost, UsageTotals};

/// 2026-11-23T00:00:00Z
const START: i64 = 1_795_392_000_000;
const DAY_MS: i64 = 86_400_000;

fn decimal(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap()
}

fn row(id: &str, ts_ms: i64) -> CallRow {
    let units = BTreeMap::from([("tokens".to_owned(), decimal("1.5"))]);
    CallRow {
        ts_ms,
        call_id: id.to_owned(),
        service: "shop".to_owned(),
        consumer: Some("cart".to_owned()),
        method: "POST".to_owned(),
        route: "/v1/{id}".to_owned(),
        status: Some(201),
        latency_us: None,
        dns_us: None,
        connect_us: None,
        tls_us: None,
        first_byte_us: None,
        bytes_in: 10,
        bytes_out: 20,
        units: CallUnits::Known(units),
        cost: Some(RowCost {
            min: decimal("0.000000000001"),
            max: decimal("0.3"),
            currency: "EUR".to_owned(),
        }),
        attempts: 1,
        cache: CacheUse::None,
        source: CallSource::Api,
        error_kind: None,
        ended: CallEnd::Complete,
    }
}

/// Two calls of one consumer, and one each of many kinds.
async fn filled() -> Running {
    let rows = vec![
        row("a", START),
        row("b", START + DAY_MS),
        CallRow {
            consumer: None,
            attempts: 3,
            ..row("retried", START)
        },
        CallRow {
            status: Some(503),
            ..row("failed", START)
        },
        CallRow {
            status: None,
            ended: CallEnd::Timeout,
            ..row("late", START)
        },
        CallRow {
            source: CallSource::Probe,
            cost: None,
            ..row("probe", START)
        },
        CallRow {
            service: "other".to_owned(),
            ..row("other", START)
        },
    ];
    let totals = UsageTotals::of(&rows).into_totals();
    let batch = CallBatch {
        seq: 1,
        rows,
        totals,
    };
    let running = Running::start();
    let stored = running.store.call_batch_append(Arc::new(batch)).await;
    stored.unwrap().unwrap();
    running
}

fn question() -> UsageQuestion {
    UsageQuestion {
        from_ms: START,
        until_ms: START + 2 * DAY_MS,
        service: Some("shop".to_owned()),
        ..UsageQuestion::default()
    }
}

#[tokio::test]
async fn calls_are_summed_by_currency_with_what_went_wrong() {
    let running = filled().await;
    let sums = running.store.usage_sums(question()).await.unwrap();
    let found: Vec<_> = sums
        .iter()
        .map(|sum| (sum.currency.as_deref(), sum.all.calls, sum.attempts))
        .collect();
    assert_eq!(found, [(Some("EUR"), 5, 7), (None, 1, 1)]);
    let priced = &sums[0];
    assert_eq!(priced.all.cost.low, decimal("0.000000000005"));
    assert_eq!(priced.all.cost.high, decimal("1.5"));
    assert_eq!((priced.failed.calls, priced.timed_out.calls), (1, 1));
    assert_eq!(priced.failed.cost.high, decimal("0.3"));
    assert_eq!(sums[1].checks.calls, 1);
    let retries = running.store.usage_retries(question()).await.unwrap();
    assert_eq!(retries.len(), 1);
    assert_eq!(
        (retries[0].attempts, retries[0].at_most),
        (2, decimal("0.2"))
    );
}

#[tokio::test]
async fn sums_have_the_keys_that_were_asked_for() {
    let running = filled().await;
    let by_consumer = UsageQuestion {
        by_consumer: true,
        by_route: true,
        service: None,
        ..question()
    };
    let units = running.store.usage_units(by_consumer).await.unwrap();
    let found: Vec<_> = units
        .iter()
        .map(|sum| {
            (
                sum.key.service.as_str(),
                sum.key.consumer.as_deref(),
                sum.amount,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("other", Some("cart"), decimal("1.5")),
            ("shop", Some("cart"), decimal("7.5")),
            ("shop", None, decimal("1.5")),
        ]
    );
    assert!(
        units
            .iter()
            .all(|sum| sum.key.route.as_deref() == Some("/v1/{id}"))
    );
    let by_day = |offset_ms| UsageQuestion {
        by_day: true,
        offset_ms,
        ..question()
    };
    let first = START / DAY_MS;
    let sums = running.store.usage_sums(by_day(0)).await.unwrap();
    let days: Vec<_> = sums.iter().map(|sum| sum.key.day).collect();
    assert_eq!(days, [Some(first), Some(first), Some(first + 1)]);
    let sums = running.store.usage_sums(by_day(-3_600_000)).await.unwrap();
    assert_eq!(sums[0].key.day, Some(first - 1));
}

#[tokio::test]
async fn meters_go_on_from_calls_with_a_cost() {
    let running = filled().await;
    let until_ms = START + 2 * DAY_MS;
    let groups = running.store.usage_groups(START, until_ms).await.unwrap();
    let shop: Vec<&CallGroup> = groups
        .iter()
        .filter(|(service, _)| service == "shop")
        .map(|(_, group)| group)
        .collect();
    let found: Vec<_> = shop
        .iter()
        .map(|group| {
            (
                group.status,
                group.calls,
                group.attempts,
                group.units["tokens"],
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (Some(200), 3, 5, decimal("4.5")),
            (Some(500), 1, 1, decimal("1.5")),
            (None, 1, 1, decimal("1.5")),
        ]
    );
    assert!(shop.iter().all(|group| group.ts_ms == START));
}

#[tokio::test]
async fn months_have_the_cost_of_calls_that_have_one() {
    let running = filled().await;
    let months = "SELECT month::VARCHAR, service, currency, calls, attempts, cost_max::VARCHAR FROM cost_by_month ORDER BY service";
    let row = |service: &str, calls: i64, attempts: i64, cost: &str| {
        json!(["2026-11-01", service, "EUR", calls, attempts, cost])
    };
    assert_eq!(
        json!(running.rows(months).await),
        json!([
            row("other", 1, 1, "0.300000000000"),
            row("shop", 5, 7, "1.500000000000")
        ])
    );
}
