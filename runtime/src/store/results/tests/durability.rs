//! Rows on their way to the disk, and over a restart.

use super::*;

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let running = Running::start();
    for run_id in 1..=2_500 {
        running
            .store
            .observation_record(Arc::new(observation(run_id)));
    }
    running.store.observation_record(Arc::new(failed(2_501)));
    let dir = running.stop().await;

    let running = Running::start_in(dir, ResultSettings::default());
    assert_eq!(running.store.first_run_id(), 2_502);
    assert_eq!(
        running.one("SELECT count(*) FROM observations").await,
        json!(2_501)
    );
    let page = running
        .store
        .observation_page("shop-api", None, 2)
        .await
        .unwrap();
    let nul_free = Failure::new(ErrorKind::Timeout, "no answer \u{fffd} within 2s");
    assert_eq!(
        page,
        [
            Observation {
                failure: Some(nul_free),
                ..failed(2_501)
            },
            observation(2_500)
        ]
    );
    let next = running
        .store
        .observation_page("shop-api", Some(2_500), 1)
        .await
        .unwrap();
    assert_eq!(next, [observation(2_499)]);
    let last_ms = START + 2_501 * MINUTE;
    let history = running
        .past("shop-api", last_ms - 2 * MINUTE, last_ms)
        .await;
    let whole = &history.observations;
    assert_eq!(
        whole.iter().map(|row| row.run_id).collect::<Vec<_>>(),
        [2_499, 2_500],
        "the last one was missed"
    );
    assert!(running.past("other", 0, last_ms).await.sources.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn a_durable_row_is_there_when_the_call_returns_even_if_nothing_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let running = Running::start_in(
        dir,
        ResultSettings {
            flush_interval: Duration::from_secs(3_600),
            ..Default::default()
        },
    );
    running.store.observation_record(Arc::new(observation(1)));
    running
        .store
        .observation_append_durable(Arc::new(observation(2)))
        .await
        .unwrap();
    assert_eq!(running.store.stats().committed_rows, 2);
    assert_eq!(running.store.stats().queued, 0);
    // As after a power cut: the file and its log as they lie on the disk, without any shutdown.
    for name in ["results.duckdb", "results.duckdb.wal"] {
        std::fs::copy(running.dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let recovered = Running::start_in(copy, ResultSettings::default());
    assert_eq!(
        recovered
            .one("SELECT list(run_id ORDER BY run_id) FROM observations")
            .await,
        json!([1, 2])
    );
    recovered.stop().await;
    running.stop().await;
}

#[tokio::test]
async fn a_full_batch_does_not_wait_for_the_interval() {
    let settings = ResultSettings {
        flush_interval: Duration::from_secs(3_600),
        flush_rows: 10,
        ..Default::default()
    };
    let running = Running::start_in(tempfile::tempdir().unwrap(), settings);
    for run_id in 1..=20 {
        running
            .store
            .observation_record(Arc::new(observation(run_id)));
    }
    running
        .store
        .observation_append_durable(Arc::new(observation(21)))
        .await
        .unwrap();
    let stats = running.store.stats();
    assert_eq!(
        (stats.committed_rows, stats.commits >= 3, stats.failing),
        (21, true, false)
    );
    running.stop().await;
}

#[tokio::test]
async fn a_full_queue_counts_what_it_does_not_take_and_nobody_waits() {
    let settings = ResultSettings {
        queue_rows: 2,
        ..Default::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let (store, writer) = ResultStore::open(dir.path(), settings).unwrap();
    for run_id in 1..=5 {
        store.observation_record(Arc::new(observation(run_id)));
    }
    let error = store
        .observation_append_durable(Arc::new(observation(6)))
        .await
        .unwrap_err();
    assert!(matches!(error, ResultError::NotCommitted(_)), "{error}");
    let health = store.health();
    assert_eq!(
        (health.queued_rows, health.lost_rows),
        (2, 3),
        "the caller of the sixth knows"
    );
    let thread = writer.start().unwrap();
    store.close().await.unwrap();
    assert_eq!(store.stats().committed_rows, 2);
    let closed = store
        .observation_append_durable(Arc::new(observation(4)))
        .await;
    assert!(matches!(closed, Err(ResultError::Closed)));
    thread.join().unwrap().unwrap();
}

#[tokio::test]
async fn rows_are_kept_through_an_outage_of_the_disk() {
    let running = Running::start();
    let log = running.dir.path().join("results.duckdb.wal");
    // The write-ahead log can't be opened while a folder lies in its place.
    std::fs::create_dir(&log).unwrap();
    let error = running
        .store
        .observation_append_durable(Arc::new(observation(1)))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ResultError::NotCommitted(reason) if reason.contains("results.duckdb.wal")),
        "{error}"
    );
    assert!(running.store.stats().failing);
    std::fs::remove_dir(&log).unwrap();
    running
        .store
        .observation_append_durable(Arc::new(observation(2)))
        .await
        .unwrap();
    let stats = running.store.stats();
    assert_eq!(
        (stats.failing, stats.queued, stats.committed_rows),
        (false, 0, 2)
    );
    let dir = running.stop().await;
    let running = Running::start_in(dir, ResultSettings::default());
    assert_eq!(
        running
            .one("SELECT list(run_id ORDER BY run_id) FROM observations")
            .await,
        json!([1, 2])
    );
    running.stop().await;
}

#[tokio::test]
async fn closing_gives_up_on_a_disk_that_stays_broken() {
    let running = Running::start();
    std::fs::create_dir(running.dir.path().join("results.duckdb.wal")).unwrap();
    let error = running
        .store
        .observation_append_durable(Arc::new(observation(1)))
        .await
        .unwrap_err();
    assert!(matches!(error, ResultError::NotCommitted(_)), "{error}");
    assert!(running.store.close().await.is_err());
    assert!(running.thread.join().unwrap().is_err());
    assert_eq!(running.store.stats().queued, 1);
}

#[tokio::test]
async fn a_batch_that_reached_the_disk_is_not_written_twice() {
    let running = Running::start();
    running
        .store
        .observation_append_durable(Arc::new(observation(1)))
        .await
        .unwrap();
    let mut connection = running.store.database.connect().unwrap();
    for (run_id, wanted) in [(1, 1), (2, 2)] {
        let observations = vec![Arc::new(observation(run_id))];
        let part = Part {
            observations,
            is_doubtful: true,
            ..Part::default()
        };
        part::write(
            &mut connection,
            &Work {
                parts: vec![part],
                ..Work::default()
            },
        )
        .unwrap();
        running.store.database.note_change();
        assert_eq!(
            running.one("SELECT count(*) FROM observations").await,
            json!(wanted)
        );
    }
    drop(connection);
    running.stop().await;
}

fn log_bytes(dir: &Path) -> u64 {
    std::fs::metadata(dir.join("results.duckdb.wal")).map_or(0, |log| log.len())
}

/// Appends rows, a transaction each, until the log is shorter than it was.
async fn appends_until_a_checkpoint(running: &Running, first: i64, most: i64) -> i64 {
    let mut longest = log_bytes(running.dir.path());
    for run_id in first..first + most {
        let row = Arc::new(observation(run_id));
        running.store.observation_append_durable(row).await.unwrap();
        let bytes = log_bytes(running.dir.path());
        if bytes < longest {
            return run_id - first + 1;
        }
        longest = bytes;
    }
    panic!("the log grew to {longest} bytes in {most} transactions");
}

/// A start after a crash replays the log, by the transaction.
#[tokio::test]
async fn the_log_is_cut_after_so_many_transactions_whatever_is_in_them() {
    let running = Running::start();
    let appended = appends_until_a_checkpoint(&running, 1, 400).await;
    assert!(appended > 100, "{appended}");
    assert_eq!(
        running.one("SELECT count(*) FROM observations").await,
        json!(appended)
    );
    running.stop().await;
}

#[tokio::test]
async fn a_long_log_that_a_crash_left_is_replayed_once() {
    let running = Running::start();
    for run_id in 1..=15_000 {
        let row = Arc::new(observation(run_id));
        running.store.observation_record(row);
    }
    let row = Arc::new(observation(15_001));
    running.store.observation_append_durable(row).await.unwrap();
    assert!(log_bytes(running.dir.path()) > 1 << 20);
    let crashed = tempfile::tempdir().unwrap();
    for name in ["results.duckdb", "results.duckdb.wal"] {
        std::fs::copy(running.dir.path().join(name), crashed.path().join(name)).unwrap();
    }
    running.stop().await;

    let running = Running::start_in(crashed, ResultSettings::default());
    appends_until_a_checkpoint(&running, 30_000, 20).await;
    running.stop().await;
}
