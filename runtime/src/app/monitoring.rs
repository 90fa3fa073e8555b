//! The monitoring engine: probes by schedule, and what watches plugins and the network.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Core;
use super::tasks::{Stage, Tasks};
use crate::domain::Observation;
use crate::monitoring::{Monitoring, PluginWatch};
use crate::net::Net;

/// How long the last runs of probes may take once their timers have stopped; a run ends within its
/// own time-out.
const GRACE: Duration = Duration::from_secs(35);

/// Starts monitoring with the board as it was before the stop. Alerting goes on with what it has,
/// whether the results answer or not.
pub(super) async fn build(
    tasks: &mut Tasks,
    core: &Core,
    net: Net,
    to_alerts: mpsc::Sender<Arc<Observation>>,
) -> Monitoring {
    let plugin_watch = PluginWatch::new(
        core.host.clone(),
        core.results.clone(),
        to_alerts.clone(),
        core.results.first_run_id(),
    );
    tasks.spawn(Stage::Monitoring, "plugin watch", |stop| {
        plugin_watch.run(stop)
    });
    let monitoring = Monitoring::new(
        core.host.clone(),
        core.results.clone(),
        to_alerts.clone(),
        core.registry.watch(),
        core.settings.monitoring,
        core.signals.clock_jumps().clone(),
        core.results.first_event_id(),
    );
    let probing = monitoring.clone();
    core.signals.watch_probes(move || probing.stalled());
    let unjudged = monitoring
        .restore_board(&core.results, &core.registry.catalog())
        .await;
    monitoring.evaluate_again(unjudged).await;
    let targets = &core.settings.offline_targets;
    if let Some(watch) = monitoring.offline_watch(net, targets, to_alerts) {
        tasks.spawn(Stage::Monitoring, "offline watch", |stop| watch.run(stop));
    }
    let scheduler = monitoring.scheduler(GRACE);
    tasks.spawn(Stage::Monitoring, "scheduler", |stop| scheduler.run(stop));
    monitoring
}
