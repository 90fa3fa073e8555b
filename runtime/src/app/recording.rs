//! Hands the results what the engines and the plugin host leave behind, and keeps both stores in
//! order.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::alerts::AlertSignals;
use crate::archive::{Archive, ArchiveAlert, ArchiveError};
use crate::domain::{Catalog, Observation, PluginRun, ShadowRun, StorageSettings, now_ms};
use crate::plugin_host::RecordingWriter;
use crate::store::results::ServiceRow;
use crate::store::{ControlStore, ResultStore};
use crate::telemetry;

use super::status::not_committed_since;
use super::tasks::{Stage, Tasks};
use super::{Core, Options};

/// Time without a commit after which the watchdog's messages are held back; a commit that fails for
/// a moment is no concern.
const CONCERN_MS: i64 = 60_000;

/// Interval between two looks at how recording is doing.
const LOOK_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);

/// Starts what keeps metrics and the control store in order.
pub(super) fn start_upkeep(tasks: &mut Tasks, metrics: PrometheusHandle, control: ControlStore) {
    tasks.spawn(Stage::Recording, "metrics upkeep", |stop| {
        telemetry::upkeep(metrics, stop)
    });
    tasks.spawn(Stage::Recording, "control store upkeep", |stop| {
        control.upkeep(stop)
    });
}

/// Starts what records the accounts of runs, and the runs themselves.
pub(super) fn start_recorders(
    tasks: &mut Tasks,
    results: ResultStore,
    runs: mpsc::Receiver<PluginRun>,
    compared: mpsc::Receiver<ShadowRun>,
    recordings: RecordingWriter,
) {
    tasks.spawn(Stage::Recording, "plugin run recorder", |stop| {
        record_runs(runs, compared, results, stop)
    });
    tasks.spawn(Stage::Recording, "recordings", |stop| recordings.run(stop));
}

/// Starts what follows the catalog, and what watches the results.
pub(super) fn build(tasks: &mut Tasks, core: &Core) {
    let (catalog, results) = (core.registry.watch(), core.results.clone());
    tasks.spawn(Stage::Monitoring, "services dimension", |stop| {
        keep_services(catalog, results, stop)
    });
    let (results, signals) = (core.results.clone(), core.signals.clone());
    tasks.spawn(Stage::Alerting, "results watch", |stop| {
        watch_results(results, signals, stop)
    });
}

/// Returns the archive, as the settings of the start want it.
pub(super) fn archive(
    options: &Options,
    core: &Core,
    settings: &StorageSettings,
) -> Result<Archive, ArchiveError> {
    Archive::new(
        &options.data,
        settings,
        core.settings.archive_copies.as_ref(),
        core.control.clone(),
        core.results.clone(),
    )
}

/// Connects the archive to the alert engine.
pub(super) fn archive_alert(
    core: &Core,
    observations: mpsc::Sender<Arc<Observation>>,
) -> ArchiveAlert {
    let host = core.host.clone();
    ArchiveAlert {
        observations,
        next_run_id: Box::new(move || host.next_run_id()),
    }
}

/// Has rows kept as long as `storage.yaml` says, also after a reload.
pub(super) fn follow_storage(
    tasks: &mut Tasks,
    results: ResultStore,
    mut storage: watch::Receiver<StorageSettings>,
) {
    tasks.spawn(
        Stage::Recording,
        "retention of results",
        |stop| async move {
            loop {
                let settings = storage.borrow_and_update().clone();
                results.set_retention(settings.tiers_kept(), settings.tables);
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = storage.changed() => if changed.is_err() {
                        // The faces are gone, and the shutdown follows.
                        return stop.cancelled().await;
                    },
                }
            }
        },
    );
}

/// Records the accounts of runs; handing them over never waits.
async fn record_runs(
    mut runs: mpsc::Receiver<PluginRun>,
    mut compared: mpsc::Receiver<ShadowRun>,
    results: ResultStore,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            biased;
            Some(run) = runs.recv() => results.plugin_run_record(run),
            Some(run) = compared.recv() => results.shadow_run_record(run),
            () = stop.cancelled() => return,
        }
    }
}

/// Keeps the `services` table as the catalog; the results write it when they can.
async fn keep_services(
    mut catalog: watch::Receiver<Arc<Catalog>>,
    results: ResultStore,
    stop: CancellationToken,
) {
    loop {
        let rows = catalog
            .borrow_and_update()
            .services
            .values()
            .map(|service| ServiceRow::of(service))
            .collect();
        results.service_replace(rows);
        tokio::select! {
            () = stop.cancelled() => return,
            changed = catalog.changed() => if changed.is_err() { return },
        }
    }
}

/// Holds the watchdog back while results are not committed.
async fn watch_results(results: ResultStore, signals: AlertSignals, stop: CancellationToken) {
    loop {
        let stalled = results.health().stalled;
        let concern = stalled.filter(|stalled| now_ms() - stalled.since_ms >= CONCERN_MS);
        signals.set_not_recorded(concern.map(|stalled| {
            not_committed_since(
                stalled.since_ms,
                "the disk of the results is to be looked at",
            )
        }));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
}
