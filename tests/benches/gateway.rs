//! Calls through the gateway beside the same calls through nginx as a plain reverse proxy, at the same
//! rate before the same server, in turns, over HTTP/1.1 and over HTTP/2; then as many as one client
//! can send, each of them counted, priced and a row, while probes run.
//!
//! `EXTRACK_BENCH_RATE` (calls a second), `EXTRACK_BENCH_SECONDS` (of a turn) and
//! `EXTRACK_BENCH_MOST` (calls a second in the last part) ask for something else.

#[path = "common/process.rs"]
mod process;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use extrack_tests::{Api, TargetServer, TestRuntime, wait_for};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::header::AUTHORIZATION;
use hyper_util::rt::{TokioExecutor, TokioIo};
use process::{Lag, Usage, lag};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

/// Callers, each with one call at a time.
const CALLERS: u64 = 32;
/// Callers that share a connection of HTTP/2.
const STREAMS: u64 = 8;
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

/// Server that is called, and how.
#[derive(Clone)]
struct Way {
    address: SocketAddr,
    path: &'static str,
    /// Value of `Authorization`.
    token: Option<String>,
    is_http2: bool,
}

/// Connection of a caller.
enum Caller {
    Http1(TcpStream),
    Http2(SendRequest<Empty<Bytes>>),
}

async fn measure() {
    let rate = setting("EXTRACK_BENCH_RATE", 1_000);
    let most = setting("EXTRACK_BENCH_MOST", 5_000);
    let seconds = setting("EXTRACK_BENCH_SECONDS", 10);
    let vendor = TargetServer::start().await;
    let nginx = TargetServer::start_proxy(vendor.address()).await;
    let nginx_http2 = TargetServer::start_http2_proxy(vendor.address()).await;
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
        path: "/gateway/vendor/health",
        token: Some(format!("Bearer {token}")),
        is_http2: false,
    };
    let proxy = |server: &TargetServer, is_http2| Way {
        address: server.address(),
        path: "/proxy/health",
        token: None,
        is_http2,
    };
    println!(
        "gateway: GET of 9 bytes by {CALLERS} callers, {rate} calls a second, {TURNS} turns of {seconds} s each, in turns; latency is from the moment when a call is due"
    );
    println!("  HTTP/1.1, a kept connection each");
    let mut sent = compare(&gateway, &proxy(&nginx, false), rate, seconds).await;
    println!("  HTTP/2, {STREAMS} callers a connection");
    let over_http2 = Way {
        is_http2: true,
        ..gateway.clone()
    };
    sent += compare(&over_http2, &proxy(&nginx_http2, true), rate, seconds).await;

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

/// Calls both in turns and prints how long that took; returns how many passed the gateway.
async fn compare(gateway: &Way, proxy: &Way, rate: u64, seconds: u64) -> usize {
    let mut sent = 0;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // One turn each to warm up.
    for turn in 0..=TURNS {
        let through_nginx = load(proxy, rate, seconds).await;
        let through_us = load(gateway, rate, seconds).await;
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
            "    {name}   {:>7.0} us, nginx {:>7.0} us, ratio {:.2}",
            us * 1e6,
            nginx * 1e6,
            us / nginx
        );
    }
    sent
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
    let callers = callers(way).await;
    let begin = Instant::now() + Duration::from_millis(100);
    let each = Duration::from_secs(1).mul_f64(CALLERS as f64 / rate as f64);
    let calls = rate * seconds / CALLERS;
    let tasks: Vec<_> = (0_u32..)
        .zip(callers)
        .map(|(place, caller)| {
            let begin = begin + each.mul_f64(f64::from(place) / CALLERS as f64);
            tokio::spawn(calls_of(caller, way.clone(), begin, each, calls))
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.expect("calls are answered"));
    }
    latencies.sort_unstable();
    latencies
}

async fn callers(way: &Way) -> Vec<Caller> {
    let mut callers = Vec::new();
    while callers.len() < CALLERS as usize {
        let stream = TcpStream::connect(way.address).await.expect("it listens");
        stream.set_nodelay(true).expect("the option is there");
        if !way.is_http2 {
            callers.push(Caller::Http1(stream));
            continue;
        }
        let opened = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = opened.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        callers.extend((0..STREAMS).map(|_| Caller::Http2(sender.clone())));
    }
    callers
}

async fn calls_of(
    mut caller: Caller,
    way: Way,
    begin: Instant,
    each: Duration,
    calls: u64,
) -> Vec<Duration> {
    let mut latencies = Vec::new();
    let mut due = begin;
    for _ in 0..calls {
        sleep_until(due).await;
        match &mut caller {
            Caller::Http1(stream) => call_http1(stream, &way).await,
            Caller::Http2(sender) => call_http2(sender, &way).await,
        }
        latencies.push(due.elapsed());
        due += each;
    }
    latencies
}

async fn call_http1(stream: &mut TcpStream, way: &Way) {
    let token = way.token.as_ref();
    let line = token.map(|token| format!("Authorization: {token}\r\n"));
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: a\r\n{}\r\n",
        way.path,
        line.unwrap_or_default()
    );
    let sent = stream.write_all(request.as_bytes()).await;
    sent.expect("it takes calls");
    answer(stream).await;
}

async fn call_http2(sender: &mut SendRequest<Empty<Bytes>>, way: &Way) {
    let mut request = Request::get(format!("http://a{}", way.path));
    if let Some(token) = &way.token {
        request = request.header(AUTHORIZATION, token);
    }
    let request = request.body(Empty::new()).expect("a request");
    sender.ready().await.expect("it takes calls");
    let answer = sender.send_request(request).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.expect("a whole answer");
    assert_eq!(body.to_bytes(), "all good\n");
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

/// Waits for the rows of the calls and their totals; returns what is in them.
async fn counted(api: &Api, sent: usize) -> String {
    const ROWS: &str = "SELECT count(*) FROM calls WHERE source = 'gateway'";
    const TOTALS: &str =
        "SELECT coalesce(sum(calls), 0)::BIGINT FROM usage_totals WHERE source = 'gateway'";
    let patience = Duration::from_secs(60);
    let (rows, total) = wait_for("rows and totals of the calls", patience, async || {
        let (rows, total) = (api.sql_count(ROWS).await, api.sql_count(TOTALS).await);
        if rows.min(total) as usize >= sent {
            Ok((rows, total))
        } else {
            Err(format!("{rows} rows and {total} in the totals of {sent}"))
        }
    })
    .await;
    let priced = api.sql_count(&format!("{ROWS} AND cost_min = 0.001")).await;
    format!("{rows} rows, {priced} of them priced, {total} in the totals")
}
