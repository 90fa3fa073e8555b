//! The HTTP face, the dashboard's live pages, and the watchers of files.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::first_token::first_token;
use super::status::RunningProgram;
use super::tasks::{Stage, Tasks};
use super::{Core, Options, Started, descriptors};
use crate::alerts::{AlertActions, AlertChange, SystemClock};
use crate::api::{self, ApiDeps, ApiSettings, ApiState, Live};
use crate::archive::Archive;
use crate::backtest::Backtester;
use crate::backup::{BackupStatus, Backups};
use crate::config::Settings;
use crate::domain::StorageSettings;
use crate::gateway::{ConsumerBook, Gateway};
use crate::monitoring::{Heartbeats, Monitoring, StatusChange};
use crate::plugin_sources::PluginFolder;
use crate::reload::{ConfigHandle, ConfigReload};
use crate::reports::Reports;
use crate::usage::Calls;
use crate::wire::WireListener;

/// Parts that the faces show and follow, beside the core.
pub(super) struct FaceParts {
    pub(super) monitoring: Monitoring,
    pub(super) heartbeats: Heartbeats,
    pub(super) gateway: (Gateway, ConsumerBook),
    /// Where HTTP is served.
    pub(super) edge: Handle,
    pub(super) metrics: PrometheusHandle,
    /// File descriptors of the process.
    pub(super) descriptors: u64,
    pub(super) configuration: ConfigHandle,
    pub(super) reload: ConfigReload,
    pub(super) folder: PluginFolder,
    pub(super) storage: watch::Receiver<StorageSettings>,
    pub(super) archive: Archive,
    pub(super) calls: Calls,
}

/// Starts the faces, after everything that can fail: a token that is kept and was never shown is
/// lost.
pub(super) async fn build(
    tasks: &mut Tasks,
    core: &Core,
    options: &Options,
    parts: FaceParts,
) -> Result<Started> {
    let listener = TcpListener::bind(options.listen).await.with_context(|| {
        format!(
            "can't listen on `{}`; `--listen` names another address",
            options.listen
        )
    })?;
    let address = listener.local_addr()?;
    let wire = match &options.wire {
        None => None,
        Some(wire) => Some(WireListener::bind(wire).await?),
    };
    let given = core.settings.admin_token.as_ref();
    let new_token = first_token(&core.control, given.map(|token| token.expose_secret())).await?;
    let max_connections =
        descriptors::connections(parts.descriptors, core.settings.max_connections);
    let live = Live::new();
    let (pages, board) = (live.clone(), parts.monitoring.status_cache().subscribe());
    let (alerts, swaps) = (core.signals.subscribe(), core.host.changes());
    tasks.spawn(Stage::Faces, "live changes", |stop| {
        follow_changes(pages, board, alerts, swaps, stop)
    });
    let FaceParts {
        monitoring,
        heartbeats,
        gateway: (gateway, consumers),
        edge,
        metrics,
        configuration,
        reload,
        folder,
        storage,
        archive,
        calls,
        ..
    } = parts;
    let backup_status = BackupStatus::default();
    let program = RunningProgram {
        core: core.clone(),
        status_cache: monitoring.status_cache(),
        metrics,
        configuration: configuration.clone(),
        backups: backup_status.clone(),
        archive: archive.clone(),
        calls: calls.clone(),
    };
    let backups = Backups::new(&options.data, core.control.clone(), core.results.clone());
    let scheduled = backups.clone();
    let reports = Reports::new(
        core.registry.clone(),
        core.control.clone(),
        core.results.clone(),
        core.host.evaluator().apart(),
        core.signals.clone(),
    );
    let kept = reports.clone();
    tasks.spawn(Stage::Faces, "reports", |stop| kept.keep(stop));
    let deps = api_deps(
        core,
        (monitoring, heartbeats),
        consumers,
        configuration,
        program,
        (backups, archive, calls, reports),
    );
    let (pages, page_deps) = (live.clone(), deps.clone());
    tasks.spawn(Stage::Faces, "live pages", |stop| {
        pages.run(page_deps, stop)
    });
    let state = ApiState::new(
        api_settings(&core.settings, max_connections)?,
        deps,
        live,
        tasks.stop(Stage::Faces),
    );
    let router = api::with_gateway(api::router(state.clone()), state.clone(), gateway);
    start_http(tasks, &edge, listener.into_std()?, router, max_connections);
    let working = state.clone();
    tasks.spawn(Stage::Faces, "http work", |_| working.run());
    let wire = start_wire(tasks, state, wire)?;
    tasks.spawn(Stage::Faces, "backups", |stop| {
        scheduled.run(storage, backup_status, stop)
    });
    tasks.spawn(Stage::Faces, "plugin folder", |stop| folder.run(stop));
    tasks.spawn(Stage::Faces, "configuration watch", |stop| reload.run(stop));
    Ok(Started {
        address,
        wire,
        new_token,
    })
}

