//! How long it takes to seal results for SQL: a history from nothing, with its pauses; 5 minutes and
//! a day as files; the time that a query waits for while rows arrive; a day that is archived; and a
//! scrub that reads it again.
//! Beside it the same rows
//! written by DuckDB alone in the same run.
//!
//! `EXTRACK_BENCH_SERVICES` (1000) and `EXTRACK_BENCH_DAYS` (7) set the sizes, one run a minute each.

#[path = "common/results.rs"]
mod results;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use extrack::archive::{Archive, folder_of};
use extrack::domain::{
    ArchiveDay, ArchiveFile, ArchiveState, ArchiveTable, StorageSettings, now_ms,
};
use extrack::store::results::{SealSettings, TierSettings};
use extrack::store::{ControlStore, Keyring, ResultSettings};
use results::{MINUTE_MS, Running, fill, observation, size};
use sha2::{Digest, Sha256};

const LONG: Duration = Duration::from_secs(86_400);
/// Times that someone asks.
const ASKED: usize = 20;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(measure());
}

/// Tiers are not counted: nothing else works meanwhile.
fn start(folder: &Path, delay: Duration) -> Running {
    let settings = ResultSettings {
        tiers: TierSettings {
            interval: LONG,
            ..TierSettings::default()
        },
        sealing: SealSettings {
            interval: LONG,
            delay,
        },
        ..ResultSettings::default()
    };
    Running::start(folder, settings)
}

/// Commits runs of now.
async fn append(running: &Running, runs: i64, run_id: &mut i64) {
    let now = now_ms();
    for service in 0..runs {
        *run_id += 1;
        let run = observation(*run_id, service, now);
        running.store.observation_record(Arc::new(run));
    }
    *run_id += 1;
    let last = Arc::new(observation(*run_id, 0, now));
    let committed = running.store.observation_append_durable(last).await;
    committed.expect("it is committed");
}

async fn measure() {
    let (services, days) = (
        size("EXTRACK_BENCH_SERVICES", 1_000),
        size("EXTRACK_BENCH_DAYS", 7),
    );
    println!("sealed: {services} services, one run a minute, {days} days");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    start(folder.path(), LONG).stop().await;
    let first_minute = now_ms() / MINUTE_MS - days * 1_440;
    fill(folder.path(), services, first_minute, days);
    let alone = written_alone(folder.path(), first_minute);
    println!(
        "  DuckDB alone writes 5 minutes in {:.1} ms, a day in {:.0} ms, {days} days in {:.1} s",
        alone[0] * 1_000.0,
        alone[1] * 1_000.0,
        alone[2]
    );
    let running = start(folder.path(), Duration::ZERO);
    let start = Instant::now();
    while running.store.snapshot(&["observations"]).await.is_err() {}
    let first = start.elapsed().as_secs_f64();
    println!(
        "  the history is sealed in {first:.1} s, with its pauses, {:.1} : 1",
        first / alone[2]
    );
    let mut run_id = days * 1_440 * services + services;
    let rows = 5 * services;
    let mut waited = Vec::new();
    for _ in 0..ASKED {
        append(&running, rows / ASKED as i64, &mut run_id).await;
        let start = Instant::now();
        let snapshot = running.store.snapshot(&["observations"]).await;
        waited.push(start.elapsed().as_secs_f64() * 1_000.0);
        assert!(snapshot.expect("it is sealed").tables["observations"].len() > 1);
    }
    waited.sort_by(f64::total_cmp);
    println!(
        "  a query while {rows} rows arrive waits {:.1} ms (median), {:.1} ms (longest); of DuckDB alone {:.1} : 1",
        waited[ASKED / 2],
        waited[ASKED - 1],
        waited[ASKED / 2] / (alone[0] * 1_000.0)
    );
    let start = Instant::now();
    for _ in 0..100 {
        running
            .store
            .snapshot(&["observations"])
            .await
            .expect("it is sealed");
    }
    println!(
        "  and while nothing changes {:.2} ms",
        start.elapsed().as_secs_f64() * 10.0
    );
    archive(&running, folder.path(), first_minute, alone[1]).await;
    running.stop().await;
    let (files, bytes) = taken(&folder.path().join("segments"));
    let store = std::fs::metadata(folder.path().join("results.duckdb")).expect("the file is there");
    println!(
        "  {files} files of {} MiB beside a store of {} MiB",
        bytes >> 20,
        store.len() >> 20
    );
}

