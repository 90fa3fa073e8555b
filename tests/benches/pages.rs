//! How fast and how large the pages of the dashboard are while observations come in, in a program that
//! has a history: p50 and p95 of each page over a kept connection, its bytes, and its p50 beside that
//! of `/healthz`, which is asked in turns with the pages. Then the CPU time of the program with live
//! pages open, beside a while without them.
//!
//! `EXTRACK_BENCH_SERVICES` (500), `EXTRACK_BENCH_ROWS` (2000000, of the history) and
//! `EXTRACK_BENCH_SECONDS` (20, of each of the two whiles) set the sizes. About a thousand
//! observations a second come in, and not more than one of each service.

#[path = "common/counted.rs"]
mod counted;
#[path = "common/process.rs"]
mod process;
#[path = "common/results.rs"]
#[allow(dead_code)]
mod results;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use counted::is_counted;
use extrack::domain::now_ms;
use extrack::store::ResultSettings;
use extrack::store::results::TierSettings;
use extrack_tests::runtime::TOKEN;
use extrack_tests::{Api, TargetServer, TestRuntime, wait_for};
use flate2::read::GzDecoder;
use process::{Lag, Usage, lag};
use reqwest::header::CONTENT_ENCODING;
use reqwest::{Method, RequestBuilder, Response};
use results::{MINUTE_MS, Running, fill, size};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Times that each page is asked for.
const TIMES: usize = 100;
/// Then no further round begins.
const MAX_ASKING: Duration = Duration::from_secs(600);
const LIVE_PAGES: usize = 200;
/// Observations a second.
const RATE: i64 = 1_000;
/// One in so many services is down, and one in so many has calls that cost something.
const DOWN: i64 = 50;
const PAID: i64 = 10;
const CALLS: i64 = 2_000;
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(3_600);

const HEALTH: &str = "/healthz";
const PAGES: [&str; 8] = [
    HEALTH,
    "/",
    "/services/service-1?range=30d",
    "/alerts",
    "/usage",
    "/analytics",
    "/plugins",
    "/sql",
];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let services = size("EXTRACK_BENCH_SERVICES", 500).max(2);
    let rows = size("EXTRACK_BENCH_ROWS", 2_000_000);
    let time = Duration::from_secs(size("EXTRACK_BENCH_SECONDS", 20).unsigned_abs());
    let interval = services.div_euclid(RATE).max(1);
    let a_day = services * 1_440;
    let days = (rows + a_day - 1).div_euclid(a_day).max(1);
    println!(
        "pages: {services} services, {} observations of {days} days, a run of each service every {interval} s, nginx on loopback",
        a_day * days
    );
    let nginx = TargetServer::start().await;
    let mut program = TestRuntime::builder()
        .services(services_yaml(services, interval, &nginx))
        .alerts(
            "alerts:\n  - {name: Down, condition: \"status == 'unhealthy'\", severity: critical}\n",
        )
        .env("EXTRACK_LOG", "warn")
        // Live pages get a share of them.
        .env("EXTRACK_MAX_CONNECTIONS", "2048")
        .prepare();
    // Both stores begin together.
    program.start().await;
    program.stop().await;
    let began = Instant::now();
    history(&program.data(), services, days).await;
    println!(
        "  filled and counted in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    program.start().await;
    let api = program.api();
    report_calls(&api, services).await;
    let round = Duration::from_secs(300 + 3 * interval.unsigned_abs());
    wait_for("the first round", round, async || {
        let runs = runs(&lag(&api).await);
        if runs >= services as f64 {
            return Ok(());
        }
        // The metrics of all services are work as well.
        sleep(Duration::from_secs(1)).await;
        Err(format!("{runs} runs"))
    })
    .await;
    let browser = Browser::sign_in(&program).await;
    ask_all(&browser, &api).await;
    beside_live_pages(&program, &browser, time).await;
}

fn services_yaml(services: i64, interval: i64, target: &TargetServer) -> String {
    let service = |number: i64| {
        let path = if number % DOWN == 0 {
            "/broken"
        } else {
            "/health"
        };
        let cost = if number % PAID == 0 {
            ", cost: {currency: EUR, monthly: 9.00, prices: [{price: \"0.01\"}]}"
        } else {
            ""
        };
        format!(
            "\n  - {{name: service-{number}, baseUrl: \"{}\", healthEndpoint: {path}, monitoring: {{interval: {interval}, timeout: 2000}}{cost}}}",
            target.url()
        )
    };
    let services: String = (0..services).map(service).collect();
    format!("services:{services}\n")
}

