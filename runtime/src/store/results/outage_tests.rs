//! The database fails or is damaged: what is kept, where, and what comes back.

use std::path::Path;
use std::sync::Arc;

use super::tests::{Running, observation, plugin_run};
use super::*;
use crate::domain::RunOutcome;

/// With a spool in the folder, beside the database.
fn spooling(dir: &Path) -> ResultSettings {
    let spool = SpoolSettings {
        reserve_bytes: 0,
        ..SpoolSettings::new(dir.join("spool"))
    };
    ResultSettings {
        spool: Some(spool),
        ..ResultSettings::default()
    }
}

/// The write-ahead log can't be opened while a folder lies in its place.
fn block(dir: &Path) {
    std::fs::create_dir(dir.join("results.duckdb.wal")).unwrap();
}

fn unblock(dir: &Path) {
    std::fs::remove_dir(dir.join("results.duckdb.wal")).unwrap();
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

const ALL_IDS: &str = "SELECT list(run_id ORDER BY run_id) FROM observations";

#[tokio::test]
async fn rows_are_durable_while_the_database_fails_and_committed_once_it_works_again() {
    let dir = tempfile::tempdir().unwrap();
    let settings = spooling(dir.path());
    let running = Running::start_in(dir, settings);
    block(running.dir.path());
    for run_id in 1..=40 {
        running
            .store
            .observation_append_durable(Arc::new(observation(run_id)))
            .await
            .unwrap();
        running
            .store
            .plugin_run_record(plugin_run(run_id, 5, "check", RunOutcome::Error, 10));
    }
    let health = running.store.health();
    assert!(health.stalled.is_some() && health.last_commit_ms.is_none());
    assert_eq!(
        (health.spooled_rows, health.queued_rows, health.lost_rows),
        (40, 0, 0)
    );
    assert!(!running.store.is_settled());
    let copied = running.store.alert_event_append(Vec::new()).await;
    assert!(
        matches!(copied, Err(ResultError::NotCommitted(_))),
        "alert events stay in the control store"
    );
    running.store.service_replace(Vec::new());

    unblock(running.dir.path());
    eventually("all is committed", || running.store.is_settled()).await;
    running
        .store
        .observation_append_durable(Arc::new(observation(41)))
        .await
        .unwrap();
    assert_eq!(
        running.one(ALL_IDS).await,
        serde_json::json!((1..=41).collect::<Vec<_>>())
    );
    eventually("accounts are committed as well", || {
        running.store.stats().committed_rows >= 41 + 40
    })
    .await;
    assert_eq!(
        running
            .one("SELECT count(DISTINCT run_id) || ' ' || count(*) FROM plugin_runs")
            .await,
        "40 40"
    );
    assert_eq!(running.store.health().spooled_bytes, 0);
    running.stop().await;
}

#[tokio::test]
async fn spooled_rows_survive_a_crash_and_are_committed_once_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let settings = spooling(dir.path());
    let running = Running::start_in(dir, settings);
    block(running.dir.path());
    for run_id in 1..=30 {
        running
            .store
            .observation_append_durable(Arc::new(observation(run_id)))
            .await
            .unwrap();
    }
    // As after `kill -9`: a copy of the folder, without any shutdown. Two of the frames reached the
    // database before.
    let crashed = tempfile::tempdir().unwrap();
    std::fs::create_dir(crashed.path().join("spool")).unwrap();
    for entry in std::fs::read_dir(running.dir.path().join("spool"))
        .unwrap()
        .map(Result::unwrap)
    {
        std::fs::copy(
            entry.path(),
            crashed.path().join("spool").join(entry.file_name()),
        )
        .unwrap();
    }
    let earlier = Running::start_in(crashed, ResultSettings::default());
    for run_id in [1, 2, 3] {
        earlier
            .store
            .observation_append_durable(Arc::new(observation(run_id)))
            .await
            .unwrap();
    }
    let crashed = earlier.stop().await;

    let settings = spooling(crashed.path());
    let again = Running::start_in(crashed, settings);
    assert!(
        again.store.first_run_id() > 30,
        "{}",
        again.store.first_run_id()
    );
    eventually("the spool is empty", || again.store.is_settled()).await;
    assert_eq!(
        again.one(ALL_IDS).await,
        serde_json::json!((1..=30).collect::<Vec<_>>())
    );
    again.stop().await;
    unblock(running.dir.path());
    running.stop().await;
}

