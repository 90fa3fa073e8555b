//! Tiers of history in a store that runs, and what users ask of them.

use std::sync::Arc;

use super::*;
use crate::domain::{Slo, Tier, latency_bin, latency_bin_estimate_us, now_ms};

pub(super) fn counting(interval: Duration) -> ResultSettings {
    ResultSettings {
        tiers: TierSettings {
            interval,
            ..TierSettings::default()
        },
        ..ResultSettings::default()
    }
}

pub(super) const NEVER: Duration = Duration::from_secs(86_400);
pub(super) const SOON: Duration = Duration::from_millis(5);

/// Runs of the last hours: the first of them is due at `since_ms`.
async fn append(running: &Running, since_ms: i64, runs: Vec<Observation>) {
    for (index, run) in runs.into_iter().enumerate() {
        let run = Observation {
            ts_ms: since_ms + index as i64 * MINUTE,
            run_id: index as i64 + 1,
            ..run
        };
        running.store.observation_record(Arc::new(run));
    }
    let last = Observation {
        ts_ms: since_ms,
        service: "last".to_owned(),
        ..observation(1_000)
    };
    running
        .store
        .observation_append_durable(Arc::new(last))
        .await
        .unwrap();
}

fn found(status: Status, kind: Option<ErrorKind>) -> Observation {
    Observation {
        status,
        failure: kind.map(|kind| Failure::new(kind, "x")),
        ..observation(0)
    }
}

/// Two that were up and one that was down, and what counts as neither.
fn mixed() -> Vec<Observation> {
    vec![
        found(Status::Healthy, None),
        found(Status::Degraded, None),
        found(Status::Error, Some(ErrorKind::Timeout)),
        found(Status::Error, Some(ErrorKind::Plugin)),
        Observation {
            missed: true,
            ..found(Status::Error, Some(ErrorKind::Plugin))
        },
        Observation {
            location: WEBHOOK.to_owned(),
            ..found(Status::Unhealthy, None)
        },
    ]
}

pub(super) async fn until_counted(store: &ResultStore, until_ms: i64) {
    let counted = async {
        while store
            .counted_until_ms(Tier::Hour)
            .is_none_or(|counted_ms| counted_ms < until_ms)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), counted)
        .await
        .expect("the history is counted");
}

const ASKED: &str = "SELECT availability, coverage, up, down, runs, missed, broken, paused, maintenance \
                     FROM availability('shop-api', INTERVAL 1 DAY)";

#[tokio::test]
async fn availability_is_rounded_down_and_leaves_out_what_is_no_evidence() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start_in(dir, counting(NEVER));
    let since_ms = now_ms() - 3 * 3_600_000;
    append(&running, since_ms, mixed()).await;
    let wanted = vec![json!([66.666, 60.0, 2, 1, 5, 1, 1, 0, 0])];
    let rows = |rows: Vec<Vec<Value>>| rows.into_iter().map(Value::from).collect::<Vec<_>>();
    assert_eq!(rows(running.rows(ASKED).await), wanted);
    let dir = running.stop().await;
    let running = Running::start_in(dir, counting(SOON));
    until_counted(&running.store, since_ms + 3_600_000).await;
    assert_eq!(
        rows(running.rows(ASKED).await),
        wanted,
        "the same from tiers"
    );
    assert_eq!(
        running
            .one("SELECT availability FROM availability_30d WHERE service = 'shop-api'")
            .await,
        json!(66.666)
    );
    let counted = running.store.read(|connection| {
        let sql = "SELECT sum(runs)::BIGINT AS runs FROM fact.roll_1h";
        let runs = connection.query_row(sql, [], |row| row.get::<_, i64>("runs"));
        runs.map_err(super::super::error::reading)
    });
    assert_eq!(counted.await.unwrap(), 7);
    running.stop().await;
}

#[tokio::test]
async fn quantiles_are_those_of_the_bins_and_only_of_available_runs() {
    let running = Running::start();
    let run = |latency_us, status| Observation {
        status,
        latency_us: Some(latency_us),
        ..observation(0)
    };
    let mut runs: Vec<_> = (1..=100).map(|n| run(n * 1_000, Status::Healthy)).collect();
    runs.push(run(60_000_000, Status::Unhealthy));
    append(&running, now_ms() - 4 * 3_600_000, runs).await;
    let rows = running
        .rows("SELECT runs, p50_ms, p95_ms, p99_ms FROM latency('shop-api', INTERVAL 6 HOUR)")
        .await;
    assert_eq!(rows[0][0], json!(100));
    for (value, exact_us) in rows[0][1..].iter().zip([50_000, 95_000, 99_000]) {
        let wanted = latency_bin_estimate_us(latency_bin(exact_us)) / 1_000.0;
        let found = value.as_f64().unwrap();
        assert!((found / wanted - 1.0).abs() < 1e-9, "{found} for {wanted}");
    }
    assert_eq!(
        running
            .one("SELECT count(*) FROM latency('nobody', INTERVAL 6 HOUR)")
            .await,
        json!(0)
    );
    running.stop().await;
}

