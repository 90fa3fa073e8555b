//! The past of services, as rules read it back.

use std::sync::LazyLock;

use super::history::{NEVER, SOON, counting, until_counted};
use super::*;
use crate::domain::{COARSE_MS, Exclusion, FINE_MS, RunSlot, latency_bin};

const DAY: i64 = 86_400_000;

/// Midnight more than a week ago: slots of days that are over are counted, and none is removed yet.
static BEGAN: LazyLock<i64> = LazyLock::new(|| (crate::domain::now_ms() / DAY - 8) * DAY);

/// Every ten minutes for five days: every third fails, one is missed, and one is due while the service is worked
/// on.
fn five_days() -> impl Iterator<Item = Observation> {
    (0..720).map(|run_id| {
        let run = match run_id {
            100 => failed(run_id),
            200 => Observation {
                excluded: Some(Exclusion::Maintenance),
                ..observation(run_id)
            },
            _ if run_id % 3 == 0 => Observation {
                status: Status::Unhealthy,
                ..observation(run_id)
            },
            _ => observation(run_id),
        };
        Observation {
            ts_ms: *BEGAN + run_id * 10 * MINUTE,
            ..run
        }
    })
}

async fn append(running: &Running, runs: impl Iterator<Item = Observation>) {
    let mut runs: Vec<Observation> = runs.collect();
    let last = runs.pop().unwrap();
    for run in runs {
        running.store.observation_record(Arc::new(run));
    }
    running
        .store
        .observation_append_durable(Arc::new(last))
        .await
        .unwrap();
}

fn span(service: &str, days: i64) -> PastSpan {
    PastSpan {
        service: service.to_owned(),
        since_ms: *BEGAN,
        until_ms: i64::MAX,
        as_of_ms: *BEGAN + days * DAY,
        interval: Duration::from_secs(600),
    }
}

fn total(slots: &[RunSlot]) -> [u64; 4] {
    let mut total = [0; 4];
    for slot in slots {
        for (sum, runs) in total.iter_mut().zip(slot.runs) {
            *sum += runs;
        }
    }
    total
}

#[tokio::test]
async fn the_last_runs_come_one_by_one_and_those_before_by_slots() {
    let running = Running::start_in(tempfile::tempdir().unwrap(), counting(NEVER));
    append(&running, five_days()).await;
    let past = running.store.past_runs(vec![span("shop-api", 5)]).await;
    let past = past.unwrap().remove(0);
    // Twelve hours, whose runs are every ten minutes.
    let rows_from_ms = *BEGAN + 5 * DAY - 12 * COARSE_MS;
    assert_eq!(past.samples.len(), 72);
    assert_eq!(past.samples[0].ts_ms, rows_from_ms);
    assert_eq!(past.observations.len(), crate::domain::LEAST_SAMPLES);
    assert_eq!(past.observations.last().unwrap().run_id, 719);
    assert!(past.latest.is_empty());
    // 648 runs before: 216 failed, one was missed and one excluded.
    assert_eq!(total(&past.slots), [430, 0, 216, 0]);
    let hours = past
        .slots
        .iter()
        .filter(|slot| slot.start_ms < *BEGAN + 2 * DAY);
    assert_eq!((hours.count(), past.slots.len()), (48, 48 + 360));
    assert!(past.slots.is_sorted_by_key(|slot| slot.start_ms));
    for slot in &past.slots {
        let available = slot.runs[0];
        let wanted = (available > 0).then_some((latency_bin(12_500), available));
        assert_eq!(slot.latencies, wanted.into_iter().collect::<Vec<_>>());
        assert!(slot.start_ms % FINE_MS == 0 && slot.covered_ms <= 3_600_000);
    }
    let covered: u64 = past.slots.iter().map(|slot| slot.covered_ms).sum();
    let lost = 2 * 600_000;
    assert!(
        covered >= 4 * 86_400_000 + 43_200_000 - lost,
        "all but the two that did not count: {covered}"
    );
    running.stop().await;
}

