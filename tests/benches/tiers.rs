//! How fast questions about history are: quantiles, availability and one service's year, from tiers
//! beside the same from the runs, in a store that is filled with one run a minute; how long the
//! process of a statement takes to start; and how fast rows are appended while tiers are kept up,
//! beside without.
//!
//! `EXTRACK_BENCH_SERVICES` (100), `EXTRACK_BENCH_DAYS` (35) and `EXTRACK_BENCH_ROWS` (500000) set the sizes.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use extrack::child::Program;
use extrack::domain::{LOCAL, Observation, Phases, Status, Tier, now_ms};
use extrack::store::results::{SQL_SUBCOMMAND, SqlSettings, TierSettings};
use extrack::store::{QueryLimits, ResultError, ResultSettings, ResultStore};
use extrack_tests::program::program;

const MINUTE_MS: i64 = 60_000;
/// Services whose runs are appended, one each a minute.
const APPENDING: i64 = 1_000;
/// Rows that wait for the writer at most.
const WAITING: u64 = 40_000;
const LONG: Duration = Duration::from_secs(3_600);

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

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

struct Running {
    store: ResultStore,
    writer: JoinHandle<Result<(), ResultError>>,
}

impl Running {
    fn start(folder: &Path, interval: Duration) -> Self {
        let settings = ResultSettings {
            tiers: TierSettings {
                interval,
                ..TierSettings::default()
            },
            flush_rows: 10_000,
            queue_rows: 100_000,
            sql: SqlSettings {
                program: Some(Program::new(program(), [SQL_SUBCOMMAND.into()])),
                ..SqlSettings::default()
            },
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

    /// The whole way of a statement through its process, beside a start of the program that does
    /// nothing, and beside a database in memory that is opened and asked the same.
    async fn measure_start(&self) {
        const TIMES: usize = 21;
        let (mut asked, mut started, mut opened) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TIMES {
            asked.push(self.ask_once("SELECT 1").await);
            let start = Instant::now();
            let nothing = std::process::Command::new(program())
                .arg("--version")
                .stdout(std::process::Stdio::null())
                .status();
            assert!(nothing.expect("the program starts").success());
            started.push(milliseconds(start));
            let start = Instant::now();
            let database = duckdb::Connection::open_in_memory().expect("a database");
            database.execute_batch("SELECT 1").expect("it is asked");
            opened.push(milliseconds(start));
        }
        let [asked, started, opened] = [asked, started, opened].map(median);
        println!(
            "  `SELECT 1` in a process of its own           {asked:>9.1} ms, a start of the program {started:.1} ms (1 : {:.1}), \
             a database in memory {opened:.1} ms (1 : {:.1})",
            asked / started,
            asked / opened
        );
    }

    /// Milliseconds of the fastest of three.
    async fn ask(&self, sql: &str) -> f64 {
        let mut fastest = f64::INFINITY;
        for _ in 0..3 {
            fastest = fastest.min(self.ask_once(sql).await);
        }
        fastest
    }

    async fn ask_once(&self, sql: &str) -> f64 {
        let limits = QueryLimits {
            rows: 1_000_000,
            bytes: 256 << 20,
            timeout: LONG,
        };
        let start = Instant::now();
        let answer = self.store.query(sql, limits).await.expect("it is admitted");
        assert!(!answer.rows.is_empty(), "{sql}");
        milliseconds(start)
    }

    async fn beside(&self, what: &str, tiers: &str, runs: &str) {
        let (tiers, runs) = (self.ask(tiers).await, self.ask(runs).await);
        println!(
            "  {what:<44} {tiers:>9.1} ms from tiers, {runs:>9.1} ms from runs, 1 : {:.1}",
            runs / tiers
        );
    }
}

async fn measure() {
    let (services, days) = (
        size("EXTRACK_BENCH_SERVICES", 100),
        size("EXTRACK_BENCH_DAYS", 35),
    );
    println!("tiers: {services} services, one run a minute, {days} days");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    Running::start(folder.path(), LONG).stop().await;
    let start = Instant::now();
    fill(folder.path(), services, days);
    println!("  filled in {:.1} s", start.elapsed().as_secs_f64());
    let running = Running::start(folder.path(), Duration::from_millis(1));
    let start = Instant::now();
    while !is_counted(&running.store) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!(
        "  counted in the background in {:.1} s, with its pauses",
        start.elapsed().as_secs_f64()
    );
    running.measure_start().await;
    ask_all(&running).await;
    running.stop().await;
    let file = std::fs::metadata(folder.path().join("results.duckdb")).expect("the file is there");
    println!("  file of {} MiB", file.len() >> 20);
    append(size("EXTRACK_BENCH_ROWS", 500_000)).await;
}

async fn ask_all(running: &Running) {
    let counts = "count(*) FILTER (status IN ('healthy', 'degraded')) * 100.0 / count(*)";
    running
        .beside(
            "p50, p95 and p99 of all over 30 days",
            "FROM latency(NULL, INTERVAL 30 DAY)",
            "SELECT service, quantile_cont(latency_us, [0.5, 0.95, 0.99]) FROM observations \
             WHERE ts >= utc_now() - INTERVAL 30 DAY AND status IN ('healthy', 'degraded') GROUP BY service",
        )
        .await;
    running
        .beside(
            "availability of all over 90 days",
            "FROM availability(NULL, INTERVAL 90 DAY)",
            &format!(
                "SELECT service, {counts} FROM observations WHERE ts >= utc_now() - INTERVAL 90 DAY AND NOT missed GROUP BY service"
            ),
        )
        .await;
    running
        .beside(
            "one service over a year, by days",
            "SELECT ts, sum(healthy + degraded), sum(unhealthy + error), sum(lat_sum_us) // nullif(sum(lat_n), 0) FROM roll_1d \
             WHERE service = 'service-1' AND ts >= utc_now() - INTERVAL 365 DAY GROUP BY ts ORDER BY ts",
            &format!(
                "SELECT time_bucket(INTERVAL 1 DAY, ts) AS day, {counts}, avg(latency_us) FROM observations \
                 WHERE service = 'service-1' AND ts >= utc_now() - INTERVAL 365 DAY AND NOT missed GROUP BY day ORDER BY day"
            ),
        )
        .await;
    running
        .beside(
            "p95 of one service over 7 days",
            "FROM latency('service-1', INTERVAL 7 DAY)",
            "SELECT quantile_cont(latency_us, 0.95) FROM observations WHERE service = 'service-1' \
             AND ts >= utc_now() - INTERVAL 7 DAY AND status IN ('healthy', 'degraded')",
        )
        .await;
}

fn is_counted(store: &ResultStore) -> bool {
    Tier::ALL.into_iter().all(|tier| {
        let slack_ms = 2 * tier.width().as_millis() as i64 + 3 * MINUTE_MS;
        store
            .counted_until_ms(tier)
            .is_some_and(|until_ms| until_ms > now_ms() - slack_ms)
    })
}

/// Runs up to now, in the order of time, a day at once.
fn fill(folder: &Path, services: i64, days: i64) {
    let connection =
        duckdb::Connection::open(folder.join("results.duckdb")).expect("the file opens");
    let first_minute = now_ms() / MINUTE_MS - days * 1_440;
    for day in 0..days {
        let from = first_minute + day * 1_440;
        connection
            .execute_batch(&format!(
                "INSERT INTO fact.observations
                 SELECT make_timestamp(minute * 60000000), 'service-' || service, 'http', '{LOCAL}',
                     if(hash(minute, service) % 1000 = 0, 'error', 'healthy'),
                     if(hash(minute, service) % 1000 = 0, NULL,
                         exp(10.5 + (hash(service, minute, 1) % 1000 + hash(service, minute, 2) % 1000) / 1000.0)::UINTEGER),
                     100, 200, 300, 400, 500, 200, if(hash(minute, service) % 1000 = 0, 'timeout', NULL), NULL, 512, 'http',
                     '0.1.0', (minute - {first_minute}) * {services} + service, NULL, false, NULL
                 FROM range({from}, {from} + 1440) AS minutes(minute), range({services}) AS services(service)
                 ORDER BY minute, service"
            ))
            .expect("a day is filled");
    }
}

async fn append(rows: i64) {
    let mut rates = Vec::new();
    let mut behind_s = 0.0;
    for interval in [LONG, Duration::from_millis(1)] {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let running = Running::start(folder.path(), interval);
        let since_ms = now_ms() - (rows / APPENDING + 60) * MINUTE_MS;
        let start = Instant::now();
        for row in 0..rows {
            let ts_ms = since_ms + row / APPENDING * MINUTE_MS;
            running
                .store
                .observation_record(Arc::new(observation(row + 1, ts_ms)));
            while row % 1_000 == 0 && running.store.stats().queued > WAITING {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        while running.store.stats().queued > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        rates.push(rows as f64 / start.elapsed().as_secs_f64());
        while interval < LONG && !is_counted(&running.store) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        behind_s = start.elapsed().as_secs_f64() - rows as f64 / rates[rates.len() - 1];
        assert_eq!(running.store.health().lost_rows, 0);
        running.stop().await;
    }
    println!(
        "  {rows} rows appended: {:.0} a second without tiers, {:.0} while they are counted, which ends {behind_s:.1} s later",
        rates[0], rates[1]
    );
}

fn observation(run_id: i64, ts_ms: i64) -> Observation {
    Observation {
        ts_ms,
        service: format!("service-{}", run_id % APPENDING),
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
        excluded: None,
        rate_limits: Vec::new(),
    }
}
