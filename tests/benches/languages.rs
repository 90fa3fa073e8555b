//! What plugins in other languages cost. An empty probe in each, measured in turns with starting
//! processes: `/bin/true`, and `check_http` of monitoring-plugins, which asks the same nginx. Then
//! each template: its size, its first load, which compiles it, its load from the cache, and a check
//! of that nginx.

#[path = "common/host.rs"]
mod host;

use extrack::plugin_host::InstallRequest;
use std::path::Path;
use std::time::{Duration, Instant};

use extrack_tests::{Project, TargetServer, components};
use host::{Quantiles, Subject, process, start_host};
use serde_json::json;

const ROUNDS: usize = 20;
const CALLS_PER_ROUND: usize = 100;
const STARTS_PER_ROUND: usize = 10;
const CHECKS: usize = 500;

const CHECK_HTTP: &str = "/usr/lib/nagios/plugins/check_http";

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let nginx = TargetServer::start().await;
        empty_probes(&nginx).await;
        templates(&nginx).await;
    });
}

async fn empty_probes(nginx: &TargetServer) {
    let javascript = Project::new("javascript", "probe", "empty-javascript").with_file(
        "src/plugin.js",
        include_str!("../fixtures/templates/empty.js"),
    );
    let python = Project::new("python", "probe", "empty-python")
        .with_file("plugin.py", include_str!("../fixtures/templates/empty.py"))
        .with_file("tests/test_plugin.py", "");
    let languages = [
        ("Rust", "empty", components::guest("empty")),
        ("JavaScript", "empty-javascript", javascript.build().await),
        ("Python", "empty-python", python.build().await),
    ];
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let host = start_host(folder.path()).await;
    for (_, name, component) in &languages {
        host.install(InstallRequest::component(
            component.clone().into(),
            None,
            "bench",
        ))
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let subjects = languages
        .each_ref()
        .map(|(_, name, _)| Subject::new(name, "http://127.0.0.1:1", json!({})));
    let port = nginx.port().to_string();
    let check_http = ["-H", "127.0.0.1", "-p", port.as_str(), "-u", "/status"];
    let has_check_http = Path::new(CHECK_HTTP).exists();

    let mut calls = [const { Vec::new() }; 3];
    let (mut starts, mut checks) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        for (subject, calls) in subjects.iter().zip(&mut calls) {
            for _ in 0..CALLS_PER_ROUND {
                calls.push(subject.check(&host).await.1);
            }
        }
        for _ in 0..STARTS_PER_ROUND {
            starts.push(process("/bin/true", &[]));
            if has_check_http {
                checks.push(process(CHECK_HTTP, &check_http));
            }
        }
        if round == 0 {
            // The first round warms up.
            for calls in &mut calls {
                calls.clear();
            }
            starts.clear();
            checks.clear();
        }
    }
    let start = Quantiles::of(starts);
    let check = has_check_http.then(|| Quantiles::of(checks));
    println!(
        "languages: an empty probe through the plugin host, a fresh instance for each call; ratios of the medians"
    );
    println!("  start of /bin/true       {start}");
    match check {
        Some(check) => println!("  one run of check_http    {check}"),
        None => println!(
            "  check_http               is not installed: apt-get install monitoring-plugins-basic"
        ),
    }
    for ((language, ..), calls) in languages.iter().zip(calls) {
        let call = Quantiles::of(calls);
        let against = |other: Quantiles| format!("1 : {:.1}", call.ratio_to(other));
        println!(
            "  {language:<24} {call}   /bin/true {}   check_http {}",
            against(start),
            check.map_or_else(|| "-".to_owned(), against)
        );
    }
}

async fn templates(nginx: &TargetServer) {
    let json_health = json!({"path": "/status"});
    let templates = [
        (
            "Rust (bundled `http`)",
            "http",
            components::guest("http"),
            json!({"path": "/status"}),
        ),
        (
            "JavaScript",
            "js-probe",
            Project::new("javascript", "probe", "js-probe")
                .build()
                .await,
            json_health.clone(),
        ),
        (
            "JavaScript with fetch",
            "js-fetch",
            Project::new("javascript", "probe", "js-fetch")
                .blocks(&[2])
                .build()
                .await,
            json_health.clone(),
        ),
        (
            "Python",
            "py-probe",
            Project::new("python", "probe", "py-probe").build().await,
            json_health,
        ),
    ];
    println!("templates: one check of nginx on loopback, on a connection of its own");
    println!(
        "  {:<24}{:>10}{:>13}{:>14}   check",
        "", "size", "first load", "cached load"
    );
    for (label, name, component, settings) in templates {
        // For each a folder of its own, where nothing but the bundled plugins is compiled.
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let host = start_host(folder.path()).await;
        // Not the bundled one, which is active and compiled already.
        let component = with_another_digest(component);
        let load = async |host: &extrack::plugin_host::PluginHost| {
            let started = Instant::now();
            host.install(InstallRequest::component(
                component.clone().into(),
                None,
                "bench",
            ))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
            started.elapsed()
        };
        let first = load(&host).await;
        let host = start_host(folder.path()).await;
        let cached = load(&host).await;
        let subject = Subject::new(name, &nginx.url(), settings);
        let mut checks = Vec::with_capacity(CHECKS);
        let mut network = Duration::ZERO;
        for _ in 0..CHECKS {
            let (observation, took) = subject.check(&host).await;
            network += Duration::from_micros(observation.latency_us.unwrap_or(0));
            checks.push(took);
        }
        println!(
            "  {label:<24}{:>6} KiB{:>10.1} ms{:>11.2} ms   {}, of it {:.1} µs on average in the network",
            component.len() / 1024,
            first.as_secs_f64() * 1e3,
            cached.as_secs_f64() * 1e3,
            Quantiles::of(checks),
            network.as_secs_f64() * 1e6 / CHECKS as f64
        );
    }
}

/// With a custom section at its end, which means nothing.
fn with_another_digest(mut component: Vec<u8>) -> Vec<u8> {
    component.extend_from_slice(b"\0\x06\x05bench");
    component
}
