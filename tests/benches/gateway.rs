//! Calls through the gateway beside the same calls through nginx as a plain reverse proxy, at the same
//! rate before the same server, in turns; then as many as one client can send, each of them counted,
//! priced and a row, while probes run.
//!
//! `EXTRACK_BENCH_RATE` (calls a second), `EXTRACK_BENCH_SECONDS` (of a turn) and
//! `EXTRACK_BENCH_MOST` (calls a second in the last part) ask for something else.

#[path = "common/process.rs"]
mod process;

use std::net::SocketAddr;
use std::time::Duration;

use extrack_tests::{Api, TargetServer, TestRuntime, wait_for};
use process::{Lag, Usage, lag};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

const CONNECTIONS: u64 = 32;
const TURNS: usize = 3;
/// Probes that run beside the calls, one a second each.
const PROBES: u64 = 100;

fn setting(name: &str, default: u64) -> u64 {
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

/// Server that is called, and the bytes of a call.
#[derive(Clone)]
struct Way {
    address: SocketAddr,
    request: String,
}

async fn measure() {
    let rate = setting("EXTRACK_BENCH_RATE", 1_000);
    let most = setting("EXTRACK_BENCH_MOST", 5_000);
    let seconds = setting("EXTRACK_BENCH_SECONDS", 10);
    let vendor = TargetServer::start().await;
    let nginx = TargetServer::start_proxy(vendor.address()).await;
    let program = TestRuntime::builder()
        .services(services(&vendor))
        .env("EXTRACK_LOG", "warn")
        .start()
        .await;
    let api = program.api();
    let consumer = json!({"name": "bench", "services": ["vendor"]});
    let made = api.post("/api/v1/consumers", &consumer).await.expect(201);
    let token = made["token"].as_str().expect("a consumer has a token");
    let gateway = Way {
        address: address_of(program.url()),
        request: format!(
            "GET /gateway/vendor/health HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"
        ),
    };
    let proxy = Way {
        address: nginx.address(),
        request: "GET /proxy/health HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    };

    println!(
        "gateway: GET of 9 bytes over {CONNECTIONS} kept connections of HTTP/1.1, {rate} calls a second, {TURNS} turns of {seconds} s each, in turns; latency is from the moment when a call is due"
    );
    let mut sent = 0;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // One turn each to warm up.
    for turn in 0..=TURNS {
        let through_nginx = load(&proxy, rate, seconds).await;
        let through_us = load(&gateway, rate, seconds).await;
        sent += through_us.len();
        if turn > 0 {
            theirs.push(through_nginx);
            ours.push(through_us);
        }
    }
    for (name, part) in [("p50", 0.50), ("p99", 0.99)] {
        let of = |turns: &[Vec<Duration>]| median(turns.iter().map(|turn| at(turn, part)));
        let (us, nginx) = (of(&ours), of(&theirs));
        println!(
            "  {name}   {:>7.0} us, nginx {:>7.0} us, ratio {:.2}",
            us * 1e6,
            nginx * 1e6,
            us / nginx
        );
    }

    let (before, lag_before) = (Usage::of(program.pid()), lag(&api).await);
    let started = Instant::now();
    let loaded = load(&gateway, most, seconds).await;
    let elapsed = started.elapsed().as_secs_f64();
    let (after, lag_after) = (Usage::of(program.pid()), lag(&api).await);
    sent += loaded.len();
    println!(
        "  {most} calls a second wanted, {:.0} had; p50 {:.0} us, p99 {:.0} us; CPU {:.2} s per second, memory {:.0} MiB, {:.0} MiB at most",
        loaded.len() as f64 / elapsed,
        at(&loaded, 0.5) * 1e6,
        at(&loaded, 0.99) * 1e6,
        (after.cpu_seconds - before.cpu_seconds) / elapsed,
        after.rss_mib,
        after.peak_mib,
    );
    println!(
        "  {PROBES} probes a second beside them: start lag {}",
        Lag::between(&lag_before, &lag_after)
    );
    println!("  {sent} calls sent, {}", counted(&api, sent).await);
}

fn services(vendor: &TargetServer) -> String {
    let url = vendor.url();
    let probe = |index: u64| {
        format!(
            "\n  - {{name: \"s{index}\", baseUrl: \"{url}\", healthEndpoint: /health, monitoring: {{interval: 1, timeout: 900}}}}"
        )
    };
    format!(
        "services:\n  - {{name: Vendor, baseUrl: \"{url}\", monitoring: {{interval: 86400}}, \
         gateway: {{paths: [\"/*\"]}}, cost: {{currency: USD, prices: [{{price: \"0.001\"}}]}}}}{}\n",
        (0..PROBES).map(probe).collect::<String>()
    )
}

fn address_of(url: &str) -> SocketAddr {
    let address = url.trim_start_matches("http://");
    address.parse().expect("the program listens on an address")
}

/// Sends calls at a rate for some seconds; returns how long each took from when it was due.
async fn load(way: &Way, rate: u64, seconds: u64) -> Vec<Duration> {
    let begin = Instant::now() + Duration::from_millis(100);
    let each = Duration::from_secs(1) * u32::try_from(CONNECTIONS).expect("few")
        / u32::try_from(rate).expect("a rate");
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|connection| {
            let way = way.clone();
            let begin = begin + each * u32::try_from(connection).expect("few") / 32;
            let calls = rate * seconds / CONNECTIONS;
            tokio::spawn(async move { calls_of(&way, begin, each, calls).await })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.expect("calls are answered"));
    }
    latencies.sort_unstable();
    latencies
}

async fn calls_of(way: &Way, begin: Instant, each: Duration, calls: u64) -> Vec<Duration> {
    let mut stream = TcpStream::connect(way.address).await.expect("it listens");
    stream.set_nodelay(true).expect("the option is there");
    let mut latencies = Vec::new();
    let mut due = begin;
    for _ in 0..calls {
        sleep_until(due).await;
        let sent = stream.write_all(way.request.as_bytes()).await;
        sent.expect("it takes calls");
        answer(&mut stream).await;
        latencies.push(due.elapsed());
        due += each;
    }
    latencies
}

/// Reads an answer of nine bytes, `all good`.
async fn answer(stream: &mut TcpStream) {
    let mut buffer = [0; 2_048];
    let mut held = 0;
    loop {
        let count = stream.read(&mut buffer[held..]).await.expect("an answer");
        assert!(count > 0, "closed in the middle of an answer");
        held += count;
        if buffer[..held].ends_with(b"\r\n\r\nall good\n") {
            assert!(buffer.starts_with(b"HTTP/1.1 200"));
            return;
        }
    }
}

/// Smallest latency in seconds that this part of the calls, sorted, are within.
fn at(sorted: &[Duration], part: f64) -> f64 {
    let index = (sorted.len() as f64 * part).ceil() as usize;
    sorted[index.clamp(1, sorted.len()) - 1].as_secs_f64()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Waits for the rows of the calls; returns what is in them.
async fn counted(api: &Api, sent: usize) -> String {
    wait_for(
        "the rows of the calls",
        Duration::from_secs(60),
        async || {
            let rows = api.sql_count("SELECT count(*) FROM calls").await;
            match rows as usize >= sent {
                true => Ok(()),
                false => Err(format!("{rows} of {sent}")),
            }
        },
    )
    .await;
    let total = api
        .sql_count("SELECT sum(calls)::BIGINT FROM usage_totals")
        .await;
    let rows = api.sql_count("SELECT count(*) FROM calls").await;
    let priced = api
        .sql_count("SELECT count(*) FROM calls WHERE cost_min = 0.001")
        .await;
    format!("{rows} rows, {priced} of them priced, {total} in the totals")
}