#[tokio::test]
async fn the_past_is_the_same_whatever_is_counted_by_then_and_with_late_runs() {
    let running = Running::start_in(tempfile::tempdir().unwrap(), counting(NEVER));
    append(&running, five_days()).await;
    let spans = || vec![span("shop-api", 5), span("nobody", 5)];
    let uncounted = running.store.past_runs(spans()).await.unwrap();
    assert!(!uncounted[0].slots.is_empty() && uncounted[1].slots.is_empty());
    let running = Running::start_in(running.stop().await, counting(SOON));
    until_counted(&running.store, *BEGAN + 5 * DAY).await;
    assert_eq!(running.store.past_runs(spans()).await.unwrap(), uncounted);
    let late = Observation {
        ts_ms: *BEGAN + DAY + 7,
        run_id: 5_000,
        status: Status::Degraded,
        ..observation(0)
    };
    append(&running, std::iter::once(late)).await;
    let past = running.store.past_runs(spans()).await.unwrap();
    assert_eq!(total(&past[0].slots), [430, 1, 216, 0]);
    running.stop().await;
}

#[tokio::test]
async fn the_last_run_of_a_rare_probe_is_whole_and_a_rare_service_has_its_runs_in_a_row() {
    let running = Running::start_in(tempfile::tempdir().unwrap(), counting(NEVER));
    let often = (0..200).map(observation);
    let tls = Observation {
        probe: "tls".to_owned(),
        run_id: 300,
        ..observation(20)
    };
    let rare = (0..100).map(|hour| Observation {
        service: "rare".to_owned(),
        ts_ms: START - hour * COARSE_MS,
        run_id: 1_000 - hour,
        ..observation(0)
    });
    append(&running, often.chain([tls.clone()]).chain(rare)).await;
    let span = |service: &str, seconds| PastSpan {
        since_ms: START - 200 * COARSE_MS,
        as_of_ms: START + 200 * MINUTE,
        interval: Duration::from_secs(seconds),
        ..span(service, 0)
    };
    let past = running
        .store
        .past_runs(vec![span("shop-api", 60), span("rare", 3_600)])
        .await
        .unwrap();
    assert_eq!(past[0].latest, [tls]);
    assert_eq!(past[0].samples.len(), 201);
    assert_eq!(past[1].observations.len(), 62);
    let counted = total(&past[1].slots)[0];
    assert_eq!(past[1].samples.len() as u64 + counted, 100);
    running.stop().await;
}

#[tokio::test]
async fn readings_of_rate_limits_reach_further_back_than_whole_runs() {
    let running = Running::start_in(tempfile::tempdir().unwrap(), counting(NEVER));
    let read = |run_id: i64| {
        let limit = RateLimit {
            ts_ms: START + run_id * MINUTE + 1,
            host: "api.example.com".to_owned(),
            name: "core".to_owned(),
            remaining: Some(run_id.unsigned_abs()),
            ..RateLimit::default()
        };
        Observation {
            rate_limits: vec![limit],
            ..observation(run_id)
        }
    };
    append(&running, (0..100).map(read)).await;
    let past = running.past("shop-api", START, START + 100 * MINUTE).await;
    assert_eq!(past.observations, (36..100).map(read).collect::<Vec<_>>());
    let before: Vec<u64> = past
        .readings
        .iter()
        .filter_map(|reading| reading.limit.remaining)
        .collect();
    // Each half hour has its last one; that of the second is one of a whole run.
    assert_eq!(before, [29]);

    // What was read later takes no place.
    let past = running.past("shop-api", START, START + 10 * MINUTE).await;
    let before: Vec<u64> = past
        .readings
        .iter()
        .filter_map(|reading| reading.limit.remaining)
        .collect();
    assert_eq!(before, [9]);
    running.stop().await;
}
