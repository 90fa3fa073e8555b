//! Our own logs and metrics. Logs go to standard error: text for people at a terminal, JSON where `EXTRACK_LOG_FORMAT=json`.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// `EXTRACK_LOG` filters as `RUST_LOG` does elsewhere, e.g. `info,extrack::alerts=debug`.
pub fn start_logs(default: &str) {
    let filter = EnvFilter::try_from_env("EXTRACK_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if std::env::var("EXTRACK_LOG_FORMAT").is_ok_and(|format| format == "json") {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    // A second start in one process keeps the first.
    drop(started);
}

/// Installs the process-wide recorder; the handle renders it for `/metrics`.
pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let seconds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    // A run of a plugin takes 20 µs when it only computes, and up to its time-out when it waits.
    let runs = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
    Ok(PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("extrack_plugin_run_duration_seconds".into()), &runs)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &seconds)?
        .install_recorder()?)
}
