//! Tiers of history in a store that runs, and what users ask of them.

use std::sync::Arc;

use super::*;
use crate::domain::{Tier, latency_bin, latency_bin_estimate_us, now_ms};

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
