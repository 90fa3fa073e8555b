//! What one sandboxed call costs (a fresh instance, the call, dropping it, and its account), beside
//! what starting a process costs, measured in turns in the same run.

#[path = "common/host.rs"]
mod host;

use extrack::plugin_host::InstallRequest;
use extrack_tests::components;
use host::{Quantiles, Subject, process, start_host};
use serde_json::json;

const ROUNDS: usize = 50;
const CALLS_PER_ROUND: usize = 400;
const STARTS_PER_ROUND: usize = 20;

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let host = start_host(folder.path()).await;
    host.install(InstallRequest::component(
        components::guest("empty").into(),
        None,
        "bench",
    ))
    .await
    .expect("the empty probe is good");
    let subject = Subject::new("empty", "http://127.0.0.1:1", json!({}));
    let mut calls = Vec::with_capacity(ROUNDS * CALLS_PER_ROUND);
    let mut starts = Vec::with_capacity(ROUNDS * STARTS_PER_ROUND);
    for round in 0..=ROUNDS {
        for _ in 0..CALLS_PER_ROUND {
            calls.push(subject.check(&host).await.1);
        }
        for _ in 0..STARTS_PER_ROUND {
            starts.push(process("/bin/true", &[]));
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
    println!("  ratio of the medians     1 : {:.1}", call.ratio_to(start));
}
