//! How fast questions about history are: quantiles, availability and one service's year, from tiers
//! beside the same from the runs, in a store that is filled with one run a minute; how long the
//! process of a statement takes to start; how long the histories of rules that look back 30 days take
//! to be read back, and the program to start on that store; and how fast rows are appended while
//! tiers are kept up, beside without.
//!
//! `EXTRACK_BENCH_SERVICES` (100), `EXTRACK_BENCH_DAYS` (35) and `EXTRACK_BENCH_ROWS` (500000) set the sizes.

#[path = "common/counted.rs"]
mod counted;
#[path = "common/results.rs"]
mod results;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use counted::is_counted;
use extrack::child::Program;
use extrack::domain::now_ms;
use extrack::store::results::{PastSpan, SQL_SUBCOMMAND, SqlSettings, TierSettings};
use extrack::store::{QueryLimits, ResultSettings, ResultStore};
use extrack_tests::program::program;
use extrack_tests::{TargetServer, TestRuntime};
use futures::stream::{self, StreamExt};
use results::{MINUTE_MS, Running, fill, observation, size};

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

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn start(folder: &Path, interval: Duration) -> Running {
    let settings = ResultSettings {
        tiers: TierSettings {
            interval,
            ..TierSettings::default()
        },
        sql: SqlSettings {
            program: Some(Program::new(program(), [SQL_SUBCOMMAND.into()])),
            ..SqlSettings::default()
        },
        ..ResultSettings::default()
    };
    Running::start(folder, settings)
}

/// Questions to a store.
struct Questions<'a>(&'a ResultStore);

impl Questions<'_> {
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
        let answer = self.0.query(sql, limits).await.expect("it is admitted");
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
    let nginx = TargetServer::start().await;
    let mut watcher = watcher(services, &nginx);
    let folder = watcher.data();
    // Both stores begin together.
    watcher.start().await;
    watcher.stop().await;
    let began = Instant::now();
    let first_minute = now_ms() / MINUTE_MS - days * 1_440;
    fill(&folder, services, first_minute, days);
    println!("  filled in {:.1} s", began.elapsed().as_secs_f64());
    let running = start(&folder, Duration::from_millis(1));
    let began = Instant::now();
    while !is_counted(&running.store) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!(
        "  counted in the background in {:.1} s, with its pauses",
        began.elapsed().as_secs_f64()
    );
    let questions = Questions(&running.store);
    questions.measure_start().await;
    ask_all(&questions).await;
    read_histories(&running.store, services, days).await;
    running.stop().await;
    let file = std::fs::metadata(folder.join("results.duckdb")).expect("the file is there");
    println!("  file of {} MiB", file.len() >> 20);
    let began = Instant::now();
    watcher.start().await;
    println!(
        "  the program starts on it, with a rule a service that looks back 30 days, and answers after {:.1} s",
        began.elapsed().as_secs_f64()
    );
    drop(watcher);
    append(size("EXTRACK_BENCH_ROWS", 500_000)).await;
}

/// The program with these services, each with a rule that looks back 30 days; not started.
fn watcher(services: i64, target: &TargetServer) -> TestRuntime {
    let service = |number: i64| {
        format!(
            "\n  - {{name: service-{number}, baseUrl: \"{}\", healthEndpoint: /health, monitoring: {{interval: 60}}}}",
            target.url()
        )
    };
    let services: String = (0..services).map(service).collect();
    TestRuntime::builder()
        .services(format!("services:{services}\n"))
        .alerts(
            "alerts:\n  - {name: Availability, type: availability, threshold: 50, window: 30d}\n",
        )
        .env("EXTRACK_LOG", "warn")
        .prepare()
}

/// What rules that look back 30 days need at a start, read as the alert engine reads it.
async fn read_histories(store: &ResultStore, services: i64, days: i64) {
    /// Services in one pass, and passes at the same time.
    const PASS: (usize, usize) = (256, 2);
    let as_of_ms = now_ms();
    let spans: Vec<PastSpan> = (0..services)
        .map(|number| PastSpan {
            service: format!("service-{number}"),
            since_ms: as_of_ms - days.min(30) * 1_440 * MINUTE_MS,
            until_ms: i64::MAX,
            as_of_ms,
            interval: Duration::from_secs(60),
        })
        .collect();
    let began = Instant::now();
    let passes = spans.chunks(PASS.0).map(|spans| async {
        let pasts = store.past_runs(spans.to_vec()).await;
        let pasts = pasts.expect("the histories are read");
        let slots = pasts.iter().map(|past| past.slots.len());
        let samples = pasts.iter().map(|past| past.samples.len());
        (slots.sum::<usize>(), samples.sum::<usize>())
    });
    let found: Vec<(usize, usize)> = stream::iter(passes)
        .buffer_unordered(PASS.1)
        .collect()
        .await;
    let (slots, samples) = found
        .into_iter()
        .fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1));
    println!(
        "  histories of all over 30 days are read back in {:.1} s: {slots} slots, {samples} runs one by one",
        began.elapsed().as_secs_f64()
    );
}

async fn ask_all(questions: &Questions<'_>) {
    let counts = "count(*) FILTER (status IN ('healthy', 'degraded')) * 100.0 / count(*)";
    questions
        .beside(
            "p50, p95 and p99 of all over 30 days",
            "FROM latency(NULL, INTERVAL 30 DAY)",
            "SELECT service, quantile_cont(latency_us, [0.5, 0.95, 0.99]) FROM observations \
             WHERE ts >= utc_now() - INTERVAL 30 DAY AND status IN ('healthy', 'degraded') GROUP BY service",
        )
        .await;
    questions
        .beside(
            "availability of all over 90 days",
            "FROM availability(NULL, INTERVAL 90 DAY)",
            &format!(
                "SELECT service, {counts} FROM observations WHERE ts >= utc_now() - INTERVAL 90 DAY AND NOT missed GROUP BY service"
            ),
        )
        .await;
    questions
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
    questions
        .beside(
            "p95 of one service over 7 days",
            "FROM latency('service-1', INTERVAL 7 DAY)",
            "SELECT quantile_cont(latency_us, 0.95) FROM observations WHERE service = 'service-1' \
             AND ts >= utc_now() - INTERVAL 7 DAY AND status IN ('healthy', 'degraded')",
        )
        .await;
}

async fn append(rows: i64) {
    let mut rates = Vec::new();
    let mut behind_s = 0.0;
    for interval in [LONG, Duration::from_millis(1)] {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let running = start(folder.path(), interval);
        let since_ms = now_ms() - (rows / APPENDING + 60) * MINUTE_MS;
        let began = Instant::now();
        for row in 0..rows {
            let ts_ms = since_ms + row / APPENDING * MINUTE_MS;
            let run = observation(row + 1, (row + 1) % APPENDING, ts_ms);
            running.store.observation_record(Arc::new(run));
            while row % 1_000 == 0 && running.store.stats().queued > WAITING {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        while running.store.stats().queued > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        rates.push(rows as f64 / began.elapsed().as_secs_f64());
        while interval < LONG && !is_counted(&running.store) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        behind_s = began.elapsed().as_secs_f64() - rows as f64 / rates[rates.len() - 1];
        assert_eq!(running.store.health().lost_rows, 0);
        running.stop().await;
    }
    println!(
        "  {rows} rows appended: {:.0} a second without tiers, {:.0} while they are counted, which ends {behind_s:.1} s later",
        rates[0], rates[1]
    );
}
