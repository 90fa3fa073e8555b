//! How long it takes to seal results for SQL: a history from nothing, with its pauses; 5 minutes and
//! a day as files; the time that a query waits for while rows arrive; and a day that is archived.
//! Beside it the same rows
//! written by DuckDB alone in the same run.
//!
//! `EXTRACK_BENCH_SERVICES` (1000) and `EXTRACK_BENCH_DAYS` (7) set the sizes, one run a minute each.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use extrack::domain::{ArchiveDay, ArchiveTable, LOCAL, Observation, Phases, Status, now_ms};
use extrack::store::results::{SealSettings, TierSettings};
use extrack::store::{ResultError, ResultSettings, ResultStore};

const MINUTE_MS: i64 = 60_000;
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

fn size(name: &str, default: i64) -> i64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a whole number"))
}

struct Running {
    store: ResultStore,
    writer: JoinHandle<Result<(), ResultError>>,
}

impl Running {
    /// Tiers are not counted: nothing else works meanwhile.
    fn start(folder: &Path, delay: Duration) -> Self {
        let settings = ResultSettings {
            tiers: TierSettings {
                interval: LONG,
                ..TierSettings::default()
            },
            sealing: SealSettings {
                interval: LONG,
                delay,
            },
            flush_rows: 10_000,
            queue_rows: 100_000,
            ..ResultSettings::default()
        };
        let (store, writer) = ResultStore::open(folder, settings).expect("the store opens");
        let writer = writer.start().expect("the writer starts");
        Self { store, writer }
    }

    async fn stop(self) {
        self.store.close().await.expect("all is committed");
        self.writer
            .join()
            .expect("the writer ends")
            .expect("nothing was given up");
    }

    /// Commits runs of now.
    async fn append(&self, runs: i64, run_id: &mut i64) {
        let now = now_ms();
        for service in 0..runs {
            *run_id += 1;
            let run = observation(*run_id, service, now);
            self.store.observation_record(Arc::new(run));
        }
        *run_id += 1;
        let last = Arc::new(observation(*run_id, 0, now));
        let committed = self.store.observation_append_durable(last).await;
        committed.expect("it is committed");
    }
}

async fn measure() {
    let (services, days) = (
        size("EXTRACK_BENCH_SERVICES", 1_000),
        size("EXTRACK_BENCH_DAYS", 7),
    );
    println!("sealed: {services} services, one run a minute, {days} days");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    Running::start(folder.path(), LONG).stop().await;
    let first_minute = now_ms() / MINUTE_MS - days * 1_440;
    fill(folder.path(), services, first_minute, days);
    let alone = written_alone(folder.path(), first_minute);
    println!(
        "  DuckDB alone writes 5 minutes in {:.1} ms, a day in {:.0} ms, {days} days in {:.1} s",
        alone[0] * 1_000.0,
        alone[1] * 1_000.0,
        alone[2]
    );
    let running = Running::start(folder.path(), Duration::ZERO);
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
        running.append(rows / ASKED as i64, &mut run_id).await;
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
}

fn taken(folder: &Path) -> (usize, u64) {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let sizes = entries.map(|entry| {
        let entry = entry.expect("it is read");
        entry.metadata().expect("it is there").len()
    });
    sizes.fold((0, 0), |(files, bytes), size| (files + 1, bytes + size))
}

/// Runs in the order of time, a day at once.
fn fill(folder: &Path, services: i64, first_minute: i64, days: i64) {
    let connection =
        duckdb::Connection::open(folder.join("results.duckdb")).expect("the file opens");
    for day in 0..days {
        let from = first_minute + day * 1_440;
        connection
            .execute_batch(&format!(
                "INSERT INTO fact.observations
                 SELECT make_timestamp(minute * 60000000), 'service-' || service, 'http', '{LOCAL}',
                     if(hash(minute, service) % 1000 = 0, 'error', 'healthy'),
                     if(hash(minute, service) % 1000 = 0, NULL,
                         exp(10.5 + (hash(service, minute, 1) % 1000 + hash(service, minute, 2) % 1000) / 1000.0)::UINTEGER),
                     hash(minute, service, 3) % 1000, hash(minute, service, 4) % 5000, 300, 400, 500, 200,
                     if(hash(minute, service) % 1000 = 0, 'timeout', NULL), NULL, 512, 'http', '0.1.0',
                     (minute - {first_minute}) * {services} + service, NULL, false, NULL
                 FROM range({from}, {from} + 1440) AS minutes(minute), range({services}) AS services(service)
                 ORDER BY minute, service"
            ))
            .expect("a day is filled");
    }
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

fn observation(run_id: i64, service: i64, ts_ms: i64) -> Observation {
    Observation {
        ts_ms,
        service: format!("service-{service}"),
        probe: "http".to_owned(),
        location: LOCAL.to_owned(),
        status: Status::Healthy,
        latency_us: Some(20_000 + (run_id as u64 * 7_919) % 90_000),
        phases: Phases::default(),
        http_status: Some(200),
        failure: None,
        bytes: 512,
        plugin: "http".to_owned(),
        plugin_version: "0.1.0".to_owned(),
        run_id,
        metrics: Vec::new(),
        missed: false,
        rate_limits: Vec::new(),
        excluded: None,
    }
}
