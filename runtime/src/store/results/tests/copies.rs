//! Copies of the store, and files that are written anew.

use super::*;

async fn recorded(running: &Running, runs: std::ops::RangeInclusive<i64>) {
    for run_id in runs {
        running
            .store
            .observation_record(Arc::new(observation(run_id)));
    }
    let last = Arc::new(observation(1_000_000));
    running
        .store
        .observation_append_durable(last)
        .await
        .unwrap();
}

fn rows(tables: &TableRows, name: &str) -> i64 {
    tables
        .iter()
        .find(|(table, _)| table == name)
        .map_or(0, |(_, rows)| *rows)
}

#[tokio::test]
async fn a_copy_holds_what_was_committed_when_it_began() {
    let running = Running::start();
    recorded(&running, 1..=2_000).await;
    let target = running.store.staging().join("copy's.duckdb");
    std::fs::create_dir(running.store.staging()).unwrap();
    let (pin, pinned) = oneshot::channel();
    let copying = tokio::spawn({
        let (store, target) = (running.store.clone(), target.clone());
        async move { store.backup(target, pin).await }
    });
    pinned.await.unwrap();
    recorded(&running, 2_001..=2_100).await;
    let tables = copying.await.unwrap().unwrap();
    assert_eq!(rows(&tables, "observations"), 2_001);
    // The copy is a store of its own, with its views.
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::rename(&target, elsewhere.path().join(FILE)).unwrap();
    running.stop().await;
    let copy = Running::start_in(elsewhere, ResultSettings::default());
    assert_eq!(
        copy.one("SELECT count(*) FROM observations").await,
        json!(2_001)
    );
}

#[tokio::test]
async fn a_copy_holds_what_waits_in_the_spool_and_each_row_once() {
    let dir = tempfile::tempdir().unwrap();
    let spooling = SpoolSettings {
        reserve_bytes: 0,
        ..SpoolSettings::new(dir.path().join("spool"))
    };
    let settings = ResultSettings {
        spool: Some(spooling.clone()),
        ..ResultSettings::default()
    };
    let running = Running::start_in(dir, settings);
    recorded(&running, 1..=20).await;
    // Frames beside those of the writer, which does not know of them: one that is committed by now,
    // as after a crash, and two that are not.
    let mut spool = Spool::open(spooling).unwrap();
    for run_ids in [1..=20, 21..=40, 41..=50] {
        let part = Part {
            observations: run_ids.map(observation).map(Arc::new).collect(),
            ..Part::default()
        };
        spool.append(&part, START).unwrap();
    }
    let target = running.store.staging().join("copy.duckdb");
    std::fs::create_dir(running.store.staging()).unwrap();
    let (pin, _) = oneshot::channel();
    let tables = running.store.backup(target.clone(), pin).await.unwrap();
    assert_eq!(rows(&tables, "observations"), 51);
    assert_eq!(spool.frame_count(), 3, "they wait for the writer");
    let left = std::fs::read_dir(running.store.staging()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [target]);
}

#[tokio::test]
async fn the_database_writes_into_the_folder_of_copies_and_nowhere_else() {
    let running = Running::start();
    let connection = running.store.database.connect().unwrap();
    for statement in ["ATTACH '$' AS other", "COPY (SELECT 1) TO '$'"] {
        let outside = running.dir.path().join("outside");
        let sql = statement.replace('$', &outside.display().to_string());
        let refused = connection.execute_batch(&sql).unwrap_err().to_string();
        assert!(refused.contains("Permission"), "{refused}");
        assert!(!outside.exists());
    }
}

#[tokio::test]
async fn a_file_written_anew_is_smaller_and_has_the_same_rows() {
    let running = Running::start();
    recorded(&running, 1..=2_000).await;
    let dir = running.stop().await;
    let filling = database::open_up_to_date(&dir.path().join(FILE), "1GB").unwrap();
    filling
        .execute_batch(
            "INSERT INTO fact.observations BY NAME SELECT o.* REPLACE (run_id + 10000 * n AS run_id, md5((run_id * n)::VARCHAR) AS error) \
             FROM fact.observations AS o, range(1, 100) AS numbers(n)",
        )
        .unwrap();
    drop(filling);
    let before = check(dir.path()).unwrap();
    let deleting = database::open_up_to_date(&dir.path().join(FILE), "1GB").unwrap();
    deleting
        .execute_batch("DELETE FROM fact.observations WHERE run_id > 1000")
        .unwrap();
    drop(deleting);
    let kept = check(dir.path()).unwrap();
    assert!(rows(&kept, "observations") < rows(&before, "observations"));
    let sizes = sizes(dir.path()).unwrap();
    assert_eq!(sizes[0].table, "observations");
    let compacted = compact(dir.path()).unwrap();
    assert!(
        compacted.after_bytes < compacted.before_bytes,
        "{compacted:?}"
    );
    assert_eq!(check(dir.path()).unwrap(), kept);
    // A second time there is nothing to win, and the file stays.
    let again = compact(dir.path()).unwrap();
    assert!(again.after_bytes <= again.before_bytes, "{again:?}");
    // While a program has it open, none of it.
    let running = Running::start_in(dir, ResultSettings::default());
    for refused in [
        check(running.dir.path()).map(drop),
        compact(running.dir.path()).map(drop),
    ] {
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("in use by"), "{text}");
    }
}