/// Connects the API to the parts that it shows and changes.
fn api_deps(
    core: &Core,
    (monitoring, heartbeats): (Monitoring, Heartbeats),
    consumers: ConsumerBook,
    configuration: ConfigHandle,
    program: RunningProgram,
    (backups, archive, calls, reports): (Backups, Archive, Calls, Reports),
) -> ApiDeps {
    ApiDeps {
        configuration,
        registry: core.registry.clone(),
        monitor: Arc::new(monitoring.clone()),
        webhooks: Arc::new(monitoring),
        heartbeats: Arc::new(heartbeats),
        plugins: Arc::new(core.host.clone()),
        notifier: Arc::new(core.host.clone()),
        signals: core.signals.clone(),
        actions: AlertActions::new(
            core.control.clone(),
            Arc::new(SystemClock),
            core.signals.clone(),
        ),
        backtests: Arc::new(Backtester::new(
            core.registry.clone(),
            core.host.clone(),
            core.control.clone(),
            core.results.clone(),
        )),
        consumers,
        control: core.control.clone(),
        results: core.results.clone(),
        recordings: core.host.recordings().clone(),
        evaluator: core.host.evaluator().clone(),
        program: Arc::new(program),
        backups,
        archive,
        calls,
        reports,
    }
}

fn api_settings(settings: &Settings, max_connections: usize) -> Result<ApiSettings> {
    Ok(ApiSettings {
        public_url: settings.public_url.as_deref().map(str::parse).transpose()?,
        trusted_proxies: settings.trusted_proxies.clone(),
        ..ApiSettings::for_connections(max_connections)
    })
}

/// Serves the API, the dashboard and the gateway, on threads of their own, until the faces stop.
fn start_http(
    tasks: &mut Tasks,
    edge: &Handle,
    listener: std::net::TcpListener,
    router: Router,
    max_connections: usize,
) {
    let edge = edge.clone();
    tasks.spawn(Stage::Faces, "http", |stop| async move {
        let served = AbortOnDropHandle::new(edge.spawn(async move {
            let listener = TcpListener::from_std(listener)?;
            api::serve(listener, router, max_connections, stop).await;
            Ok::<_, anyhow::Error>(())
        }));
        served.await?
    });
}

/// Speaks the PostgreSQL protocol, if it is wanted, until the faces stop. Returns its address.
fn start_wire(
    tasks: &mut Tasks,
    state: ApiState,
    listener: Option<WireListener>,
) -> Result<Option<SocketAddr>> {
    let Some(listener) = listener else {
        return Ok(None);
    };
    let address = listener.address()?;
    tasks.spawn(Stage::Faces, "postgresql protocol", |stop| {
        listener.serve(state, stop)
    });
    Ok(Some(address))
}

/// Wakes the live pages when something changes.
async fn follow_changes(
    live: Live,
    mut board: broadcast::Receiver<StatusChange>,
    mut alerts: broadcast::Receiver<AlertChange>,
    mut swaps: watch::Receiver<u64>,
    stop: CancellationToken,
) {
    use broadcast::error::RecvError;
    let changes = live.changes();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            change = board.recv() => match change {
                Ok(StatusChange { service, .. }) if service.is_empty() => changes.services(),
                Ok(StatusChange { service, is_turn }) => {
                    changes.service(&service);
                    if is_turn {
                        // What needs attention is listed beside the open alerts.
                        changes.alerts();
                    }
                }
                Err(RecvError::Lagged(_)) => changes.services(),
                Err(RecvError::Closed) => return,
            },
            change = alerts.recv() => match change {
                Ok(_) | Err(RecvError::Lagged(_)) => changes.alerts(),
                Err(RecvError::Closed) => return,
            },
            swapped = swaps.changed() => match swapped {
                Ok(()) => changes.plugins(),
                Err(_) => return,
            },
        }
    }
}
