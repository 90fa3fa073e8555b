//! SQL over the data folder of a program that does not run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use extrack_tests::runtime::text;
use extrack_tests::{Said, TestRuntime};
use serde_json::Value;

use super::watched;

const COUNT: &str = "SELECT count(*) AS runs, max(run_id) AS last FROM observations";

/// Files of a folder with their content; those of locks name whoever looked last.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
        } else if path.extension().is_none_or(|end| end != "lock") {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

async fn ask(runtime: &TestRuntime, arguments: &[&str]) -> Said {
    let data = runtime.data();
    let all = ["sql", "--offline", text(&data)];
    runtime.cli([&all[..], arguments].concat()).await
}

fn rows(said: &Said) -> Value {
    assert_eq!(said.code, Some(0), "{said:?}");
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    answer["rows"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_data_folder_is_read_and_not_changed_and_a_running_one_is_refused() {
    let (mut runtime, _vendor) = watched().await;
    for _ in 0..5 {
        runtime.api().check("shop").await;
    }
    let refused = ask(&runtime, &[COUNT]).await;
    assert!(
        refused.code == Some(1) && refused.err.contains("in use by process"),
        "{refused:?}"
    );
    // With a log that has to be replayed, and rows that are not sealed.
    runtime.kill().await;
    let data = runtime.data();
    let before = content(&data);
    let answer = ask(&runtime, &["--json", COUNT]).await;
    let found = rows(&answer);
    assert!(found[0][0].as_i64().unwrap() >= 6, "{answer:?}");
    let tiers = "SELECT sum(runs)::BIGINT FROM roll_1d";
    assert_eq!(
        rows(&ask(&runtime, &["--json", tiers]).await)[0][0],
        found[0][0]
    );
    let csv = ask(&runtime, &["--csv", COUNT]).await;
    assert_eq!(csv.out.lines().next(), Some("runs,last"), "{csv:?}");
    let file = data.with_file_name("runs.parquet");
    let parquet = ask(&runtime, &["-o", text(&file), "SELECT * FROM observations"]).await;
    assert_eq!(parquet.code, Some(0), "{parquet:?}");
    assert!(std::fs::read(&file).unwrap().starts_with(b"PAR1"));
    let shown = ask(&runtime, &["\\d observations"]).await;
    assert!(shown.out.contains("latency_us"), "{shown:?}");
    for (sql, part) in [
        ("SELECT * FROM read_text('/etc/passwd')", "read_text"),
        ("DELETE FROM observations", "SELECT"),
        ("SELECT servce FROM observations", "did you mean"),
    ] {
        let refused = ask(&runtime, &[sql]).await;
        assert!(
            refused.code == Some(1) && refused.err.contains(part),
            "{sql}: {refused:?}"
        );
    }
    assert!(content(&data) == before, "the folder is as it was");

    // A sealed file with a flipped bit is written anew, elsewhere.
    runtime.start().await;
    runtime.api().sql(COUNT).await;
    runtime.stop().await;
    let sealed = content(&data.join("segments"));
    for (path, bytes) in &sealed {
        let mut bytes = bytes.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    let damaged = content(&data);
    let again = rows(&ask(&runtime, &["--json", COUNT]).await);
    assert!(again[0][0].as_i64() >= found[0][0].as_i64(), "{again}");
    assert!(content(&data) == damaged, "the folder is as it was");
    let nothing = runtime
        .cli(["sql", "--offline", text(&runtime.config()), COUNT])
        .await;
    assert!(nothing.err.contains("neither a data folder"), "{nothing:?}");
}
