//! What one sandboxed call costs (a fresh instance, the call, dropping it, and its account), beside what starting a process
//! costs, measured in turns in the same run.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use extrack::domain::{Origin, Probe, Service, Status};
use extrack::net::{Net, NetSettings};
use extrack::plugin_host::{Activation, ActivationLog, PluginHost, ProbeCall, RUNS_QUEUED, Setup};
use extrack_tests::components;
use futures::future::BoxFuture;

const ROUNDS: usize = 50;
const CALLS_PER_ROUND: usize = 400;
const STARTS_PER_ROUND: usize = 20;

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (runs, mut accounts) = tokio::sync::mpsc::channel(RUNS_QUEUED);
    tokio::spawn(async move { while accounts.recv().await.is_some() {} });
    let net = Net::new(NetSettings::default()).expect("the network can be set up");
    let setup =
        Setup { folder: folder.path().into(), net, log: Arc::new(NoLog), runs, first_run_id: 1, has_mail: false };
    let host = PluginHost::start(setup).await.expect("the host starts");
    host.install(None, components::guest("empty").into(), "bench").await.expect("the empty probe is good");

    let (probe, service) = subject();
    let mut calls = Vec::with_capacity(ROUNDS * CALLS_PER_ROUND);
    let mut starts = Vec::with_capacity(ROUNDS * STARTS_PER_ROUND);
    for round in 0..=ROUNDS {
        for _ in 0..CALLS_PER_ROUND {
            let started = Instant::now();
            let observation =
                host.check(ProbeCall { service: &service, probe: &probe, ts_ms: 0, previous: None }).await;
            let took = started.elapsed();
            assert_eq!(observation.status, Status::Healthy, "{:?}", observation.failure);
            calls.push(took);
        }
        for _ in 0..STARTS_PER_ROUND {
            let started = Instant::now();
            let status = Command::new("/bin/true").stdin(Stdio::null()).status().expect("/bin/true is there");
            starts.push(started.elapsed());
            assert!(status.success());
        }
        if round == 0 {
            // The first round warms up.
            calls.clear();
            starts.clear();
        }
    }
    let (call, start) = (Quantiles::of(calls), Quantiles::of(starts));
    println!(
        "sandbox: the empty probe ({} KiB) through the plugin host, against starting `/bin/true`",
        components::guest("empty").len() / 1024
    );
    println!("  instance + call + drop   {call}");
    println!("  start of a process       {start}");
    println!("  ratio of the medians     1 : {:.1}", start.median.as_secs_f64() / call.median.as_secs_f64());
}

fn subject() -> (Probe, Service) {
    let probe = Probe {
        name: "empty".to_owned(),
        plugin: "empty".to_owned(),
        settings: serde_json::json!({}),
        interval: Duration::from_secs(60),
        timeout: Duration::from_secs(5),
    };
    let service = Service {
        slug: "bench".to_owned(),
        name: "Bench".to_owned(),
        kind: "own".to_owned(),
        base_url: "http://127.0.0.1:1".to_owned(),
        health_endpoint: None,
        tags: Vec::new(),
        owner: None,
        description: None,
        origin: Origin::File,
        allow_private: true,
        credentials: Vec::new(),
        probes: vec![probe.clone()],
    };
    (probe, service)
}

/// Nothing outlives the benchmark.
struct NoLog;

impl ActivationLog for NoLog {
    fn activations(&self, _name: Option<&str>) -> BoxFuture<'_, Result<Vec<Activation>, String>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn activate(&self, _activation: Activation) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

struct Quantiles {
    median: Duration,
    p99: Duration,
}

impl Quantiles {
    fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        Self { median: samples[samples.len() / 2], p99: samples[samples.len() * 99 / 100] }
    }
}

impl std::fmt::Display for Quantiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "median {:.1} µs, p99 {:.1} µs", self.median.as_secs_f64() * 1e6, self.p99.as_secs_f64() * 1e6)
    }
}
