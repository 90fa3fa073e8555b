//! Stores of earlier versions are brought up to date, with all that is in them. Each fixture holds
//! `control.sqlite`, `results.duckdb` and their key, as `extrack demo` left them.

use std::path::{Path, PathBuf};
use std::process::Command;

use extrack_tests::TestRuntime;
use extrack_tests::runtime::{Said, text};
use serde_json::json;

/// Archives, with the number of observations and of alerts that fired in them.
const FIXTURES: [(&str, i64, u32); 1] = [("0.1-2026-11-30.tgz", 40, 3)];

/// Rows of the fixtures: their services are watched from the start on, with rows of today.
const OF_FIXTURES: &str = "ts < TIMESTAMP '2026-12-01'";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stores")
}

fn unpack(name: &str, data: &Path) {
    let archive = folder().join(name);
    let unpacked = Command::new("tar")
        .args(["-xzf", text(&archive), "-C", text(data)])
        .status()
        .unwrap();
    assert!(unpacked.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_of_earlier_versions_are_brought_up_to_date_with_what_is_in_them() {
    let found = std::fs::read_dir(folder()).unwrap().count();
    assert_eq!(found, FIXTURES.len(), "each archive is listed");
    for (name, observations, alerts) in FIXTURES {
        let mut runtime = TestRuntime::builder().prepare();
        let data = runtime.data();
        unpack(name, &data);
        runtime.start().await;
        let api = runtime.api();
        let count = format!("SELECT count(*) FROM observations WHERE {OF_FIXTURES}");
        assert_eq!(api.sql_count(&count).await, observations, "{name}");
        let counted = format!("SELECT sum(runs)::BIGINT FROM roll_1d WHERE {OF_FIXTURES}");
        assert_eq!(api.sql_count(&counted).await, observations, "{name}");
        for id in 1..=alerts {
            let alert = api.get(&format!("/api/v1/alerts/{id}")).await;
            alert.expect(200);
        }
        let path = "/api/v1/queries/availability/run";
        api.post(path, &json!({})).await.expect(200);
        runtime.stop().await;
        let said = runtime.cli(["store", "check", "--data", text(&data)]).await;
        assert_eq!(said.code, Some(0), "{name}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_are_migrated_ahead_of_a_start_and_never_under_a_running_program() {
    for (name, observations, _) in FIXTURES {
        let mut runtime = TestRuntime::builder().prepare();
        let data = runtime.data();
        unpack(name, &data);
        let bytes = || std::fs::read(data.join("results.duckdb")).unwrap();
        let before = bytes();
        let migrate = ["store", "migrate", "--data", text(&data)];
        let said = runtime.cli([&migrate[..], &["--dry-run"]].concat()).await;
        let is_said = |said: &Said, store: &str, part: &str| {
            let line = said.out.lines().find(|line| line.starts_with(store));
            assert_eq!(said.code, Some(0), "{name}: {said:?}");
            assert!(
                line.is_some_and(|line| line.contains(part)),
                "{name}: {said:?}"
            );
        };
        is_said(&said, "results.duckdb", "would go from version");
        assert!(bytes() == before, "a dry run changes nothing");
        let said = runtime.cli(migrate).await;
        is_said(&said, "results.duckdb", "went from version");
        let said = runtime.cli(migrate).await;
        is_said(&said, "results.duckdb", "is up to date");
        is_said(&said, "control.sqlite", "is up to date");

        runtime.start().await;
        let count = format!("SELECT count(*) FROM observations WHERE {OF_FIXTURES}");
        assert_eq!(
            runtime.api().sql_count(&count).await,
            observations,
            "{name}"
        );
        let refused = runtime.cli(migrate).await;
        assert!(
            refused.code != Some(0) && refused.err.contains("in use by process"),
            "{refused:?}"
        );
    }
}
