//! 1,000 probes at an interval of 5 s against nginx, for a minute: how late they start, what is
//! missed, what it costs.
//!
//! `EXTRACK_BENCH_PROBES`, `EXTRACK_BENCH_INTERVAL` (seconds) and `EXTRACK_BENCH_SECONDS` ask for
//! something else.

use std::time::Duration;

#[path = "common/process.rs"]
mod process;

use extrack_tests::{TargetServer, TestRuntime, wait_for};
use process::{Lag, Usage, lag};

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

async fn measure() {
    let probes = setting("EXTRACK_BENCH_PROBES", 1_000);
    let interval = setting("EXTRACK_BENCH_INTERVAL", 5);
    let seconds = setting("EXTRACK_BENCH_SECONDS", 60);
    let nginx = TargetServer::start().await;
    let service = |index: u64| {
        format!(
            "\n  - {{name: \"s{index}\", baseUrl: \"{}\", healthEndpoint: /health, monitoring: {{interval: {interval}, timeout: 2000}}}}",
            nginx.url()
        )
    };
    let yaml = format!(
        "services:{}\n",
        (0..probes).map(service).collect::<String>()
    );
    let program = TestRuntime::builder()
        .services(yaml)
        .env("EXTRACK_LOG", "warn")
        .start()
        .await;
    let api = program.api();
    // The first round warms up: every probe has run once.
    wait_for(
        "the first round",
        Duration::from_secs(30 + 3 * interval),
        async || {
            let seen = api
                .sql_count("SELECT count(DISTINCT service) FROM observations")
                .await;
            if seen as u64 == probes {
                Ok(())
            } else {
                Err(format!("{seen} services have run"))
            }
        },
    )
    .await;

    let (before, lag_before) = (Usage::of(program.pid()), lag(&api).await);
    let started = tokio::time::Instant::now();
    let from_ms = jiff::Timestamp::now().as_millisecond();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (after, elapsed) = (Usage::of(program.pid()), started.elapsed().as_secs_f64());
    let until_ms = jiff::Timestamp::now().as_millisecond();
    let lag_after = lag(&api).await;
    // What was due in that time has ended and is stored.
    wait_for("the last rows", Duration::from_secs(10), async || {
        let last = api
            .sql_count("SELECT max(epoch_ms(ts)) FROM observations")
            .await;
        if last >= until_ms + 2_500 {
            Ok(())
        } else {
            Err(format!("{last} against {until_ms}"))
        }
    })
    .await;
    let within = format!("epoch_ms(ts) BETWEEN {from_ms} AND {until_ms}");
    let count = async |condition: &str| {
        api.sql_count(&format!(
            "SELECT count(*) FROM observations WHERE {within} AND {condition}"
        ))
        .await
    };
    let (runs, missed, failed) = (
        count("NOT missed").await,
        count("missed").await,
        count("NOT missed AND status <> 'healthy'").await,
    );
    let cpu = (after.cpu_seconds - before.cpu_seconds) / elapsed;

    println!(
        "scheduler: {probes} probes every {interval} s for {elapsed:.0} s, nginx on loopback, a fresh connection each"
    );
    println!(
        "  runs                {runs} ({:.0} a second), {failed} not healthy",
        runs as f64 / elapsed
    );
    println!("  missed runs         {missed}");
    println!(
        "  start lag           {}",
        Lag::between(&lag_before, &lag_after)
    );
    println!(
        "  CPU                 {cpu:.3} s per second, {:.0} probes per CPU second",
        runs as f64 / elapsed / cpu
    );
    println!(
        "  memory (RSS)        {:.1} MiB now, {:.1} MiB at most",
        after.rss_mib, after.peak_mib
    );
}
