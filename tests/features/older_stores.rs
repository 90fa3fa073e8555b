//! Stores of earlier versions are brought up to date, with all that is in them. Each fixture holds
//! `control.sqlite`, `results.duckdb` and their key, as `extrack demo` left them.

use std::path::{Path, PathBuf};
use std::process::Command;

use extrack_tests::TestRuntime;
use extrack_tests::runtime::text;
use serde_json::json;

/// Archives, with the number of observations and of alerts that fired in them.
const FIXTURES: [(&str, i64, u32); 1] = [("0.1-2026-11-30.tgz", 40, 3)];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stores")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_of_earlier_versions_are_brought_up_to_date_with_what_is_in_them() {
    let found = std::fs::read_dir(folder()).unwrap().count();
    assert_eq!(found, FIXTURES.len(), "each archive is listed");
    for (name, observations, alerts) in FIXTURES {
        let mut runtime = TestRuntime::builder().prepare();
        let (archive, data) = (folder().join(name), runtime.data());
        let unpacked = Command::new("tar")
            .args(["-xzf", text(&archive), "-C", text(&data)])
            .status()
            .unwrap();
        assert!(unpacked.success());
        runtime.start().await;
        let api = runtime.api();
        let count = "SELECT count(*) FROM observations";
        assert_eq!(api.sql_count(count).await, observations, "{name}");
        let counted = "SELECT sum(runs)::BIGINT FROM roll_1d";
        assert_eq!(api.sql_count(counted).await, observations, "{name}");
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
