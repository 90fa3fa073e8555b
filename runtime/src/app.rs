//! Builds every part, connects them, starts and stops them: the only file that knows all parts.

mod backtest;
mod bind_alerts;
mod bind_api;
mod bind_plugins;
mod bind_registry;
mod descriptors;
mod http;
mod local;
mod plugin_folder;
mod plugin_sources;
mod tasks;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::alerts::{
    AcknowledgementWatch, AlertActions, AlertEngine, AlertSignals, Auditor, Delivery, DeliveryDeps, DeliverySettings,
    DispatchDeps, Dispatcher, EngineDeps, EngineSettings, Escalator, EventCopy, SystemClock, WatchdogSender,
};
use crate::api::{Live, Parts};
use crate::config::{self, ConfigWatch, Environment, Loaded, PlacedFault};
use crate::domain::{Catalog, PluginTrust, WEBHOOK};
use crate::monitoring::{BoardChange, Monitoring, MonitoringSettings, PluginWatch, RECENT};
use crate::net::{self, Net, NetSettings};
use crate::plugin_host::{self, NoLog, PluginHost, RUNS_QUEUED, Recordings, SettingsInUse};
use crate::registry::Registry;
use crate::store::results::ServiceRow;
use crate::store::{ControlStore, Keyring, ResultSettings, ResultStore};
use crate::telemetry;

pub use local::{check_plugin, history_of, load_plugin};

use backtest::Backtester;
use bind_api::{Face, first_token};
use bind_plugins::ControlLog;
use plugin_folder::PluginFolder;
use plugin_sources::PluginSources;
use tasks::{Stage, Tasks};

/// What `extrack serve` was told.
#[derive(Debug, Clone)]
pub struct Options {
    /// Holds `services.yaml`, `alerts.yaml` and `plugins.yaml`.
    pub config: PathBuf,
    /// Holds the stores; nobody else's.
    pub data: PathBuf,
    /// Components put here are installed.
    pub plugins: PathBuf,
    pub listen: SocketAddr,
}

/// Said once everything runs.
#[derive(Debug, Clone)]
pub struct Started {
    pub address: SocketAddr,
    /// The first token, when this start made it: it is kept hashed, so it is shown now or never.
    pub new_token: Option<String>,
}

/// Observations on their way to the alert engine, which drains them into lanes at once.
const OBSERVATIONS_QUEUED: usize = 4_096;

