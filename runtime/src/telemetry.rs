//! Logs and metrics of the program. Logs go to standard error: text for people at a terminal, JSON
//! where `EXTRACK_LOG_FORMAT=json`.

mod help;

use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// `EXTRACK_LOG` filters as `RUST_LOG` does elsewhere, e.g. `info,extrack::alerts=debug`.
pub fn start_logs(default: &str) {
    let filter = EnvFilter::try_from_env("EXTRACK_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = if std::env::var("EXTRACK_LOG_FORMAT").is_ok_and(|format| format == "json") {
        builder.json().flatten_event(true).try_init()
    } else {
        builder
            .with_ansi(std::io::stderr().is_terminal())
            .try_init()
    };
    // A second start in one process keeps the first.
    drop(started);
}

/// How often samples of histograms are folded into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// Folds samples into buckets until the stop; without it they pile up until somebody reads
/// `/metrics`.
pub async fn upkeep(metrics: PrometheusHandle, stop: CancellationToken) {
    while tokio::time::timeout(UPKEEP, stop.cancelled())
        .await
        .is_err()
    {
        metrics.run_upkeep();
    }
}

/// Installs the process-wide recorder; the handle renders it for `/metrics`.
pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let seconds = [
        0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ];
    // A run of a plugin takes 20 µs when it only computes, and up to its time-out when it waits.
    let runs = [
        0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
    ];
    let cpu = [0.0001, 0.001, 0.01, 0.1, 1.0];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("extrack_plugin_cpu_seconds".into()), &cpu)?
        .set_buckets_for_metric(
            Matcher::Full("extrack_plugin_run_duration_seconds".into()),
            &runs,
        )?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &seconds)?
        .install_recorder()?;
    help::describe();
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn samples_do_not_pile_up_without_a_scrape() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("waits_seconds").record(1.0)
        });
        // Only what has been folded is seen without a render of its own.
        let stop = CancellationToken::new();
        let running = tokio::spawn(upkeep(handle.clone(), stop.clone()));
        tokio::time::sleep(UPKEEP * 2).await;
        assert!(!running.is_finished());
        stop.cancel();
        running.await.unwrap();
        assert!(handle.render().contains("waits_seconds_count 1"));
    }
}
