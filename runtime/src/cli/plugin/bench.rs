//! `extrack plugin bench FILE`

mod answers;
mod histogram;
mod report;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use tokio::sync::mpsc;

use super::call::{Call, Given, load};
use crate::cli::outcome::Outcome;
use crate::cli::print::{json as print_json, note};
use crate::domain::{PluginRun, RunOutcome};
use crate::plugin_host::PluginHost;
use crate::telemetry;
use answers::Answers;
use histogram::Histogram;
use report::Report;

/// Calls a plugin as often as it can: calls per second, how long they take, and how much of its
/// budget the worst one used. A probe without `--url` checks a server of ours on this machine, so
/// that it is the plugin that is measured.
///
/// Examples:
///   extrack plugin bench dist/quota.wasm
///   extrack plugin bench dist/quota.wasm --url https://staging.example.com --seconds 10 --concurrency 4
///   extrack plugin bench dist/error_share.wasm --history runs.json --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Bench {
    /// The component.
    file: PathBuf,
    #[command(flatten)]
    given: Given,
    /// How long to go on.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Calls at the same time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub(super) async fn run(mut self) -> Outcome {
        // Log lines of thousands of runs are of no use.
        telemetry::start_logs("error,extrack::plugin=off");
        let plugin = load(&self.file).await?;
        let _target = target::stand_in(&plugin, &mut self.given).await?;
        let call = self.given.call(&plugin).await?;
        if matches!(call, Call::Notifier { .. }) && !self.given.send {
            bail!("every call sends a message for real; `--send` says that this is meant");
        }
        let (host, entry, accounts) = plugin.into_parts();
        let call = Arc::new(call);
        // The first call reads pages and warms caches; a plugin that is broken fails here at once.
        if !matches!(&*call, Call::Notifier { .. }) {
            call.make(&host, &entry.name).await;
        }
        note(&format!("calling {} for {} s", entry.name, self.seconds));
        let counting = tokio::spawn(count(accounts));
        let started = Instant::now();
        let until = started + Duration::from_secs(self.seconds);
        let workers = (0..self.concurrency)
            .map(|_| tokio::spawn(work(host.clone(), entry.name.clone(), call.clone(), until)));
        let (mut latency, mut answers) = (Histogram::default(), Answers::default());
        for worker in workers.collect::<Vec<_>>() {
            let (more, other) = worker.await?;
            latency.add(&more);
            answers.add(other);
        }
        let elapsed = started.elapsed();
        // The accounts end with the host that sends them.
        drop(host);
        let used = counting.await?;
        let report = Report {
            entry: &entry,
            call: &call,
            latency: &latency,
            answers: &answers,
            used: &used,
            elapsed,
            concurrency: self.concurrency,
        };
        if self.json {
            print_json(&report.json());
        } else {
            report.print();
        }
        reject_failures(&used, &answers)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns an error when runs broke, or when no call went well.
fn reject_failures(used: &UsedByAll, answers: &Answers) -> Result<()> {
    if let Some(reason) = used.broken.first() {
        bail!(
            "{} of {} runs broke, the first one: {reason}",
            used.broken_runs,
            used.runs
        );
    }
    match answers.all_failed() {
        Some(failed) => bail!(
            "all {} calls ended as {}: {}",
            failed.calls,
            failed.name,
            failed.message
        ),
        None => Ok(()),
    }
}

/// One after the other until the end; at least one.
async fn work(
    host: PluginHost,
    plugin: String,
    call: Arc<Call>,
    until: Instant,
) -> (Histogram, Answers) {
    let (mut latency, mut answers) = (Histogram::default(), Answers::default());
    loop {
        let start = Instant::now();
        let answer = call.make(&host, &plugin).await;
        let end = Instant::now();
        latency.record(end.duration_since(start).as_micros() as u64);
        answers.record(answer.outcome());
        if end >= until {
            return (latency, answers);
        }
    }
}

/// Use of resources by the runs.
#[derive(Default)]
struct UsedByAll {
    runs: u64,
    /// Runs that trapped, hung or exceeded a limit.
    broken_runs: u64,
    /// Why; the first few.
    broken: Vec<String>,
    cpu_us: Histogram,
    /// The most of each.
    worst: Worst,
}

#[derive(Default)]
struct Worst {
    duration_us: u64,
    memory_bytes: u64,
    host_calls: u64,
    log_bytes: u64,
    bytes_in: u64,
    bytes_out: u64,
}

async fn count(mut accounts: mpsc::Receiver<PluginRun>) -> UsedByAll {
    const REASONS: usize = 3;
    let mut used = UsedByAll::default();
    while let Some(run) = accounts.recv().await {
        // The settings were looked at once, before.
        if !matches!(
            &*run.function,
            "check" | "evaluate" | "notify" | "receive" | "read"
        ) {
            continue;
        }
        used.runs += 1;
        used.cpu_us.record(run.cpu_us);
        let worst = &mut used.worst;
        worst.duration_us = worst.duration_us.max(run.duration_us);
        worst.memory_bytes = worst.memory_bytes.max(run.memory_bytes);
        worst.host_calls = worst.host_calls.max(run.host_calls.into());
        worst.log_bytes = worst.log_bytes.max(run.log_bytes);
        worst.bytes_in = worst.bytes_in.max(run.bytes_in);
        worst.bytes_out = worst.bytes_out.max(run.bytes_out);
        if !matches!(run.outcome, RunOutcome::Ok | RunOutcome::Error) {
            used.broken_runs += 1;
            if used.broken.len() < REASONS {
                used.broken
                    .push(run.error.unwrap_or_else(|| run.outcome.as_str().to_owned()));
            }
        }
    }
    used
}
