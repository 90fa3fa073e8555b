//! Phases, swaps of plugins and failed runs, of what is stored.

use std::sync::Arc;

use super::*;
use crate::domain::Exclusion;
use crate::store::{PhaseSlot, PluginSwap};

async fn append(running: &Running, runs: Vec<Observation>) {
    for run in runs {
        running
            .store
            .observation_append_durable(Arc::new(run))
            .await
            .unwrap();
    }
}

fn version(run_id: i64, version: &str) -> Observation {
    Observation {
        plugin_version: version.to_owned(),
        ..observation(run_id)
    }
}

#[tokio::test]
async fn a_swap_is_the_first_run_of_another_version_and_so_is_the_way_back() {
    let running = Running::start();
    let runs = vec![
        version(1, "0.1.0"),
        version(2, "0.2.0"),
        version(3, "0.2.0"),
        Observation {
            service: "other".to_owned(),
            ..version(4, "0.3.0")
        },
        version(5, "0.1.0"),
    ];
    append(&running, runs).await;
    let span = (START, START + 60 * MINUTE);
    let swap = |run_id: i64, from: &str, to: &str| PluginSwap {
        at_ms: START + run_id * MINUTE,
        plugin: "http".to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    };
    assert_eq!(
        running.store.service_swaps("shop-api", span).await.unwrap(),
        [swap(2, "0.1.0", "0.2.0"), swap(5, "0.2.0", "0.1.0")]
    );
    running.stop().await;
}

#[tokio::test]
async fn phases_are_means_of_runs_that_found_it_up_and_failed_runs_are_found_alone() {
    let running = Running::start();
    let phases = |run_id: i64, dns_us: u64, body_us: Option<u64>| Observation {
        phases: Phases {
            dns_us: Some(dns_us),
            body_us,
            ..Phases::default()
        },
        ..observation(run_id)
    };
    let runs = vec![
        phases(1, 100, Some(40)),
        phases(2, 300, None),
        Observation {
            status: Status::Error,
            ..phases(3, 9_000, None)
        },
        Observation {
            excluded: Some(Exclusion::Maintenance),
            ..phases(4, 9_000, None)
        },
        Observation {
            missed: true,
            ..phases(5, 9_000, None)
        },
        phases(61, 500, None),
    ];
    append(&running, runs).await;
    let hour_ms = 60 * MINUTE;
    let span = (START, START + 2 * hour_ms);
    let slot = |from_ms, dns, body| PhaseSlot {
        from_ms,
        phases: [dns, 0.0, 0.0, 0.0, body],
    };
    let store = &running.store;
    assert_eq!(
        store
            .service_phases("shop-api", hour_ms, span)
            .await
            .unwrap(),
        [slot(START, 200.0, 20.0), slot(START + hour_ms, 500.0, 0.0)]
    );
    let failed = store.observation_failed_page("shop-api", 10).await.unwrap();
    let failed: Vec<i64> = failed.iter().map(|run| run.run_id).collect();
    assert_eq!(failed, [3]);
    let one = store.observation_get("shop-api", 2).await.unwrap();
    assert_eq!(one.map(|run| run.run_id), Some(2));
    assert_eq!(store.observation_get("other", 2).await.unwrap(), None);
    running.stop().await;
}