/// How long the last runs of probes may take once their timers have stopped; a run ends within its own time-out.
const GRACE: Duration = Duration::from_secs(35);
/// How long all parts together may take to stop. Service managers kill after 90 s, and the stores have to be closed as well.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// Runs the program until the shutdown. Faults of the configuration come as [`config::Faults`], before a port opens.
pub async fn run(options: Options, shutdown: CancellationToken, started: impl FnOnce(Started)) -> Result<()> {
    // Nobody else's business, from the first file on; an existing folder keeps what its owner set.
    std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700)
        .create(&options.data)
        .with_context(|| format!("making the data folder `{}`", options.data.display()))?;
    let environment = Environment::read(&options.config);
    let config_dir = options.config.clone();
    let draft = tokio::task::spawn_blocking(move || config::read(&config_dir, &environment)).await?;
    let settings = draft.settings().clone();
    let metrics = telemetry::start_metrics()?;
    let descriptors = descriptors::raise_limit();

    let keyring = Keyring::load(settings.encryption_key.clone(), &options.data)?;
    let control = ControlStore::open(&options.data.join("control.sqlite"), keyring).await?;
    let data = options.data.clone();
    let (results, writer) =
        tokio::task::spawn_blocking(move || ResultStore::open(&data, ResultSettings::default())).await??;
    let writer = writer.start()?;

    let (runs, mut accounted) = mpsc::channel(RUNS_QUEUED);
    let (to_compared, mut compared) = mpsc::channel(RUNS_QUEUED);
    let first_run_id = results.observation_last_run_id().await?.unwrap_or(0) + 1;
    let folder = options.data.join("recordings");
    let (recordings, recording_writer) = tokio::task::spawn_blocking(move || Recordings::open(folder))
        .await?
        .context("opening the folder `recordings` in the data folder")?;
    let setup = plugin_host::Setup {
        folder: options.data.join("plugins"),
        trust: draft.plugins().trust.clone(),
        net: network(&settings)?,
        log: Arc::new(ControlLog(control.clone())),
        versions_kept: settings.plugin_versions_kept,
        runs,
        recordings,
        first_run_id,
        has_mail: settings.smtp.is_some(),
    };
    let mut tasks = Tasks::new();
    let stop = tasks.stop(Stage::Recording);
    let upkeep = telemetry::upkeep(metrics.clone(), stop);
    tasks.spawn(Stage::Recording, "metrics upkeep", async move {
        upkeep.await;
        Ok(())
    });
    let (recorder, stop) = (results.clone(), tasks.stop(Stage::Recording));
    tasks.spawn(Stage::Recording, "plugin run recorder", async move {
        loop {
            tokio::select! {
                biased;
                Some(run) = accounted.recv() => recorder.plugin_run_append(run).await?,
                Some(run) = compared.recv() => recorder.shadow_run_append(run).await?,
                () = stop.cancelled() => return Ok(()),
            }
        }
    });
    let stop = tasks.stop(Stage::Recording);
    tasks.spawn(Stage::Recording, "recordings", async move {
        recording_writer.run(stop).await;
        Ok(())
    });
    let host = PluginHost::start(setup).await?;
    host.set_file_policies(draft.plugins().policies.clone());
    bind_plugins::stored_policies(&control, &host).await?;
    let mut folder = PluginFolder::new(options.plugins.clone(), host.clone());
    folder.look_at_start().await;
    let mut sources = PluginSources::default();
    if draft.is_sound() {
        sources.pull_missing(&host, &draft.plugins().trust).await;
    }

    let Loaded { files, warnings, .. } = draft.check(&host).await?;
    warn(&warnings);
    let registry = Registry::open(files, Arc::new(host.clone()), Arc::new(control.clone())).await?;
    let in_use = registry.clone();
    host.set_in_use(Box::new(move |kind, name| {
        let uses = in_use.settings_using(name).into_iter().filter(|usage| usage.kind == kind);
        uses.map(|usage| SettingsInUse { owner: usage.owner, settings: usage.settings }).collect()
    }));

    let (to_alerts, observations) = mpsc::channel(OBSERVATIONS_QUEUED);
    let watch = PluginWatch::new(host.clone(), results.clone(), to_alerts.clone(), first_run_id);
    let stop = tasks.stop(Stage::Monitoring);
    tasks.spawn(Stage::Monitoring, "plugin watch", async move {
        watch.run(stop).await;
        Ok(())
    });
    let first_event_id = results.event_last_id().await?.unwrap_or(0) + 1;
    let monitoring = Monitoring::new(
        host.clone(),
        results.clone(),
        to_alerts,
        registry.watch(),
        MonitoringSettings::default(),
        first_event_id,
    );
    let unheard = restore(&monitoring, &results, &registry.catalog()).await?;
    let signals = AlertSignals::default();
    start_alerting(
        &mut tasks,
        &signals,
        &host,
        &control,
        &results,
        &registry,
        observations,
        settings.public_url.clone(),
    );

    monitoring.judge_again(unheard).await;
    let scheduler = monitoring.scheduler(GRACE);
    let stop = tasks.stop(Stage::Monitoring);
    tasks.spawn(Stage::Monitoring, "scheduler", async move {
        scheduler.run(stop).await;
        Ok(())
    });
    let shadows = host.shadow_runner().context("the queue of candidates' runs is taken")?;
    let stop = tasks.stop(Stage::Monitoring);
    tasks.spawn(Stage::Monitoring, "shadow runner", async move {
        shadows.run(to_compared, stop).await;
        Ok(())
    });
    let (catalog, recorder, stop) = (registry.watch(), results.clone(), tasks.stop(Stage::Monitoring));
    tasks.spawn(Stage::Monitoring, "services dimension", keep_services(catalog, recorder, stop));

    let new_token = first_token(&control, settings.admin_token.as_ref().map(|token| token.expose_secret())).await?;
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("listening on `{}`; `--listen` names another address", options.listen))?;
    let address = listener.local_addr()?;
    let board = monitoring.board();
    let face = Face {
        registry: registry.clone(),
        board: board.clone(),
        results: results.clone(),
        metrics,
        signals: signals.clone(),
    };
    let parts = Parts {
        services: Arc::new(registry.clone()),
        monitor: Arc::new(monitoring.clone()),
        webhooks: Arc::new(monitoring),
        plugins: Arc::new(host.clone()),
        program: Arc::new(face),
        notifier: Arc::new(host.clone()),
        signals: signals.clone(),
        actions: AlertActions::new(Arc::new(control.clone()), Arc::new(SystemClock), signals.clone()),
        backtests: Arc::new(Backtester::new(registry.clone(), host.clone(), control.clone(), results.clone())),
        control: control.clone(),
        results: results.clone(),
        recordings: host.recordings().clone(),
    };
    start_faces(
        &mut tasks,
        parts,
        board.subscribe(),
        &signals,
        host.swaps(),
        listener,
        &settings,
        descriptors::connections(descriptors, settings.max_connections),
    )?;
    let stop = tasks.stop(Stage::Faces);
    tasks.spawn(Stage::Faces, "plugin folder", folder.run(registry.clone(), stop));
    let stop = tasks.stop(Stage::Faces);
    tasks.spawn(Stage::Faces, "configuration watch", watch_config(options.config, host, registry, sources, stop));

    tracing::info!(%address, "ready");
    started(Started { address, new_token });
    let ended = tasks.run(shutdown, STOP_WITHIN).await;
    results.close().await?;
    tokio::task::spawn_blocking(move || writer.join()).await?.map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    control.close().await;
    ended
}