/// Fills the store of a program that is not running, and has its tiers counted.
async fn history(folder: &Path, services: i64, days: i64) {
    let settings = ResultSettings {
        tiers: TierSettings {
            interval: Duration::from_millis(1),
            ..TierSettings::default()
        },
        ..ResultSettings::default()
    };
    let first_minute = now_ms() / MINUTE_MS - days * 1_440;
    fill(folder, services, first_minute, days);
    let running = Running::start(folder, settings);
    wait_for("the tiers", LONG, async || {
        if is_counted(&running.store) {
            Ok(())
        } else {
            Err("they are behind".to_owned())
        }
    })
    .await;
    running.stop().await;
}

async fn report_calls(api: &Api, services: i64) {
    let paid = (services + PAID - 1).div_euclid(PAID);
    let call = |id: i64| {
        let service = format!("service-{}", id % paid * PAID);
        let call = json!({
            "id": format!("c{id}"), "ts": now_ms(), "service": service, "consumer": format!("team-{}", id % 7),
            "method": "GET", "route": "/v1/things", "status": 200, "latencyMs": 12.5,
        });
        format!("{call}\n")
    };
    let lines: String = (0..CALLS).map(call).collect();
    wait_for(
        "the calls to be taken",
        Duration::from_secs(120),
        async || {
            let request = api
                .request(Method::POST, "/api/v1/calls")
                .header("content-type", "application/x-ndjson");
            let reply = api.send(request.body(lines.clone())).await;
            if reply.status == 503 {
                return Err(reply.text);
            }
            assert_eq!(reply.expect(200)["accepted"], CALLS);
            Ok(())
        },
    )
    .await;
}

/// Runs that have started.
fn runs(lag: &[(f64, f64)]) -> f64 {
    lag.last().map_or(0.0, |(_, runs)| *runs)
}

/// Asks as a browser does that someone signed in with.
struct Browser {
    api: Api,
    cookie: String,
}

/// Answer of a page: bytes as they were sent, and what they stand for.
struct Page {
    /// Until the last byte, packed as it is.
    ms: f64,
    sent: usize,
    plain: Vec<u8>,
}

impl Browser {
    async fn sign_in(program: &TestRuntime) -> Self {
        let api = program.api().anonymous();
        let form = api
            .request(Method::POST, "/login")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("token={TOKEN}"));
        let reply = api.send(form).await;
        let cookie = reply.header("set-cookie").split(';').next();
        let cookie = cookie.expect("it has a first part").to_owned();
        assert!(!cookie.is_empty(), "{}", reply.text);
        Self { api, cookie }
    }

    fn request(&self, path: &str, accept: &str) -> RequestBuilder {
        self.api
            .request(Method::GET, path)
            .header("cookie", &self.cookie)
            .header("accept", accept)
            .header("accept-encoding", "gzip")
    }

    /// `Err` is what came in place of the page.
    async fn page(&self, path: &str) -> Result<Page, String> {
        let began = Instant::now();
        let answer = self.request(path, "text/html").send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        if status != 200 {
            return Err(format!("status {status}"));
        }
        let is_packed = answer
            .headers()
            .get(CONTENT_ENCODING)
            .is_some_and(|encoding| encoding == "gzip");
        let bytes = answer.bytes().await.map_err(|error| error.to_string())?;
        let ms = began.elapsed().as_secs_f64() * 1_000.0;
        let mut plain = Vec::new();
        if is_packed {
            GzDecoder::new(&bytes[..])
                .read_to_end(&mut plain)
                .map_err(|error| error.to_string())?;
        } else {
            plain.extend_from_slice(&bytes);
        }
        Ok(Page {
            ms,
            sent: bytes.len(),
            plain,
        })
    }
}

/// What a page took.
#[derive(Default)]
struct Samples {
    ms: Vec<f64>,
    /// At most.
    sent: usize,
    plain: usize,
    failed: usize,
    last_failure: String,
}

impl Samples {
    async fn take(&mut self, browser: &Browser, path: &str) {
        match browser.page(path).await {
            Ok(page) => {
                self.ms.push(page.ms);
                self.sent = self.sent.max(page.sent);
                self.plain = self.plain.max(page.plain.len());
            }
            Err(failure) => {
                self.failed += 1;
                self.last_failure = failure;
            }
        }
    }

    fn quantile(&self, quantile: f64) -> f64 {
        let rank = (self.ms.len() as f64 * quantile).ceil() as usize;
        let found = self.ms.get(rank.max(1) - 1);
        found.copied().unwrap_or(f64::NAN)
    }
}

