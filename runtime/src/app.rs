//! Builds every part, connects them, starts and stops them: the only place that knows all parts.
//! Each part has its `build` below `app/`; what they do is theirs.

mod alerting;
mod core_parts;
mod descriptors;
mod edge;
mod faces;
mod first_token;
mod gateway;
mod monitoring;
mod offline_sql;
mod plugins;
mod private_files;
mod recording;
mod status;
mod stores;
mod tasks;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::alerts::AlertSignals;
use crate::config::{self, Environment, Settings};
use crate::domain::{Configuration, ConfigurationStatus};
use crate::net::Net;
use crate::plugin_host::PluginHost;
use crate::registry::Registry;
use crate::reload::{Basis, ConfigReload, StartConfiguration, start_with};
use crate::store::{ControlStore, ResultStore};
use crate::telemetry;
use crate::usage::BudgetBook;

pub use crate::store::results::{SQL_SUBCOMMAND, TableSize, sql_child};
pub use crate::wire::{TlsFiles, WireOptions};
pub use core_parts::{Options, Started};
pub use offline_sql::StoppedResults;
pub use stores::{
    StoreMigration, accept_store, check_stores, compact_results, migrate_stores, result_sizes,
    rotate_key,
};

use core_parts::Core;
use faces::FaceParts;
use plugins::Plugins;
use tasks::{Stage, Tasks};

/// Limit of observations on their way to the alert engine, which drains them into lanes at once.
const OBSERVATIONS_QUEUED: usize = 4_096;

/// How long all parts together may take to stop. Service managers kill after 90 s, and the stores
/// have to be closed as well.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// Runs the program until the shutdown. Faults of the configuration come as [`config::Faults`],
/// before a port opens.
pub async fn run(
    options: Options,
    shutdown: CancellationToken,
    started: impl FnOnce(Started),
) -> Result<()> {
    private_files::prepare(&options.data)?;
    if !options.may_dump_core {
        private_files::leave_no_core();
    }
    let (folder, environment) = (options.config.clone(), Environment::read(&options.config));
    let found = tokio::task::spawn_blocking(move || config::read(&folder, &environment)).await?;
    let settings = found.settings().clone();
    let metrics = telemetry::start_metrics()?;
    let descriptors = descriptors::raise_limit();

    let edge = edge::Edge::start()?;
    let mut tasks = Tasks::new();
    let control = stores::open_control(&options.data, &settings).await?;
    let start = start_with(&options.config, found, &control, options.is_config_accepted).await?;
    let (results, writer) =
        stores::open_results(&options.data, &settings, start.draft.storage()).await?;
    recording::start_upkeep(&mut tasks, metrics.clone(), control.clone());
    let net = Net::new(settings.net())?;
    let stores = (&control, &results);
    let plugins = plugins::build(&mut tasks, &options, &settings, &net, stores, &start).await?;
    let Plugins {
        host,
        folder,
        sources,
        compared,
    } = plugins;
    let start = start.check(&options.config, &host).await?;
    let (storage, follow_storage) = watch::channel(start.loaded.storage.clone());
    let (core, start) = build_core(settings, control, results, host, start).await?;

    let (to_alerts, observations) = mpsc::channel(OBSERVATIONS_QUEUED);
    let budgets = BudgetBook::new(core.registry.watch());
    let usage_to_date = usage::to_date(&mut tasks, &core, &budgets);
    alerting::build(&mut tasks, &core, observations, usage_to_date);
    let archive = recording::archive(&options, &core, &storage.borrow())?;
    let archive_alert = recording::archive_alert(&core, to_alerts.clone());
    let (monitoring, heartbeats) =
        monitoring::build(&mut tasks, &core, net.clone(), to_alerts).await?;
    let calls = usage::build(&mut tasks, &core, &options, budgets).await?;
    let gateway = gateway::build(&mut tasks, &core, net, &monitoring, calls.clone()).await?;
    plugins::start(&mut tasks, &core, compared)?;
    recording::build(&mut tasks, &core);
    recording::follow_storage(&mut tasks, core.results.clone(), follow_storage.clone());
    let (reload, configuration) = ConfigReload::new(
        options.config.clone(),
        &core.host,
        &core.registry,
        &core.control,
        sources,
        storage,
        start,
    );
    let parts = FaceParts {
        monitoring,
        heartbeats,
        gateway,
        edge: edge.handle(),
        metrics,
        descriptors,
        configuration,
        reload,
        folder,
        storage: follow_storage,
        archive: archive.clone(),
        calls,
    };
    let archive_settings = parts.storage.clone();
    let ready = faces::build(&mut tasks, &core, &options, parts).await?;
    tasks.spawn(Stage::Faces, "archive", |stop| {
        archive.run(archive_settings, archive_alert, stop)
    });

    tracing::info!(address = %ready.address, "ready");
    started(ready);
    let ended = tasks.run(shutdown, STOP_WITHIN).await;
    drop(edge);
    stores::close(core.control, core.results, writer).await?;
    ended
}

/// Opens the registry with the configuration of the start, and keeps that for the next one.
async fn build_core(
    settings: Settings,
    control: ControlStore,
    results: ResultStore,
    host: PluginHost,
    start: StartConfiguration,
) -> Result<(Core, (Basis, Configuration))> {
    let StartConfiguration {
        loaded,
        mut basis,
        state,
    } = start;
    config::log_warnings(&loaded.warnings);
    let registry = Registry::open(loaded.files, Arc::new(host.clone()), control.clone()).await?;
    if state.status == ConfigurationStatus::InUse {
        // Its error is logged, and it is tried again.
        let _ = basis.keep(&control, "start").await;
    }
    plugins::guard_settings(&host, &registry);
    let core = Core {
        settings,
        control,
        results,
        host,
        registry,
        signals: AlertSignals::default(),
    };
    Ok((core, (basis, state)))
}
