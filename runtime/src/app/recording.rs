//! Hands what the engines and the plugin host leave behind to the results, and reports how
//! recording is doing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::alerts::AlertSignals;
use crate::config::Settings;
use crate::domain::{Catalog, PluginRun, ShadowRun, UnixMillis, now_ms};
use crate::store::ResultStore;
use crate::store::results::ServiceRow;

/// A commit that fails for a moment is nobody's concern; after so long the watchdog's messages are
/// held back.
const CONCERN_MS: i64 = 60_000;

/// Between two looks at how recording is doing.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

/// Beside the real place of the control store: the data folder may be a link or a mount, whose disk
/// is the full one.
pub(super) fn spool_folder(settings: &Settings, control_path: &Path) -> PathBuf {
    if let Some(folder) = &settings.spool_folder {
        return folder.clone();
    }
    let real = std::fs::canonicalize(control_path).unwrap_or_else(|_| control_path.to_owned());
    real.with_file_name("results-spool")
}

/// Accounts of runs on their way to the results; handing them over never waits.
pub(super) async fn keep_accounts(
    mut runs: mpsc::Receiver<PluginRun>,
    mut compared: mpsc::Receiver<ShadowRun>,
    results: ResultStore,
    stop: CancellationToken,
) -> Result<()> {
    loop {
        tokio::select! {
            biased;
            Some(run) = runs.recv() => results.plugin_run_record(run),
            Some(run) = compared.recv() => results.shadow_run_record(run),
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// The `services` table follows the catalog; the results write it when they can.
pub(super) async fn keep_services(
    mut catalog: watch::Receiver<Arc<Catalog>>,
    results: ResultStore,
    stop: CancellationToken,
) -> Result<()> {
    loop {
        let rows = catalog
            .borrow_and_update()
            .services
            .values()
            .map(|service| ServiceRow::of(service))
            .collect();
        results.service_replace(rows);
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            changed = catalog.changed() => if changed.is_err() { return Ok(()) },
        }
    }
}

/// Has the watchdog know while results are not committed.
pub(super) async fn watch_results(
    results: ResultStore,
    signals: AlertSignals,
    stop: CancellationToken,
) -> Result<()> {
    loop {
        let stalled = results.health().stalled;
        let concern = stalled.filter(|stalled| now_ms() - stalled.since_ms >= CONCERN_MS);
        signals.set_not_recorded(concern.map(|stalled| {
            since(
                stalled.since_ms,
                "the disk of the results is to be looked at",
            )
        }));
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Why results are not committed, without paths: readiness is open to anyone.
pub(super) fn not_committed(results: &ResultStore) -> Option<String> {
    let health = results.health();
    let stalled = health.stalled?;
    let kept = format!(
        "{} rows wait on a disk, {} in memory, {} are lost",
        health.spooled_rows, health.queued_rows, health.lost_rows
    );
    Some(since(stalled.since_ms, &kept))
}

fn since(since_ms: UnixMillis, rest: &str) -> String {
    let moment = jiff::Timestamp::from_millisecond(since_ms).unwrap_or_default();
    format!("results are not committed since {moment:.0}: {rest}")
}

/// What happened to the store, and what was lost since the start.
pub(super) fn warnings(results: &ResultStore) -> Vec<String> {
    let health = results.health();
    let mut warnings = health.notices;
    if health.lost_rows > 0 {
        warnings.push(format!(
            "{} results were lost since the start: there was no room for them",
            health.lost_rows
        ));
    }
    warnings
}

/// As metrics.
pub(super) fn show(results: &ResultStore) {
    let (stats, health) = (results.stats(), results.health());
    metrics::gauge!("extrack_results_queued_rows").set(health.queued_rows as f64);
    metrics::gauge!("extrack_results_spooled_rows").set(health.spooled_rows as f64);
    metrics::gauge!("extrack_results_spooled_bytes").set(health.spooled_bytes as f64);
    metrics::gauge!("extrack_results_lag_seconds").set(stats.lag_ms as f64 / 1_000.0);
    metrics::gauge!("extrack_results_stalled").set(if health.stalled.is_some() {
        1.0
    } else {
        0.0
    });
    metrics::counter!("extrack_results_lost_rows_total").absolute(health.lost_rows);
    metrics::counter!("extrack_results_dropped_rows_total").absolute(health.dropped_rows);
    metrics::counter!("extrack_results_committed_rows_total").absolute(stats.committed_rows);
    metrics::counter!("extrack_results_commits_total").absolute(stats.commits);
}