#[tokio::test]
async fn without_a_working_spool_rows_wait_in_memory_and_what_is_over_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let settings = ResultSettings {
        queue_rows: 10,
        ..ResultSettings::default()
    };
    let running = Running::start_in(dir, settings);
    block(running.dir.path());
    let refused = running
        .store
        .observation_append_durable(Arc::new(observation(1)))
        .await;
    assert!(matches!(refused, Err(ResultError::NotCommitted(_))));
    for run_id in 2..=100 {
        running
            .store
            .observation_record(Arc::new(observation(run_id)));
    }
    // Rows on their way to the next try are counted a moment later.
    let all_found = || {
        Some(running.store.health()).filter(|health| health.queued_rows + health.lost_rows == 100)
    };
    eventually("every row is waiting or lost", || all_found().is_some()).await;
    let lost = running.store.health().lost_rows;
    assert!((89..=99).contains(&lost), "{lost}");
    unblock(running.dir.path());
    eventually("what was kept is committed", || {
        running.store.stats().committed_rows == 100 - lost
    })
    .await;
    assert_eq!(
        running.one("SELECT count(*) FROM observations").await,
        100 - lost
    );
    running.stop().await;
}

#[tokio::test]
async fn a_commit_that_hangs_makes_nobody_wait() {
    let dir = tempfile::tempdir().unwrap();
    let settings = spooling(dir.path());
    let running = Running::start_in(dir, settings);
    // Writing into a pipe that nothing reads blocks as soon as it is full.
    let log = running.dir.path().join("results.duckdb.wal");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&log)
            .status()
            .unwrap()
            .success()
    );
    for run_id in 1..=4_000 {
        running
            .store
            .observation_record(Arc::new(observation(run_id)));
    }
    running
        .store
        .observation_append_durable(Arc::new(observation(4_001)))
        .await
        .unwrap();
    let health = running.store.health();
    assert!(
        health
            .stalled
            .as_ref()
            .is_some_and(|stalled| stalled.reason.contains("takes longer")),
        "{health:?}"
    );
    assert_eq!(
        (health.spooled_rows, health.lost_rows),
        (4_001, 0),
        "{health:?}"
    );
    running
        .store
        .observation_append_durable(Arc::new(observation(4_002)))
        .await
        .unwrap();

    let mut pipe = std::fs::File::open(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut pipe, &mut std::io::sink()));
    eventually("the spool is empty", || running.store.is_settled()).await;
    assert_eq!(
        running
            .one("SELECT count(DISTINCT run_id) || ' ' || count(*) FROM observations")
            .await,
        "4002 4002"
    );
    running.stop().await;
    reader.join().unwrap().unwrap();
}

#[tokio::test]
async fn stopping_in_an_outage_spools_the_last_rows_and_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let settings = spooling(dir.path());
    let running = Running::start_in(dir, settings);
    block(running.dir.path());
    for run_id in 1..=9 {
        running
            .store
            .observation_record(Arc::new(observation(run_id)));
    }
    let dir = running.stop().await;
    unblock(dir.path());
    let settings = spooling(dir.path());
    let running = Running::start_in(dir, settings);
    eventually("the spool is empty", || running.store.is_settled()).await;
    assert_eq!(
        running.one(ALL_IDS).await,
        serde_json::json!((1..=9).collect::<Vec<_>>())
    );
    running.stop().await;
}

#[tokio::test]
async fn good_accounts_are_dropped_before_failed_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _writer) = ResultStore::open(dir.path(), ResultSettings::default()).unwrap();
    for run_id in 0..25_000 {
        store.plugin_run_record(plugin_run(run_id, 5, "check", RunOutcome::Ok, 10));
    }
    store.plugin_run_record(plugin_run(99_999, 5, "check", RunOutcome::Trap, 10));
    assert_eq!(store.health().dropped_rows, 15_000);
}

/// A store with some rows, closed; and rows in its write-ahead log alone, if wanted.
async fn filled(with_log: bool) -> tempfile::TempDir {
    let running = Running::start();
    for run_id in 1..=3_000 {
        running
            .store
            .observation_record(Arc::new(observation(run_id)));
    }
    let dir = running.stop().await;
    if !with_log {
        return dir;
    }
    let running = Running::start_in(dir, ResultSettings::default());
    running
        .store
        .observation_append_durable(Arc::new(observation(3_001)))
        .await
        .unwrap();
    let copy = tempfile::tempdir().unwrap();
    for name in ["results.duckdb", "results.duckdb.wal"] {
        std::fs::copy(running.dir.path().join(name), copy.path().join(name)).unwrap();
    }
    running.stop().await;
    copy
}

fn set_aside(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".damaged-")).collect()
}

