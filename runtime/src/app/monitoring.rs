//! The monitoring engine: probes by schedule, and what watches plugins and the network.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::mpsc;

use super::Core;
use super::tasks::{Stage, Tasks};
use crate::domain::{IncidentSource, Observation, UnixMillis, now_ms};
use crate::monitoring::{
    CredentialWatch, DeliveryLog, Heartbeats, IncidentCopy, IncidentWriter, Monitoring,
    PluginWatch, VendorIncidents,
};
use crate::net::Net;

/// How long the last runs of probes may take once their timers have stopped; a run ends within its
/// own time-out.
const GRACE: Duration = Duration::from_secs(35);

/// Incidents that ended longer ago have no runs on the board any more.
const INCIDENTS_RECALLED_MS: i64 = 31 * 86_400_000;

/// Starts monitoring with the board as it was before the stop. Alerting goes on with what it has,
/// whether the results answer or not.
pub(super) async fn build(
    tasks: &mut Tasks,
    core: &Core,
    net: Net,
    to_alerts: mpsc::Sender<Arc<Observation>>,
) -> Result<(Monitoring, Heartbeats)> {
    let plugin_watch = PluginWatch::new(
        core.host.clone(),
        core.results.clone(),
        to_alerts.clone(),
        core.results.first_run_id(),
    );
    tasks.spawn(Stage::Monitoring, "plugin watch", |stop| {
        plugin_watch.run(stop)
    });
    let credential_watch = CredentialWatch::new(
        core.host.clone(),
        core.control.clone(),
        core.registry.watch(),
        to_alerts.clone(),
    );
    tasks.spawn(Stage::Monitoring, "credential watch", |stop| {
        credential_watch.run(stop)
    });
    let monitoring = Monitoring::new(
        core.host.clone(),
        core.results.clone(),
        to_alerts.clone(),
        core.registry.watch(),
        core.settings.monitoring,
        core.signals.clock_jumps().clone(),
        DeliveryLog {
            first_event_id: core.results.first_event_id(),
            control: core.control.clone(),
        },
    );
    let probing = monitoring.clone();
    core.signals.watch_probes(move || probing.stalled());
    start_incidents(tasks, core, &monitoring).await?;
    let unjudged = monitoring
        .restore_board(&core.results, &core.registry.catalog())
        .await;
    monitoring.evaluate_again(unjudged).await;
    let watch = monitoring.maintenance_watch(core.control.clone());
    tasks.spawn(Stage::Monitoring, "maintenance watch", |stop| {
        watch.run(stop)
    });
    let targets = &core.settings.offline_targets;
    if let Some(watch) = monitoring.offline_watch(net, targets, to_alerts) {
        tasks.spawn(Stage::Monitoring, "offline watch", |stop| watch.run(stop));
    }
    let heartbeats = monitoring.heartbeats(core.control.clone()).await?;
    let following = heartbeats.clone();
    tasks.spawn(Stage::Monitoring, "heartbeats", |stop| following.run(stop));
    let summaries = monitoring.summary_refresher();
    tasks.spawn(Stage::Monitoring, "summaries", |stop| summaries.run(stop));
    let meters = monitoring.meter_reader();
    tasks.spawn(Stage::Monitoring, "meters", |stop| meters.run(stop));
    let scheduler = monitoring.scheduler(GRACE);
    tasks.spawn(Stage::Monitoring, "scheduler", |stop| scheduler.run(stop));
    Ok((monitoring, heartbeats))
}

/// Starts what decides on incidents, with those of before, and what carries them to the results.
async fn start_incidents(tasks: &mut Tasks, core: &Core, monitoring: &Monitoring) -> Result<()> {
    let (control, results) = (&core.control, &core.results);
    let ended_since_ms = now_ms().saturating_sub(INCIDENTS_RECALLED_MS);
    let mut before = control
        .incident_recent(IncidentSource::Ours, ended_since_ms)
        .await?;
    // Of vendors, those that are open.
    let claimed = control
        .incident_recent(IncidentSource::Vendor, UnixMillis::MAX)
        .await?;
    before.extend(claimed);
    let tracker = monitoring.incident_tracker(before);
    let copy = IncidentCopy::new(control.clone(), results.clone());
    let writer = IncidentWriter::new(tracker, control.clone(), &copy);
    let vendors = VendorIncidents::new(control.clone(), results.clone(), &copy);
    tasks.spawn(Stage::Alerting, "incidents", |stop| writer.run(stop));
    tasks.spawn(Stage::Alerting, "vendors' incidents", |stop| {
        vendors.run(stop)
    });
    tasks.spawn(Stage::Delivery, "incident copy", |stop| copy.run(stop));
    Ok(())
}