/// The pages in turns, so that what the machine does besides meets all of them alike.
async fn ask_all(browser: &Browser, api: &Api) {
    let mut all: [Samples; PAGES.len()] = std::array::from_fn(|_| Samples::default());
    let (lag_before, began) = (lag(api).await, Instant::now());
    for _ in 0..TIMES {
        if began.elapsed() > MAX_ASKING {
            break;
        }
        for (path, samples) in PAGES.iter().zip(&mut all) {
            samples.take(browser, path).await;
        }
    }
    let (lag_after, seconds) = (lag(api).await, began.elapsed().as_secs_f64());
    for samples in &mut all {
        samples.ms.sort_by(f64::total_cmp);
    }
    println!(
        "  {:.0} runs a second while pages are asked for, one after the other; start lag {}",
        (runs(&lag_after) - runs(&lag_before)) / seconds,
        Lag::between(&lag_before, &lag_after)
    );
    println!(
        "  {:<30} {:>9} {:>9} {:>11} {:>11} {:>11}",
        "page", "p50 ms", "p95 ms", "/healthz", "sent B", "plain B"
    );
    let health = all[0].quantile(0.5);
    for (path, samples) in PAGES.iter().zip(&all) {
        let p50 = samples.quantile(0.5);
        println!(
            "  {path:<30} {p50:>9.2} {:>9.2} {:>11} {:>11} {:>11}",
            samples.quantile(0.95),
            format!("1 : {:.1}", p50 / health),
            samples.sent,
            samples.plain
        );
        if samples.failed > 0 {
            println!(
                "    {} of {} failed, the last one with: {}",
                samples.failed,
                samples.failed + samples.ms.len(),
                samples.last_failure
            );
        }
    }
}

/// Pages that are open; dropped, they are closed.
struct LivePages {
    readers: JoinSet<()>,
    read: Arc<AtomicU64>,
    refused: usize,
}

impl LivePages {
    async fn open(browser: &Browser) -> Self {
        let overview = browser.page("/").await.expect("the overview is there");
        let overview = String::from_utf8(overview.plain).expect("a page is text");
        let address = overview
            .split("data-events=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("the overview is live")
            .replace("&amp;", "&");
        let mut pages = Self {
            readers: JoinSet::new(),
            read: Arc::default(),
            refused: 0,
        };
        for _ in 0..LIVE_PAGES {
            let stream = browser
                .request(&address, "text/event-stream")
                .timeout(LONG)
                .send()
                .await;
            match stream {
                Ok(stream) if stream.status() == 200 => {
                    pages.readers.spawn(read_on(stream, pages.read.clone()));
                }
                _ => pages.refused += 1,
            }
        }
        pages
    }
}

async fn read_on(mut stream: Response, read: Arc<AtomicU64>) {
    while let Ok(Some(chunk)) = stream.chunk().await {
        read.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    }
}

async fn beside_live_pages(program: &TestRuntime, browser: &Browser, time: Duration) {
    let without = cpu("without live pages", program, time).await;
    let mut pages = LivePages::open(browser).await;
    let read_before = pages.read.load(Ordering::Relaxed);
    let name = format!("with {} live pages", pages.readers.len());
    let with = cpu(&name, program, time).await;
    let read = pages.read.load(Ordering::Relaxed) - read_before;
    let mut ended = 0;
    while pages.readers.try_join_next().is_some() {
        ended += 1;
    }
    println!(
        "  live pages cost {:.3} s of CPU per second; they were sent {:.1} kB a second; {} were refused, {ended} ended early",
        with - without,
        read as f64 / 1e3 / time.as_secs_f64(),
        pages.refused
    );
}

/// CPU seconds of the program per second, over some time.
async fn cpu(name: &str, program: &TestRuntime, time: Duration) -> f64 {
    let api = program.api();
    let (before, lag_before) = (Usage::of(program.pid()), lag(&api).await);
    let began = Instant::now();
    sleep(time).await;
    let (after, seconds) = (Usage::of(program.pid()), began.elapsed().as_secs_f64());
    let lag_after = lag(&api).await;
    let cpu = (after.cpu_seconds - before.cpu_seconds) / seconds;
    println!(
        "  {name}: {cpu:.3} s of CPU per second, {:.0} runs a second, {:.1} MiB, {:.1} MiB at most",
        (runs(&lag_after) - runs(&lag_before)) / seconds,
        after.rss_mib,
        after.peak_mib
    );
    cpu
}
