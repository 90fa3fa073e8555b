//! A checkpoint that was killed in the middle of a block.

use std::path::Path;

use super::*;

const BLOCKS_AT: usize = 12_288;
const BLOCK: usize = 256 * 1024;
const ROWS: i64 = 505;
const WAL: &str = "results.duckdb.wal";

/// Files of a store: that of the last checkpoint, that of one that goes no further than to its
/// header, and the log of both.
struct Stopped {
    old: Vec<u8>,
    new: Vec<u8>,
    log: Vec<u8>,
}

async fn stopped_in_a_checkpoint() -> Stopped {
    let running = Running::start();
    for run_id in 1..=500 {
        running
            .store
            .observation_record(Arc::new(observation(run_id)));
    }
    // Blocks of metadata are written anew in their places once some of what they hold is free.
    let mut dir = running.stop().await;
    for run_id in 501..ROWS {
        let running = Running::start_in(dir, ResultSettings::default());
        append(&running, run_id).await;
        dir = running.stop().await;
    }
    let running = Running::start_in(dir, ResultSettings::default());
    append(&running, ROWS).await;
    let copy = tempfile::tempdir().unwrap();
    for name in [FILE, WAL] {
        std::fs::copy(running.dir.path().join(name), copy.path().join(name)).unwrap();
    }
    running.stop().await;
    let old = std::fs::read(copy.path().join(FILE)).unwrap();

    let connection = duckdb::Connection::open(copy.path().join(FILE)).unwrap();
    connection
        .execute_batch("SET GLOBAL debug_checkpoint_abort = 'after_free_list_write'")
        .unwrap();
    let aborted = connection.execute_batch("CHECKPOINT").unwrap_err();
    assert!(aborted.to_string().contains("abort"), "{aborted}");
    drop(connection);
    Stopped {
        old,
        new: std::fs::read(copy.path().join(FILE)).unwrap(),
        log: std::fs::read(copy.path().join(WAL)).unwrap(),
    }
}

fn opens_as_it_is(path: &Path) -> bool {
    let config = duckdb::Config::default().access_mode(duckdb::AccessMode::ReadOnly);
    duckdb::Connection::open_with_flags(path, config.unwrap()).is_ok()
}

async fn append(running: &Running, run_id: i64) {
    let durable = running
        .store
        .observation_append_durable(Arc::new(observation(run_id)));
    durable.await.unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries.map(|entry| name(entry.unwrap())).collect()
}

#[tokio::test]
async fn a_block_that_is_part_old_and_part_new_loses_no_row() {
    let Stopped { old, new, log } = stopped_in_a_checkpoint().await;
    let in_place = (BLOCKS_AT..old.len())
        .step_by(BLOCK)
        .filter(|at| old[*at..at + BLOCK] != new[*at..at + BLOCK]);
    let mut torn = 0;
    for at in in_place {
        for written in [4_096, 64 * 1_024, BLOCK - 4_096] {
            let mut file = new.clone();
            file[at + written..at + BLOCK].copy_from_slice(&old[at + written..at + BLOCK]);
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(FILE), &file).unwrap();
            std::fs::write(dir.path().join(WAL), &log).unwrap();
            torn += usize::from(!opens_as_it_is(&dir.path().join(FILE)));
            let running = Running::start_in(dir, ResultSettings::default());
            let found = running.one("SELECT count(*) FROM observations").await;
            assert_eq!(found, json!(ROWS), "block at {at}, {written} bytes written");
            let names = names(running.dir.path());
            assert!(
                !names.iter().any(|name| name.contains(".damaged-")),
                "{names:?}"
            );
            running.stop().await;
        }
    }
    assert!(torn > 0, "DuckDB can open all of them itself");
}

#[tokio::test]
async fn a_wrong_checksum_without_a_checkpoint_is_damage_and_file_and_log_stay_together() {
    let Stopped { mut old, log, .. } = stopped_in_a_checkpoint().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    // A bit is flipped in the first block that DuckDB reads to open the file.
    let is_read = |at: &usize| {
        let mut flipped = old.clone();
        flipped[at + 40] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        !opens_as_it_is(&path)
    };
    let read = (BLOCKS_AT..old.len()).step_by(BLOCK).find(is_read);
    let at = read.expect("a block that is read");
    old[at + 40] ^= 1;
    std::fs::write(&path, &old).unwrap();
    // A transaction after the mark: no checkpoint was under way when the program stopped.
    let flush = &log[log.len() - 21..];
    std::fs::write(dir.path().join(WAL), [&log[..], flush].concat()).unwrap();
    let running = Running::start_in(dir, ResultSettings::default());
    assert_eq!(
        running.one("SELECT count(*) FROM observations").await,
        json!(0)
    );
    let mut aside = names(running.dir.path());
    aside.retain(|name| name.contains(".damaged-"));
    aside.sort_unstable();
    let moment = aside[0].strip_prefix("results.duckdb").unwrap().to_owned();
    assert_eq!(
        aside,
        [format!("results.duckdb{moment}"), format!("{WAL}{moment}")]
    );
    running.stop().await;
}