#[tokio::test]
async fn a_damaged_store_is_set_aside_and_the_program_goes_on_with_a_new_one() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        ("emptied", |content| content.clear()),
        ("cut", |content| content.truncate(content.len() / 3)),
        ("its head overwritten", |content| {
            content[..5_000].fill(0x5a)
        }),
        ("another file", |content| {
            *content = b"#!/bin/sh\n".repeat(5_000)
        }),
    ];
    for (how, damage) in damages {
        let dir = filled(false).await;
        let path = dir.path().join("results.duckdb");
        let mut content = std::fs::read(&path).unwrap();
        damage(&mut content);
        std::fs::write(&path, &content).unwrap();
        let running = Running::start_in(dir, ResultSettings::default());
        let notices = running.store.health().notices;
        assert!(
            notices.len() == 1 && notices[0].contains("set aside as `results.duckdb.damaged-"),
            "{how}: {notices:?}"
        );
        running
            .store
            .observation_append_durable(Arc::new(observation(1)))
            .await
            .unwrap();
        assert_eq!(
            running.one("SELECT count(*) FROM observations").await,
            1,
            "{how}"
        );
        let kept = set_aside(running.dir.path());
        assert_eq!(
            std::fs::read(running.dir.path().join(&kept[0])).unwrap(),
            content,
            "{how}: nothing is deleted"
        );
        running.stop().await;
    }
}

#[tokio::test]
async fn a_damaged_log_costs_the_last_rows_alone() {
    let dir = filled(true).await;
    let log = dir.path().join("results.duckdb.wal");
    let mut content = std::fs::read(&log).unwrap();
    let middle = content.len() / 2;
    content[middle..].fill(0x5a);
    std::fs::write(&log, &content).unwrap();
    let running = Running::start_in(dir, ResultSettings::default());
    assert_eq!(
        running.one("SELECT max(run_id) FROM observations").await,
        3_000
    );
    let aside = set_aside(running.dir.path());
    assert!(
        aside.iter().all(|name| name.contains(".wal.")),
        "the store itself is whole: {aside:?}"
    );
    running.stop().await;
}

#[tokio::test]
async fn rows_that_vanished_between_two_starts_are_noticed_once() {
    let dir = tempfile::tempdir().unwrap();
    let settings = spooling(dir.path());
    let running = Running::start_in(dir, settings);
    running
        .store
        .observation_append_durable(Arc::new(observation(500)))
        .await
        .unwrap();
    let dir = running.stop().await;
    std::fs::remove_file(dir.path().join("results.duckdb")).unwrap();
    let settings = spooling(dir.path());
    let running = Running::start_in(dir, settings);
    let notices = running.store.health().notices;
    assert!(
        notices.len() == 1 && notices[0].contains("rows are missing"),
        "{notices:?}"
    );
    assert!(running.store.first_run_id() > 500);
    let dir = running.stop().await;
    let settings = spooling(dir.path());
    let running = Running::start_in(dir, settings);
    assert_eq!(running.store.health().notices, Vec::<String>::new());
    running.stop().await;
}

#[tokio::test]
async fn ids_of_a_start_are_behind_those_that_a_crash_may_have_swallowed() {
    let dir = tempfile::tempdir().unwrap();
    let settings = spooling(dir.path());
    let (store, writer) = ResultStore::open(dir.path(), settings.clone()).unwrap();
    assert_eq!(store.first_run_id(), 1);
    // Ids 2 to 900 were given and nothing of them was written.
    drop((store, writer));
    let (store, _writer) = ResultStore::open(dir.path(), settings).unwrap();
    assert!(store.first_run_id() > 900, "{}", store.first_run_id());
}

#[tokio::test]
async fn a_store_that_can_t_be_opened_is_opened_later() {
    let dir = filled(false).await;
    let (path, away) = (dir.path().join("results.duckdb"), dir.path().join("away"));
    std::fs::rename(&path, &away).unwrap();
    std::fs::create_dir(&path).unwrap();
    let settings = spooling(dir.path());
    let running = Running::start_in(dir, settings);
    assert_eq!(running.store.health().notices.len(), 1);
    assert!(matches!(
        running.store.observation_page("shop-api", None, 1).await,
        Err(ResultError::Unavailable)
    ));
    running
        .store
        .observation_append_durable(Arc::new(observation(3_001)))
        .await
        .unwrap();
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(&away, &path).unwrap();
    eventually("the spool is empty", || running.store.is_settled()).await;
    assert_eq!(
        running.one("SELECT max(run_id) FROM observations").await,
        3_001
    );
    running.stop().await;
}