/// Checks the configuration with the bundled plugins and those in `plugins`, and answers with what is odd but works.
pub async fn check_config(config_dir: &Path, plugins: &Path) -> Result<Loaded> {
    let environment = Environment::read(config_dir);
    let scratch = tempfile::tempdir()?;
    // The accounts of these runs go nowhere.
    let (runs, mut accounted) = mpsc::channel(RUNS_QUEUED);
    let drain = tokio::spawn(async move { while accounted.recv().await.is_some() {} });
    let setup = plugin_host::Setup {
        folder: scratch.path().to_owned(),
        // What would be installed is the server's question.
        trust: PluginTrust::default(),
        net: Net::new(NetSettings::default())?,
        log: Arc::new(NoLog),
        versions_kept: config::PLUGIN_VERSIONS_KEPT,
        runs,
        recordings: Recordings::none(),
        first_run_id: 1,
        has_mail: false,
    };
    let host = PluginHost::start(setup).await?;
    PluginFolder::new(plugins.to_owned(), host.clone()).look_at_start().await;
    let loaded = config::load(config_dir, environment, &host).await;
    drop(host);
    drain.abort();
    Ok(loaded?)
}

fn network(settings: &config::Settings) -> Result<Net> {
    let smtp = settings.smtp.clone().map(|smtp| net::SmtpSettings {
        host: smtp.host,
        port: smtp.port,
        username: smtp.username,
        password: smtp.password,
        from: smtp.from,
        tls: match smtp.tls {
            config::SmtpTls::Starttls => net::SmtpTls::Starttls,
            config::SmtpTls::Implicit => net::SmtpTls::Implicit,
            config::SmtpTls::Opportunistic => net::SmtpTls::Opportunistic,
            config::SmtpTls::None => net::SmtpTls::None,
        },
        // The operator wrote the address.
        allow_private: true,
    });
    Ok(Net::new(NetSettings { smtp, ..NetSettings::default() })?)
}

