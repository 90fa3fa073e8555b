//! 1,000 probes at an interval of 5 s against nginx while 16 clients at once send statements that mean
//! harm: how late probes start and what is missed, beside a while without them, and what became of
//! each statement.
//!
//! `EXTRACK_BENCH_PROBES`, `EXTRACK_BENCH_INTERVAL` (seconds), `EXTRACK_BENCH_SECONDS` (of each of the two whiles) and
//! `EXTRACK_BENCH_CLIENTS` ask for something else.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[path = "common/process.rs"]
mod process;

use extrack_tests::{Api, TargetServer, TestRuntime, wait_for};
use futures::future::join_all;
use process::{Lag, Usage, lag};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Characters of a statement that are shown.
const SHOWN: usize = 90;

fn setting(name: &str, default: i64) -> i64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a whole number"))
    })
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(measure());
}

/// Statements in the order in which they are sent: behind each of those that pass the gate and take
/// all they get, some that it refuses.
fn statements() -> Vec<String> {
    let bombs: Vec<String> =
        serde_json::from_str(include_str!("../fixtures/sql/bombs.json")).expect("statements");
    let refused: Vec<(String, String)> =
        serde_json::from_str(include_str!("../fixtures/sql/hostile.json")).expect("pairs");
    let refused: Vec<String> = refused
        .into_iter()
        .map(|(statement, _)| statement)
        .collect();
    let share = refused.len().div_ceil(bombs.len());
    let mut statements = Vec::new();
    for (bomb, refused) in bombs.into_iter().zip(refused.chunks(share)) {
        statements.push(bomb);
        statements.extend_from_slice(refused);
    }
    statements
}

/// What became of a statement, in a word: the kind of the problem, or the status.
async fn outcome(api: &Api, statement: &str) -> String {
    let request = api.request(Method::POST, "/api/v1/sql");
    match api
        .try_send(request.json(&json!({"query": statement})))
        .await
    {
        Err(_) => "no answer".to_owned(),
        Ok(reply) => {
            let problem: Value = serde_json::from_str(&reply.text).unwrap_or_default();
            let kind = problem["type"]
                .as_str()
                .and_then(|kind| kind.rsplit('/').next());
            kind.map_or_else(|| format!("{} answered", reply.status), str::to_owned)
        }
    }
}

/// What became of the statements: how often, by statement and by what it was.
type Outcomes = BTreeMap<(usize, String), usize>;

/// Sends statements until the time is over, each client one after the other; those that are under
/// way then are waited for.
async fn attack(api: &Api, statements: &[String], clients: i64, until: Instant) -> Outcomes {
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Outcomes::new()));
    let client = async || {
        while Instant::now() < until {
            let number = next.fetch_add(1, Ordering::Relaxed) % statements.len();
            let what = outcome(api, &statements[number]).await;
            let mut outcomes = outcomes.lock().expect("no client panicked");
            *outcomes.entry((number, what)).or_default() += 1;
        }
    };
    join_all((0..clients).map(|_| client())).await;
    outcomes.into_inner().expect("no client panicked")
}

/// Rows of some time, counted when all of them are there.
struct Rows<'a> {
    api: &'a Api,
    from_ms: i64,
    until_ms: i64,
}

impl Rows<'_> {
    /// Waits until what was due has ended and is stored.
    async fn stored(&self) {
        wait_for("the last rows", Duration::from_secs(120), async || {
            let last = self
                .api
                .sql_count("SELECT max(epoch_ms(ts)) FROM observations")
                .await;
            if last >= self.until_ms + 2_500 {
                Ok(())
            } else {
                Err(format!("{last} against {}", self.until_ms))
            }
        })
        .await;
    }

    async fn count(&self, condition: &str) -> i64 {
        let (from, until) = (self.from_ms, self.until_ms);
        self.api
            .sql_count(&format!(
                "SELECT count(*) FROM observations WHERE epoch_ms(ts) BETWEEN {from} AND {until} AND {condition}"
            ))
            .await
    }
}

/// Runs something, and prints what became of the probes meanwhile.
async fn beside<T>(name: &str, program: &TestRuntime, work: impl Future<Output = T>) -> T {
    let api = program.api();
    let (before, lag_before) = (Usage::of(program.pid()), lag(&api).await);
    let (from_ms, began) = (jiff::Timestamp::now().as_millisecond(), Instant::now());
    let done = work.await;
    let (after, seconds) = (Usage::of(program.pid()), began.elapsed().as_secs_f64());
    let until_ms = jiff::Timestamp::now().as_millisecond();
    let lag_after = lag(&api).await;
    let rows = Rows {
        api: &api,
        from_ms,
        until_ms,
    };
    rows.stored().await;
    println!(
        "  {name}: {} runs in {seconds:.0} s, {} missed, {} not healthy",
        rows.count("NOT missed").await,
        rows.count("missed").await,
        rows.count("NOT missed AND status <> 'healthy'").await
    );
    println!("    start lag   {}", Lag::between(&lag_before, &lag_after));
    println!(
        "    the program {:.3} s of CPU per second, {:.1} MiB now, {:.1} MiB at most",
        (after.cpu_seconds - before.cpu_seconds) / seconds,
        after.rss_mib,
        after.peak_mib
    );
    done
}

async fn measure() {
    let probes = setting("EXTRACK_BENCH_PROBES", 1_000);
    let interval = setting("EXTRACK_BENCH_INTERVAL", 5);
    let seconds = setting("EXTRACK_BENCH_SECONDS", 60).unsigned_abs();
    let clients = setting("EXTRACK_BENCH_CLIENTS", 16);
    let nginx = TargetServer::start().await;
    let service = |index: i64| {
        format!(
            "\n  - {{name: \"s{index}\", baseUrl: \"{}\", healthEndpoint: /health, monitoring: {{interval: {interval}, timeout: 2000}}}}",
            nginx.url()
        )
    };
    let services: String = (0..probes).map(service).collect();
    let program = TestRuntime::builder()
        .services(format!("services:{services}\n"))
        .env("EXTRACK_LOG", "warn")
        .start()
        .await;
    let api = program.api();
    let round = Duration::from_secs(60 + 3 * interval.unsigned_abs());
    wait_for("the first round", round, async || {
        let seen = api
            .sql_count("SELECT count(DISTINCT service) FROM observations")
            .await;
        if seen == probes {
            Ok(())
        } else {
            Err(format!("{seen} services have run"))
        }
    })
    .await;
    println!(
        "hostile: {probes} probes every {interval} s, nginx on loopback, {clients} clients that send statements"
    );
    let time = Duration::from_secs(seconds);
    beside("without statements", &program, tokio::time::sleep(time)).await;
    let statements = statements();
    let attack = attack(&api, &statements, clients, Instant::now() + time);
    let outcomes = beside("with statements", &program, attack).await;
    report(&statements, &outcomes);
}

fn report(statements: &[String], outcomes: &Outcomes) {
    let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
    for ((_, what), times) in outcomes {
        *totals.entry(what).or_default() += times;
    }
    let sent: usize = totals.values().sum();
    println!("  {sent} statements were sent:");
    for (what, times) in &totals {
        println!("    {times:>6} {what}");
    }
    for ((number, what), times) in outcomes {
        let statement: String = statements[*number]
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(SHOWN)
            .collect();
        println!("  {times:>4} x {what:<18} {statement}");
    }
}