/// Writes the second day as a file of the archive, beside DuckDB alone.
async fn archive(running: &Running, folder: &Path, first_minute: i64, alone: f64) {
    let moment_ms = (first_minute + 1_440) * MINUTE_MS;
    let day = ArchiveDay::of(ArchiveTable::Observations, moment_ms).expect("a day has a name");
    let staging = folder.join("staging");
    std::fs::create_dir_all(&staging).expect("a folder can be made");
    let start = Instant::now();
    let written = running
        .store
        .archive_write(day, None, staging.join("archive.parquet"))
        .await
        .expect("the day is written");
    let took = start.elapsed().as_secs_f64();
    println!(
        "  a day of {} rows is sorted, archived and compared in {took:.1} s, {:.1} : 1",
        written.file.rows,
        took / alone
    );
    let file = ArchiveFile {
        rows: written.file.rows,
        ..placed(day, &staging.join("archive.parquet"), folder)
    };
    scrub(running, folder, &file).await;
}

/// Puts a file where it belongs in the archive.
fn placed(day: ArchiveDay, file: &Path, data: &Path) -> ArchiveFile {
    let path = day.path(1);
    let place = folder_of(data, &StorageSettings::default()).join(&path);
    std::fs::create_dir_all(place.parent().expect("a folder")).expect("a folder can be made");
    std::fs::rename(file, &place).expect("it is on the same disk");
    let bytes = std::fs::read(&place).expect("the file is there");
    let now = now_ms();
    ArchiveFile {
        day,
        path,
        number: 1,
        rows: 0,
        bytes: bytes.len() as u64,
        sha256: hex::encode(Sha256::digest(&bytes)),
        state: ArchiveState::Live,
        archived_ms: now,
        verified_ms: now,
        fault: None,
        copied_ms: None,
    }
}

/// Reads a file of the archive as the weekly scrub does.
async fn scrub(running: &Running, data: &Path, file: &ArchiveFile) {
    let keyring = Keyring::load(None, data).expect("a key can be made");
    let control = ControlStore::open(&data.join("control.sqlite"), keyring).await;
    let control = control.expect("the control store opens");
    let noted = control.archive_file_insert(file).await;
    noted.expect("the file is noted");
    let settings = StorageSettings::default();
    let archive = Archive::new(data, &settings, None, control, running.store.clone());
    let archive = archive.expect("the archive opens");
    let start = Instant::now();
    let report = archive.verify().await.expect("the files are read");
    let took = start.elapsed().as_secs_f64();
    assert!(report.files == 1 && report.faults.is_empty(), "{report:?}");
    println!(
        "  and scrubbed in {:.1} ms, {:.0} MiB a second",
        took * 1_000.0,
        report.bytes as f64 / took / f64::from(1 << 20)
    );
}

fn taken(folder: &Path) -> (usize, u64) {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let sizes = entries.map(|entry| {
        let entry = entry.expect("it is read");
        entry.metadata().expect("it is there").len()
    });
    sizes.fold((0, 0), |(files, bytes), size| (files + 1, bytes + size))
}

/// Seconds in which DuckDB writes 5 minutes, a day and all, each as one file and made durable.
fn written_alone(folder: &Path, first_minute: i64) -> [f64; 3] {
    let connection =
        duckdb::Connection::open(folder.join("results.duckdb")).expect("the file opens");
    let target = folder.join("alone.parquet");
    [5_i64, 1_440, 1_000_000].map(|minutes| {
        let mut fastest = f64::INFINITY;
        for _ in 0..3 {
            let from = first_minute * 60_000_000;
            let until = from + minutes * 60_000_000;
            let start = Instant::now();
            connection
                .execute_batch(&format!(
                    "COPY (SELECT * FROM fact.observations WHERE ts >= make_timestamp({from}) \
                     AND ts < make_timestamp({until})) \
                     TO '{}' (FORMAT parquet, COMPRESSION zstd)",
                    target.display()
                ))
                .expect("it is written");
            let file = std::fs::File::open(&target).expect("it is there");
            file.sync_all().expect("it is durable");
            fastest = fastest.min(start.elapsed().as_secs_f64());
            std::fs::remove_file(&target).expect("it is removed");
        }
        fastest
    })
}