#[tokio::test]
async fn the_history_of_a_service_is_that_of_sql_in_slots_of_any_width() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start_in(dir, counting(NEVER));
    let since_ms = (now_ms() - 3 * 3_600_000).div_euclid(3_600_000) * 3_600_000;
    append(&running, since_ms, mixed()).await;
    let until_ms = since_ms + 3_600_000;
    let history = async |running: &Running| {
        let mut all = Vec::new();
        for (tier, width_ms) in [
            (Tier::FiveMinutes, 300_000),
            (Tier::FiveMinutes, 1_800_000),
            (Tier::Hour, 3_600_000),
        ] {
            let asked =
                running
                    .store
                    .service_history("shop-api", tier, width_ms, (since_ms, until_ms));
            all.push(asked.await.unwrap());
        }
        all
    };
    let before = history(&running).await;
    for slots in &before {
        let mut sum = HistorySlot::default();
        slots.iter().for_each(|slot| sum.add(slot));
        assert_eq!(
            (sum.up(), sum.down(), sum.missed, sum.broken, sum.excluded),
            (2, 1, 1, 1, 0),
            "{slots:?}"
        );
        assert!(sum.latencies.quantile_us(0.95).is_some());
    }
    let dir = running.stop().await;
    let running = Running::start_in(dir, counting(SOON));
    until_counted(&running.store, until_ms).await;
    assert_eq!(history(&running).await, before, "the same from tiers");
    running.stop().await;
}

#[tokio::test]
async fn the_histories_of_several_services_are_each_that_of_the_one() {
    let running = Running::start_in(tempfile::tempdir().unwrap(), counting(NEVER));
    let since_ms = (now_ms() - 3 * 3_600_000).div_euclid(3_600_000) * 3_600_000;
    append(&running, since_ms, mixed()).await;
    let spans = HistorySpans {
        days_from_ms: since_ms.div_euclid(86_400_000) * 86_400_000,
        hours_from_ms: since_ms,
        incidents_from_ms: since_ms,
        claims_from_ms: None,
        until_ms: now_ms(),
    };
    let asked = ["shop-api", "nobody"].map(str::to_owned).to_vec();
    let found = running.store.service_histories(asked, spans).await.unwrap();
    assert_eq!(
        found.days.keys().collect::<Vec<_>>(),
        ["shop-api"],
        "not the service that was not asked for"
    );
    let mut sum = HistorySlot::default();
    found.days["shop-api"].iter().for_each(|day| sum.add(day));
    let hours = &found.hours["shop-api"];
    for slot in [&sum, hours] {
        assert_eq!(
            (slot.up(), slot.down(), slot.missed, slot.broken),
            (2, 1, 1, 1),
            "{slot:?}"
        );
    }
    let span = (since_ms, spans.until_ms);
    let one = running
        .store
        .service_history("shop-api", Tier::Hour, 3_600_000, span);
    let mut one_sum = HistorySlot::default();
    one.await.unwrap().iter().for_each(|slot| one_sum.add(slot));
    assert_eq!(hours.latencies, one_sum.latencies);
    let none = running.store.service_histories(Vec::new(), spans).await;
    assert!(none.unwrap().days.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn summaries_of_all_services_stand_in_their_half_hours() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start_in(dir, counting(NEVER));
    let now_ms = now_ms();
    let since_ms = (now_ms - 3 * 3_600_000).div_euclid(3_600_000) * 3_600_000;
    let slo = Slo {
        target: 99.0,
        days: 30,
    };
    running.store.service_replace(vec![ServiceRow {
        slug: "shop-api".to_owned(),
        name: "Shop".to_owned(),
        kind: "REST".to_owned(),
        base: "https://shop.example.com/".to_owned(),
        tags: Vec::new(),
        owner: None,
        slo: Some(slo),
        profile: Default::default(),
        depends_on: Vec::new(),
    }]);
    append(&running, since_ms, mixed()).await;
    let before = running.store.service_summaries(now_ms).await.unwrap();
    let mut slugs: Vec<&str> = before.keys().map(String::as_str).collect();
    slugs.sort_unstable();
    assert_eq!(slugs, ["last", "shop-api"]);
    let shop = &before["shop-api"];
    assert_eq!((shop.up, shop.down), (2, 1));
    // One of five runs of an hour.
    let budget = ErrorBudget {
        whole_s: 25_920,
        left_s: 25_920 - 720,
    };
    assert_eq!(shop.budget, Some(budget));
    assert!(shop.p95_us.is_some(), "{shop:?}");
    assert_eq!(shop.half_hours.len(), HALF_HOURS);
    let measured = shop
        .half_hours
        .iter()
        .zip(0..)
        .filter(|(half_hour, _)| half_hour.healthy > 0);
    let measured: Vec<(&HalfHour, i64)> = measured.collect();
    let [(half_hour, place)] = measured[..] else {
        panic!("{measured:?}")
    };
    assert_eq!(shop.from_ms + place * HALF_HOUR_MS, since_ms);
    assert_eq!(
        (half_hour.degraded, half_hour.down, half_hour.uncounted),
        (1, 1, 2)
    );
    assert!(half_hour.latency_us.is_some());
    let dir = running.stop().await;
    let running = Running::start_in(dir, counting(SOON));
    until_counted(&running.store, since_ms + 3_600_000).await;
    let after = running.store.service_summaries(now_ms).await.unwrap();
    assert_eq!(after, before, "the same from tiers");
    running.stop().await;
}
