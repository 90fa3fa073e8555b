//! The alert engine, delivery, and what looks after both.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::Core;
use super::tasks::{Stage, Tasks};
use crate::alerts::{
    AcknowledgementWatch, AlertEngine, Auditor, BudgetedRules, ClockKeeper, Delivery, DeliveryDeps,
    DeliverySettings, DispatchDeps, Dispatcher, EngineDeps, EngineSettings, EventCopy, Retention,
    SystemClock, UnrecordedSender, WatchdogSender,
};
use crate::domain::{Observation, UsageReader};

/// Starts everything that has to do with alerts.
pub(super) fn build(
    tasks: &mut Tasks,
    core: &Core,
    observations: mpsc::Receiver<Arc<Observation>>,
    usage: UsageReader,
) {
    start_engine(tasks, core, observations, usage);
    start_delivery(tasks, core);
    start_watches(tasks, core);
}

fn start_engine(
    tasks: &mut Tasks,
    core: &Core,
    observations: mpsc::Receiver<Arc<Observation>>,
    usage: UsageReader,
) {
    let engine = AlertEngine::new(EngineDeps {
        rules: BudgetedRules::new(core.host.clone(), usage),
        store: core.control.clone(),
        history: core.results.clone(),
        clock: Arc::new(SystemClock),
        signals: core.signals.clone(),
        settings: EngineSettings::default(),
    });
    let catalog = core.registry.watch();
    tasks.spawn(Stage::Alerting, "alert engine", |stop| async move {
        engine.run(observations, catalog, stop).await;
    });
}

/// Starts what groups, sends and copies what the engine has committed.
fn start_delivery(tasks: &mut Tasks, core: &Core) {
    let dispatcher = Dispatcher::new(DispatchDeps {
        store: core.control.clone(),
        clock: Arc::new(SystemClock),
        signals: core.signals.clone(),
    });
    let catalog = core.registry.watch();
    tasks.spawn(Stage::Delivery, "dispatcher", |stop| async move {
        dispatcher.run(catalog, stop).await;
    });
    let public_url = core.settings.public_url.clone().unwrap_or_default();
    let delivery = Delivery::new(DeliveryDeps {
        store: core.control.clone(),
        notifier: Arc::new(core.host.clone()),
        clock: Arc::new(SystemClock),
        signals: core.signals.clone(),
        evaluator: core.host.evaluator().apart(),
        settings: DeliverySettings {
            public_url: public_url.clone(),
            ..DeliverySettings::default()
        },
    });
    let catalog = core.registry.watch();
    tasks.spawn(Stage::Delivery, "delivery", |stop| async move {
        delivery.run(catalog, stop).await;
    });
    let sender = UnrecordedSender::new(
        core.control.clone(),
        Arc::new(core.host.clone()),
        Arc::new(SystemClock),
        core.signals.unrecorded().clone(),
        public_url,
    );
    let catalog = core.registry.watch();
    tasks.spawn(Stage::Delivery, "unrecorded alerts", |stop| async move {
        sender.run(catalog, stop).await;
    });
    let copy = EventCopy::new(
        core.control.clone(),
        core.results.clone(),
        core.signals.clone(),
    );
    tasks.spawn(Stage::Delivery, "alert event copy", |stop| copy.run(stop));
}

/// Starts what happens because time passes, and what looks after the rest.
fn start_watches(tasks: &mut Tasks, core: &Core) {
    let clock: Arc<SystemClock> = Arc::new(SystemClock);
    let (control, signals) = (&core.control, &core.signals);
    let watch = AcknowledgementWatch::new(control.clone(), clock.clone(), signals.clone());
    tasks.spawn(Stage::Alerting, "acknowledgements", |stop| watch.run(stop));
    let keeper = ClockKeeper::new(control.clone(), clock.clone(), signals.clone());
    tasks.spawn(Stage::Alerting, "clock keeper", |stop| keeper.run(stop));
    let auditor = Auditor::new(
        control.clone(),
        clock.clone(),
        signals.clone(),
        core.registry.watch(),
    );
    tasks.spawn(Stage::Alerting, "auditor", |stop| auditor.run(stop));
    let watchdog = WatchdogSender::new(control.clone(), clock.clone(), signals.clone());
    let catalog = core.registry.watch();
    tasks.spawn(Stage::Alerting, "watchdog", |stop| async move {
        watchdog.run(catalog, stop).await;
    });
    let retention = Retention::new(
        control.clone(),
        core.results.clone(),
        clock,
        core.settings.retention,
    );
    tasks.spawn(Stage::Alerting, "retention", |stop| retention.run(stop));
}
