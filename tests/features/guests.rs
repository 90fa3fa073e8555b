//! Guests that misbehave: each costs its own run, is recorded as what it did, and nobody else notices.

use extrack_tests::{PATIENCE, Silent, TargetServer, TestRuntime, components, wait_for};
use serde_json::Value;

/// A guest of `tests/guests`, and how its runs have to be recorded.
struct Hostile {
    guest: &'static str,
    /// Of `plugin_runs`; any of these.
    outcomes: &'static [&'static str],
    /// Of the observation.
    error_kind: &'static str,
}

const HOSTILE: [Hostile; 0] = [];

fn services(nginx: &TargetServer, silent: &Silent) -> String {
    let hostile = |guest: &Hostile| {
        format!(
            "\n  - {{name: \"{0}\", slug: {0}, type: own, baseUrl: \"{1}\", monitoring: {{probe: {0}, interval: 1, timeout: 700}}}}",
            guest.guest,
            silent.url()
        )
    };
    format!(
        "services:\n  - {{name: beside, baseUrl: \"{}\", healthEndpoint: /health, monitoring: {{interval: 1, timeout: 900}}}}{}\n",
        nginx.url(),
        HOSTILE.iter().map(hostile).collect::<String>()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_costs_its_own_run_only_and_is_recorded_as_such() {
    let (nginx, silent) = (TargetServer::start().await, Silent::start().await);
    let mut builder = TestRuntime::builder().services(services(&nginx, &silent));
    for hostile in &HOSTILE {
        builder = builder.plugin(&format!("{}.wasm", hostile.guest), components::guest(hostile.guest));
    }
    let runtime = builder.start().await;
    let api = runtime.api();
    // Long enough that each had its chance ten times.
    for hostile in &HOSTILE {
        let guest = hostile.guest;
        wait_for(&format!("ten runs of {guest}"), PATIENCE * 2, async || {
            let runs = api.sql_count(&format!("SELECT count(*) FROM plugin_runs WHERE plugin = '{guest}' AND function = 'check'")).await;
            if runs >= 10 { Ok(()) } else { Err(format!("{runs} runs")) }
        })
        .await;
        let outcomes = api
            .sql(&format!("SELECT DISTINCT outcome, error FROM plugin_runs WHERE plugin = '{guest}' AND function = 'check'"))
            .await;
        for row in &outcomes {
            assert!(hostile.outcomes.iter().any(|outcome| row[0] == *outcome), "{guest}: {outcomes:?}");
            assert!(row[1].as_str().is_some_and(|error| !error.is_empty()), "{guest} ended without a reason: {outcomes:?}");
        }
        let observations = api
            .sql(&format!("SELECT DISTINCT status, error_kind FROM observations WHERE service = '{guest}' AND NOT missed"))
            .await;
        assert_eq!(observations, [vec![Value::from("error"), Value::from(hostile.error_kind)]], "{guest}");
    }
    // Whoever runs beside them noticed nothing: every second its run, every run in time.
    let harmed = api.sql("SELECT ts, status, error, missed FROM observations WHERE service = 'beside' AND (missed OR status <> 'healthy')").await;
    assert!(harmed.is_empty(), "{harmed:?}");
    let gaps = api
        .sql(
            "SELECT ts, gap_ms FROM (SELECT ts, epoch_ms(ts) - epoch_ms(lag(ts) OVER (ORDER BY ts)) AS gap_ms \
             FROM observations WHERE service = 'beside') WHERE gap_ms <> 1000",
        )
        .await;
    assert!(gaps.is_empty(), "{gaps:?}");
    let slowest = api.sql("SELECT max(latency_ms) FROM observations WHERE service = 'beside'").await;
    assert!(slowest[0][0].as_f64().is_some_and(|latency_ms| latency_ms < 500.0), "{slowest:?}");
    assert_eq!(api.get("/readyz").await.status, 200);
}
