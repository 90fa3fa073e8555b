use std::collections::BTreeMap;
use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::json;

use super::super::call_key;
use super::super::tests::Running;
use super::super::{ResultSettings, SpoolSettings};
use super::*;
use crate::domain::{CacheUse, CallEnd, CallRow, CallSource, CallUnits, RowCost, UsageTotals};

/// 2026-11-23T00:00:00Z
const START: i64 = 1_795_392_000_000;

fn row(id: &str, ts_ms: i64) -> CallRow {
    let units = [("input_tokens", "12"), ("share", "0.25")];
    let units = units.map(|(unit, amount)| (unit.to_owned(), amount.parse().unwrap()));
    CallRow {
        ts_ms,
        call_id: id.to_owned(),
        service: "shop".to_owned(),
        consumer: Some("cart".to_owned()),
        method: "POST".to_owned(),
        route: "/v1/{id}".to_owned(),
        status: Some(201),
        latency_us: Some(1_500),
        dns_us: None,
        connect_us: Some(20),
        tls_us: None,
        first_byte_us: Some(900),
        bytes_in: 10,
        bytes_out: 20,
        units: CallUnits::Known(BTreeMap::from(units)),
        cost: Some(RowCost {
            min: "0.000000000001".parse().unwrap(),
            max: Decimal::from(2),
            currency: "EUR".to_owned(),
        }),
        attempts: 1,
        cache: CacheUse::Miss,
        source: CallSource::Api,
        error_kind: None,
        ended: CallEnd::Complete,
    }
}

fn batch(seq: i64, rows: Vec<CallRow>) -> Arc<CallBatch> {
    let totals = UsageTotals::of(&rows).into_totals();
    Arc::new(CallBatch { seq, rows, totals })
}

async fn append(store: &ResultStore, batch: &Arc<CallBatch>) {
    store
        .call_batch_append(Arc::clone(batch))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_batch_that_is_handed_over_again_is_stored_once_with_its_totals_and_keys() {
    let running = Running::start();
    let first = batch(
        7,
        vec![
            row("a", START),
            row("b", START + 59_999),
            row("c", START + 60_000),
        ],
    );
    append(&running.store, &first).await;
    append(&running.store, &first).await;
    append(&running.store, &batch(8, vec![row("d", START + 60_001)])).await;
    let calls = "SELECT string_agg(call_id, '' ORDER BY ts), sum(cost_min)::VARCHAR, any_value(units), any_value(latency_ms) FROM calls";
    assert_eq!(
        running.rows(calls).await,
        [[
            json!("abcd"),
            json!("0.000000000004"),
            json!({"input_tokens": 12, "share": 0.25}),
            json!(1.5)
        ]]
    );
    let totals = "SELECT calls, units::VARCHAR, cost_max::VARCHAR, status_class, unlisted FROM usage_totals ORDER BY ts";
    let total = |units: &str| json!([2, units, "4.000000000000", "2xx", 0]);
    let units = "{\"input_tokens\":24,\"share\":0.5}";
    assert_eq!(
        json!(running.rows(totals).await),
        json!([total(units), total(units)])
    );
    let keys = running
        .store
        .call_keys_between((START, START + 60_001), 10)
        .await
        .unwrap();
    let wanted = ["a", "b", "c"].map(|id| call_key("shop", id));
    assert_eq!(keys, Some(HashSet::from(wanted)));
    let span = (START, START + 86_400_000);
    assert_eq!(
        running.store.call_keys_between(span, 3).await.unwrap(),
        None
    );
    let asked = HashSet::from([call_key("shop", "d"), call_key("other", "a")]);
    let found = running.store.call_keys_among(span, asked).await.unwrap();
    assert_eq!(found, HashSet::from([call_key("shop", "d")]));
    assert_eq!(running.store.call_batch_last().await.unwrap(), None);
    let routes = running.store.call_routes_since(START).await.unwrap();
    assert_eq!(routes, [("shop".to_owned(), "/v1/{id}".to_owned())]);
    let of_gateway = CallRow {
        source: CallSource::Gateway,
        ..row("e", START)
    };
    append(&running.store, &batch(9, vec![of_gateway])).await;
    assert_eq!(running.store.call_batch_last().await.unwrap(), Some(9));
    let known = running.store.call_keys_between(span, 10).await.unwrap();
    assert_eq!(
        known.unwrap().len(),
        4,
        "the gateway's calls have ids of ours"
    );
    running.stop().await;
}

#[tokio::test]
async fn calls_that_are_spooled_and_handed_over_again_are_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let spool = SpoolSettings {
        reserve_bytes: 0,
        ..SpoolSettings::new(dir.path().join("spool"))
    };
    let settings = ResultSettings {
        spool: Some(spool),
        ..ResultSettings::default()
    };
    let running = Running::start_in(dir, settings);
    // The write-ahead log can't be opened while a folder lies in its place.
    let log = running.dir.path().join("results.duckdb.wal");
    std::fs::create_dir(&log).unwrap();
    for seq in 1..=20 {
        let batch = batch(seq, vec![row(&format!("c{seq}"), START + seq)]);
        append(&running.store, &batch).await;
        append(&running.store, &batch).await;
    }
    assert!(!running.store.is_settled());
    std::fs::remove_dir(&log).unwrap();
    for _ in 0..6_000 {
        if running.store.is_settled() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let counted = "SELECT count(*), count(DISTINCT call_id), (SELECT sum(calls)::BIGINT FROM usage_totals) FROM calls";
    assert_eq!(json!(running.rows(counted).await), json!([[20, 20, 20]]));
    running.stop().await;
}

#[tokio::test]
async fn rows_and_totals_that_differ_are_found_by_minute() {
    let running = Running::start();
    append(
        &running.store,
        &batch(1, vec![row("a", START), row("b", START + 60_000)]),
    )
    .await;
    let span = (START, START + 3_600_000);
    assert_eq!(running.store.usage_differences(span).await.unwrap(), []);
    let mut odd = Arc::unwrap_or_clone(batch(2, vec![row("c", START + 60_000)]));
    odd.rows.clear();
    append(&running.store, &Arc::new(odd)).await;
    let difference = UsageDifference {
        minute_ms: START + 60_000,
        counted: 2,
        listed: 1,
    };
    assert_eq!(
        running.store.usage_differences(span).await.unwrap(),
        [difference]
    );
    // Those that are said to have no row are no difference.
    let mut unlisted = UsageTotals::default();
    unlisted.add_unlisted(row("d", START));
    let without_rows = CallBatch {
        seq: 3,
        rows: Vec::new(),
        totals: unlisted.into_totals(),
    };
    append(&running.store, &Arc::new(without_rows)).await;
    assert_eq!(
        running.store.usage_differences(span).await.unwrap(),
        [difference]
    );
    let totals = "SELECT sum(calls)::BIGINT, sum(unlisted)::BIGINT FROM usage_totals";
    assert_eq!(json!(running.rows(totals).await), json!([[4, 1]]));
    running.stop().await;
}