fn warn(warnings: &[PlacedFault]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// The board as it was before the stop. Answers with reports after which nothing came: a probe runs again, but what was
/// confirmed to a sender does not come again, and it may not have been judged before a crash.
async fn restore(
    monitoring: &Monitoring,
    results: &ResultStore,
    catalog: &Catalog,
) -> Result<Vec<Arc<crate::domain::Observation>>> {
    let mut unheard = Vec::new();
    for (slug, service) in &catalog.services {
        let rows = (RECENT * service.probes.len().max(1)).min(1_000);
        let mut page = results.observation_page(slug, None, rows).await?;
        page.reverse();
        // Reports are far between, and count until the next one.
        for webhook in &service.webhooks {
            let reports = results.report_history(slug, &webhook.name, RECENT).await?;
            page.retain(|row| !reports.iter().any(|report| report.run_id == row.run_id));
            page.extend(reports);
        }
        page.sort_by_key(|row| row.run_id);
        unheard.extend(page.last().filter(|last| last.location == WEBHOOK).cloned().map(Arc::new));
        monitoring.restore(page);
    }
    Ok(unheard)
}

#[expect(clippy::too_many_arguments, reason = "the parts that alerting stands on")]
fn start_alerting(
    tasks: &mut Tasks,
    signals: &AlertSignals,
    host: &PluginHost,
    control: &ControlStore,
    results: &ResultStore,
    registry: &Registry,
    observations: mpsc::Receiver<Arc<crate::domain::Observation>>,
    public_url: Option<String>,
) {
    let engine = AlertEngine::new(EngineDeps {
        rules: Arc::new(host.clone()),
        store: Arc::new(control.clone()),
        history: Arc::new(results.clone()),
        clock: Arc::new(SystemClock),
        signals: signals.clone(),
        settings: EngineSettings::default(),
    });
    let (catalog, stop) = (registry.watch(), tasks.stop(Stage::Alerting));
    tasks.spawn(Stage::Alerting, "alert engine", async move {
        engine.run(observations, catalog, stop).await;
        Ok(())
    });
    let dispatcher = Dispatcher::new(DispatchDeps {
        store: Arc::new(control.clone()),
        clock: Arc::new(SystemClock),
        signals: signals.clone(),
    });
    let (catalog, stop) = (registry.watch(), tasks.stop(Stage::Delivery));
    tasks.spawn(Stage::Delivery, "dispatcher", async move {
        dispatcher.run(catalog, stop).await;
        Ok(())
    });
    let delivery = Delivery::new(DeliveryDeps {
        store: Arc::new(control.clone()),
        notifier: Arc::new(host.clone()),
        clock: Arc::new(SystemClock),
        signals: signals.clone(),
        settings: DeliverySettings { public_url: public_url.unwrap_or_default(), ..DeliverySettings::default() },
    });
    let (catalog, stop) = (registry.watch(), tasks.stop(Stage::Delivery));
    tasks.spawn(Stage::Delivery, "delivery", async move {
        delivery.run(catalog, stop).await;
        Ok(())
    });
    start_watching_over_alerts(tasks, signals, control, registry);
    let copy = EventCopy::new(Arc::new(control.clone()), Arc::new(results.clone()), signals.clone());
    let stop = tasks.stop(Stage::Delivery);
    tasks.spawn(Stage::Delivery, "alert event copy", async move {
        copy.run(stop).await;
        Ok(())
    });
}

/// What happens because time passes, and what looks after the rest.
fn start_watching_over_alerts(tasks: &mut Tasks, signals: &AlertSignals, control: &ControlStore, registry: &Registry) {
    let clock: Arc<SystemClock> = Arc::new(SystemClock);
    let watch = AcknowledgementWatch::new(Arc::new(control.clone()), clock.clone(), signals.clone());
    let stop = tasks.stop(Stage::Alerting);
    tasks.spawn(Stage::Alerting, "acknowledgements", async move {
        watch.run(stop).await;
        Ok(())
    });
    let escalator = Escalator::new(control.clone(), clock.clone(), signals.clone());
    let (catalog, stop) = (registry.watch(), tasks.stop(Stage::Alerting));
    tasks.spawn(Stage::Alerting, "escalator", async move {
        escalator.run(catalog, stop).await;
        Ok(())
    });
    let auditor = Auditor::new(control.clone(), clock.clone(), signals.clone());
    let stop = tasks.stop(Stage::Alerting);
    tasks.spawn(Stage::Alerting, "auditor", async move {
        auditor.run(stop).await;
        Ok(())
    });
    let watchdog = WatchdogSender::new(control.clone(), clock, signals.clone());
    let (catalog, stop) = (registry.watch(), tasks.stop(Stage::Alerting));
    tasks.spawn(Stage::Alerting, "watchdog", async move {
        watchdog.run(catalog, stop).await;
        Ok(())
    });
}

#[expect(clippy::too_many_arguments, reason = "the parts that the face stands on")]
fn start_faces(
    tasks: &mut Tasks,
    parts: Parts,
    mut board: broadcast::Receiver<BoardChange>,
    signals: &AlertSignals,
    mut swaps: watch::Receiver<u64>,
    listener: TcpListener,
    settings: &config::Settings,
    max_connections: usize,
) -> Result<()> {
    let live = Live::new();
    let (changes, stop) = (live.changes().clone(), tasks.stop(Stage::Faces));
    let mut alerts = signals.subscribe();
    tasks.spawn(Stage::Faces, "live changes", async move {
        use broadcast::error::RecvError;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                change = board.recv() => match change {
                    Ok(BoardChange { service }) if service.is_empty() => changes.services(),
                    Ok(BoardChange { service }) => changes.service(&service),
                    Err(RecvError::Lagged(_)) => changes.services(),
                    Err(RecvError::Closed) => return Ok(()),
                },
                change = alerts.recv() => match change {
                    Ok(_) | Err(RecvError::Lagged(_)) => changes.alerts(),
                    Err(RecvError::Closed) => return Ok(()),
                },
                swapped = swaps.changed() => match swapped {
                    Ok(()) => changes.plugins(),
                    Err(_) => return Ok(()),
                },
            }
        }
    });
    let (pages, pages_parts, stop) = (live.clone(), parts.clone(), tasks.stop(Stage::Faces));
    tasks.spawn(Stage::Faces, "live pages", async move {
        pages.run(pages_parts, stop).await;
        Ok(())
    });
    http::start(tasks, parts, live, listener, settings, max_connections)
}

