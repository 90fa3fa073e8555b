//! The program as a whole, as readiness and metrics show it.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;

use crate::api::ProgramStatus;
use crate::archive::Archive;
use crate::backup::BackupStatus;
use crate::domain::{CurrentStatus, UnixMillis};
use crate::monitoring::StatusCache;
use crate::reload::ConfigHandle;
use crate::store::control::BallastState;
use crate::store::{ControlStore, ResultStore};
use crate::usage::Calls;

use super::Core;

/// The parts whose state counts.
pub(super) struct RunningProgram {
    pub(super) core: Core,
    pub(super) status_cache: Arc<StatusCache>,
    pub(super) metrics: PrometheusHandle,
    pub(super) configuration: ConfigHandle,
    pub(super) backups: BackupStatus,
    pub(super) archive: Archive,
    pub(super) calls: Calls,
}

impl ProgramStatus for RunningProgram {
    fn unready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        reasons.extend(results_not_committed(&self.core.results));
        reasons.extend(control_not_committed(&self.core.control));
        if self.core.registry.catalog().version == 0 {
            reasons.push("the configuration is not loaded yet".to_owned());
        }
        reasons.extend(self.core.signals.overdue());
        reasons
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = results_warnings(&self.core.results);
        warnings.extend(control_warning(&self.core.control));
        warnings.extend(self.core.control.warnings());
        warnings.extend(self.core.signals.warnings());
        warnings.extend(self.configuration.warnings());
        warnings.extend(self.backups.warning());
        warnings.extend(self.archive.warning());
        warnings.extend(self.calls.status().warnings());
        warnings
    }

    fn metrics(&self) -> String {
        show_control(&self.core.control);
        show_results(&self.core.results);
        let memory = self.core.host.run_memory();
        metrics::gauge!("extrack_runs_memory_bytes").set(memory.reserved_bytes as f64);
        metrics::gauge!("extrack_runs_memory_limit_bytes").set(memory.limit_bytes as f64);
        let catalog = self.core.registry.catalog();
        metrics::gauge!("extrack_alert_rules_without_data")
            .set(self.core.signals.rule_statuses().silent() as f64);
        metrics::gauge!("extrack_configuration_differs")
            .set(self.configuration.warnings().len() as f64);
        metrics::gauge!("extrack_services").set(catalog.services.len() as f64);
        for status in CurrentStatus::ALL {
            let count = catalog
                .services
                .keys()
                .filter(|slug| self.status_cache.status(slug) == Some(status))
                .count();
            metrics::gauge!("extrack_services_by_status", "status" => status.as_str())
                .set(count as f64);
        }
        self.metrics.render()
    }
}

/// Returns why results are not committed, without paths: readiness is open to anyone.
fn results_not_committed(results: &ResultStore) -> Option<String> {
    let health = results.health();
    let stalled = health.stalled?;
    let kept = format!(
        "{} rows wait on a disk, {} in memory, {} are lost",
        health.spooled_rows, health.queued_rows, health.lost_rows
    );
    Some(not_committed_since(stalled.since_ms, &kept))
}

/// Returns the text for people of results that are not committed.
pub(super) fn not_committed_since(since_ms: UnixMillis, rest: &str) -> String {
    let moment = jiff::Timestamp::from_millisecond(since_ms).unwrap_or_default();
    format!("results are not committed since {moment:.0}: {rest}")
}

/// Returns what happened to the store, and what was lost since the start.
fn results_warnings(results: &ResultStore) -> Vec<String> {
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

/// Sets the metrics of the results store.
fn show_results(results: &ResultStore) {
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

/// Returns why the control store can't be written.
fn control_not_committed(control: &ControlStore) -> Option<String> {
    let fault = control.health().fault?;
    Some(format!(
        "the control store can't be written: {}",
        fault.reason
    ))
}

fn control_warning(control: &ControlStore) -> Option<String> {
    (control.health().ballast == BallastState::GivenUp).then(|| {
        "the disk of the control store is full, its ballast was given up: alerts are committed in the room that it left"
            .to_owned()
    })
}

/// Sets the metrics of the control store.
fn show_control(control: &ControlStore) {
    let health = control.health();
    let gauge = |is: bool| f64::from(u8::from(is));
    metrics::gauge!("extrack_control_unwritable").set(gauge(health.fault.is_some()));
    metrics::gauge!("extrack_control_ballast_given_up")
        .set(gauge(health.ballast == BallastState::GivenUp));
}
