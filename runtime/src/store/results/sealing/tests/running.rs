//! Sealing in a store that runs.

use std::time::Duration;

use crate::store::results::tests::Running;
use crate::store::results::{ResultSettings, SealSettings};

use super::*;

const HOURS: Duration = Duration::from_secs(7_200);

fn sealing(delay: Duration, interval: Duration) -> ResultSettings {
    ResultSettings {
        sealing: SealSettings { interval, delay },
        ..ResultSettings::default()
    }
}

fn start(settings: ResultSettings) -> Running {
    Running::start_in(tempfile::tempdir().unwrap(), settings)
}

async fn append(running: &Running, run_id: i64) {
    let row = Arc::new(observation(run_id));
    running.store.observation_append_durable(row).await.unwrap();
}

/// Ids of the runs that a query finds now.
async fn found(running: &Running) -> Vec<i64> {
    let snapshot = running.store.snapshot(&["observations"]).await.unwrap();
    let files = snapshot.tables["observations"].iter();
    let sql = format!(
        "SELECT run_id FROM {} ORDER BY run_id",
        source(files.map(PathBuf::as_path))
    );
    let reader = Connection::open_in_memory().unwrap();
    let mut statement = reader.prepare(&sql).unwrap();
    let rows = statement.query_map([], |row| row.get("run_id")).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Number of files that the store names, once there are some that have rows.
async fn named(running: &Running) -> i64 {
    let count = "SELECT count(*) AS found FROM fact.sealed_files WHERE rows > 0";
    for _ in 0..6_000 {
        let found: i64 = running
            .store
            .database
            .connect()
            .unwrap()
            .query_row(count, [], |row| row.get("found"))
            .unwrap();
        if found > 0 {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nothing is sealed");
}

#[tokio::test]
async fn who_asks_finds_what_was_committed_before() {
    let running = start(sealing(HOURS, HOURS));
    for run_id in 1..=5 {
        append(&running, run_id).await;
        assert_eq!(found(&running).await, (1..=run_id).collect::<Vec<_>>());
    }
    let all = futures::future::join_all((0..20).map(|_| found(&running))).await;
    assert!(all.iter().all(|found| *found == [1, 2, 3, 4, 5]));
    running.stop().await;
}

#[tokio::test]
async fn what_is_sealed_is_used_again_after_a_restart() {
    let running = start(sealing(HOURS, HOURS));
    append(&running, 1).await;
    let dir = running.stop().await;
    let running = Running::start_in(dir, sealing(Duration::ZERO, HOURS));
    named(&running).await;
    let dir = running.stop().await;
    let segments = dir.path().join("segments");
    let sealed = |name: &str| name.starts_with("observations-2026");
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(&segments).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| sealed(name)).collect()
    };
    let before = names();
    assert_eq!(before.len(), 1);
    let running = Running::start_in(dir, sealing(HOURS, HOURS));
    append(&running, 200).await;
    assert_eq!(found(&running).await, [1, 200]);
    let _dir = running.stop().await;
    assert_eq!(names(), before);
}

#[tokio::test]
async fn a_folder_that_fails_stops_nothing_else() {
    let running = start(sealing(HOURS, HOURS));
    let segments = running.dir.path().join("segments");
    std::fs::write(&segments, "in the way").unwrap();
    append(&running, 1).await;
    let refused = running.store.snapshot(&["observations"]).await;
    let refused = refused.err().unwrap().to_string();
    assert!(refused.contains("segments"), "{refused}");
    std::fs::remove_file(&segments).unwrap();
    let mended = async {
        while running.store.snapshot(&["observations"]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), mended)
        .await
        .unwrap();
    assert_eq!(found(&running).await, [1]);
    // Then a query gets what there was, with its moment.
    let before = running.store.snapshot(&["observations"]).await.unwrap();
    let away = running.dir.path().join("away");
    std::fs::rename(&segments, &away).unwrap();
    std::fs::write(&segments, "in the way").unwrap();
    append(&running, 2).await;
    let after = running.store.snapshot(&["observations"]).await.unwrap();
    assert_eq!(after.tables, before.tables);
    assert!(after.data_to_ms <= before.data_to_ms);
    assert_eq!(running.store.stats().committed_rows, 2);
    assert!(running.store.health().stalled.is_none());
    running.stop().await;
}

#[tokio::test]
async fn a_store_that_is_sealed_all_the_time_takes_rows_and_answers() {
    let running = start(sealing(Duration::ZERO, Duration::ZERO));
    for run_id in 1..=200 {
        append(&running, run_id).await;
    }
    assert_eq!(found(&running).await.len(), 200);
    assert!(named(&running).await > 0);
    running.stop().await;
}

#[tokio::test]
async fn flipped_bits_in_sealed_files_are_found_before_they_are_read_and_the_rows_come_back() {
    let running = start(sealing(HOURS, HOURS));
    for run_id in 1..=20 {
        append(&running, run_id).await;
    }
    let mut dir = running.stop().await;
    for round in 0..5 {
        // A seal whose files stay; those of the round before were damaged.
        let running = Running::start_in(dir, sealing(Duration::ZERO, HOURS));
        named(&running).await;
        dir = running.stop().await;
        let segments = std::fs::read_dir(dir.path().join("segments")).unwrap();
        for path in segments.map(|entry| entry.unwrap().path()) {
            let mut bytes = std::fs::read(&path).unwrap();
            let at = rand::random_range(0..bytes.len());
            bytes[at] ^= 1 << rand::random_range(0..8);
            std::fs::write(&path, bytes).unwrap();
        }
        let running = Running::start_in(dir, sealing(HOURS, HOURS));
        assert_eq!(
            found(&running).await,
            (1..=20).collect::<Vec<_>>(),
            "{round}"
        );
        dir = running.stop().await;
    }
}