/// The `services` table follows the catalog.
async fn keep_services(
    mut catalog: watch::Receiver<Arc<Catalog>>,
    results: ResultStore,
    stop: CancellationToken,
) -> Result<()> {
    loop {
        let rows = catalog.borrow_and_update().services.values().map(|service| ServiceRow::of(service)).collect();
        results.service_replace(rows).await?;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            changed = catalog.changed() => if changed.is_err() { return Ok(()) },
        }
    }
}

/// Before the services are checked, which may name what is pulled here. Answers with the trust that held before, unless the
/// files have faults that change nothing.
async fn pull_sources(
    config_dir: &Path,
    host: &PluginHost,
    sources: &mut PluginSources,
) -> Result<Option<PluginTrust>> {
    let folder = config_dir.to_owned();
    let draft = tokio::task::spawn_blocking(move || config::read(&folder, &Environment::read(&folder))).await?;
    if !draft.is_sound() {
        return Ok(None);
    }
    let before = host.trust();
    let trust = &draft.plugins().trust;
    host.set_trust(trust.clone());
    sources.pull(host, trust).await;
    Ok(Some(before))
}

/// All or nothing: a file with faults changes nothing and is told in full.
async fn watch_config(
    config_dir: PathBuf,
    host: PluginHost,
    registry: Registry,
    mut sources: PluginSources,
    stop: CancellationToken,
) -> Result<()> {
    let mut watch = match ConfigWatch::start(&config_dir) {
        Ok(watch) => watch,
        Err(error) => {
            tracing::warn!(%error, folder = %config_dir.display(), "the configuration is not watched; restart after a change");
            stop.cancelled().await;
            return Ok(());
        }
    };
    let trust = host.trust();
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        changed = sources.pull(&host, &trust) => if changed {
            registry.recheck().await;
        },
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = watch.changed() => {}
        }
        let before = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            before = pull_sources(&config_dir, &host, &mut sources) => before?,
        };
        match config::reload(&config_dir, &host, &registry).await {
            Ok(reloaded) => {
                host.set_file_policies(reloaded.plugins.policies);
                warn(&reloaded.warnings);
                tracing::info!("the configuration was read again");
            }
            Err(faults) => {
                if let Some(before) = before {
                    host.set_trust(before);
                }
                tracing::error!("the configuration has faults, the one before stays in use:\n{faults}");
            }
        }
    }
}
