//! Builds every part, connects them, starts and stops them: the only file that knows all parts.

mod backtest;
mod bind_alerts;
mod bind_api;
mod bind_plugins;
mod bind_registry;
mod control_health;
mod descriptors;
mod http;
mod local;
mod plugin_folder;
mod plugin_sources;
mod private_files;
mod recording;
mod reload;
mod restore;
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
    AcknowledgementWatch, AlertActions, AlertEngine, AlertSignals, Auditor, ClockKeeper, Delivery,
    DeliveryDeps, DeliverySettings, DispatchDeps, Dispatcher, EngineDeps, EngineSettings,
    EventCopy, Retention, RetentionSettings, SystemClock, UnrecordedSender, WatchdogSender,
};
use crate::api::{Live, Parts};
use crate::config::{self, Environment, Loaded, PlacedFault};
use crate::domain::{ConfigurationStatus, PluginTrust};
use crate::monitoring::{BoardChange, Monitoring, MonitoringSettings, OfflineTarget, PluginWatch};
use crate::net::{self, Net, NetSettings};
use crate::plugin_host::{
    self, Compiling, NoLog, PluginHost, RUNS_QUEUED, Recordings, SettingsInUse,
};
use crate::registry::Registry;
use crate::store::control::ControlSettings;
use crate::store::{ControlStore, Keyring, ResultSettings, ResultStore, SpoolSettings};
use crate::telemetry;

pub use local::{cache_folder, check_plugin, history_of, load_plugin};

use backtest::Backtester;
use bind_api::{Face, first_token};
use bind_plugins::ControlLog;
use plugin_folder::PluginFolder;
use plugin_sources::PluginSources;
use reload::{ConfigReload, StartConfiguration, start_with};
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
    /// The files are taken over, whatever they remove of what was watched before.
    pub is_config_accepted: bool,
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

/// How long the last runs of probes may take once their timers have stopped; a run ends within its
/// own time-out.
const GRACE: Duration = Duration::from_secs(35);
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
    // An existing folder keeps what its owner set; what is in it is the program's alone.
    std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700)
        .create(&options.data)
        .with_context(|| format!("making the data folder `{}`", options.data.display()))?;
    private_files::keep_private(&options.data)
        .with_context(|| format!("reading the data folder `{}`", options.data.display()))?;
    let environment = Environment::read(&options.config);
    let config_dir = options.config.clone();
    let found =
        tokio::task::spawn_blocking(move || config::read(&config_dir, &environment)).await?;
    let settings = found.settings().clone();
    let metrics = telemetry::start_metrics()?;
    let descriptors = descriptors::raise_limit();

    let keyring = Keyring::load(settings.encryption_key.clone(), &options.data)?;
    let control_path = options.data.join("control.sqlite");
    let stored = control_settings(&options.data, settings.control_ballast_mebibytes);
    let control = ControlStore::open_with(&control_path, keyring, stored).await?;
    let start = start_with(&options.config, found, &control, options.is_config_accepted).await?;
    let mut spool = SpoolSettings::new(recording::spool_folder(&settings, &control_path));
    spool.max_bytes = settings.spool_bytes;
    let (data, result_settings) = (
        options.data.clone(),
        ResultSettings {
            spool: Some(spool),
            ..ResultSettings::default()
        },
    );
    let (results, writer) =
        tokio::task::spawn_blocking(move || ResultStore::open(&data, result_settings)).await??;
    let writer = writer.start()?;

    let (runs, accounted) = mpsc::channel(RUNS_QUEUED);
    let (to_compared, compared) = mpsc::channel(RUNS_QUEUED);
    let first_run_id = results.first_run_id();
    let folder = options.data.join("recordings");
    let (recordings, recording_writer) =
        tokio::task::spawn_blocking(move || Recordings::open(folder)).await?;
    let net = network(&settings)?;
    let setup = plugin_host::Setup {
        folder: options.data.join("plugins"),
        compiling: Compiling::in_child(true)?,
        trust: start.draft.plugins().trust.clone(),
        net: net.clone(),
        log: Arc::new(ControlLog(control.clone())),
        versions_kept: settings.plugin_versions_kept,
        runs_memory_bytes: settings.runs_memory_bytes,
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
    let (kept, stop) = (control.clone(), tasks.stop(Stage::Recording));
    tasks.spawn(Stage::Recording, "control store upkeep", async move {
        kept.upkeep(stop).await;
        Ok(())
    });
    let stop = tasks.stop(Stage::Recording);
    let accounts = recording::keep_accounts(accounted, compared, results.clone(), stop);
    tasks.spawn(Stage::Recording, "plugin run recorder", accounts);
    let stop = tasks.stop(Stage::Recording);
    tasks.spawn(Stage::Recording, "recordings", async move {
        recording_writer.run(stop).await;
        Ok(())
    });
    let host = PluginHost::start(setup).await?;
    host.set_file_policies(start.draft.plugins().policies.clone());
    bind_plugins::stored_policies(&control, &host).await?;
    let mut folder = PluginFolder::new(options.plugins.clone(), host.clone());
    folder.look_at_start().await;
    let mut sources = PluginSources::default();
    if start.draft.is_sound() {
        sources
            .pull_missing(&host, &start.draft.plugins().trust)
            .await;
    }

    let StartConfiguration {
        loaded,
        mut basis,
        state: configuration,
    } = start.check(&options.config, &host).await?;
    let Loaded {
        files, warnings, ..
    } = loaded;
    warn(&warnings);
    let registry = Registry::open(files, Arc::new(host.clone()), Arc::new(control.clone())).await?;
    if configuration.status == ConfigurationStatus::InUse {
        // Its error is logged, and it is tried again.
        let _ = basis.keep(&control, "start").await;
    }
    let in_use = registry.clone();
    host.set_in_use(Box::new(move |kind, name| {
        let uses = in_use
            .settings_using(name)
            .into_iter()
            .filter(|usage| usage.kind == kind);
        uses.map(|usage| SettingsInUse {
            owner: usage.owner,
            settings: usage.settings,
        })
        .collect()
    }));

    let (to_alerts, observations) = mpsc::channel(OBSERVATIONS_QUEUED);
    let watch = PluginWatch::new(
        host.clone(),
        results.clone(),
        to_alerts.clone(),
        first_run_id,
    );
    let stop = tasks.stop(Stage::Monitoring);
    tasks.spawn(Stage::Monitoring, "plugin watch", async move {
        watch.run(stop).await;
        Ok(())
    });
    let signals = AlertSignals::default();
    let first_event_id = results.first_event_id();
    let monitoring = Monitoring::new(
        host.clone(),
        results.clone(),
        to_alerts.clone(),
        registry.watch(),
        MonitoringSettings {
            in_flight: settings.probes_in_flight,
            per_host: settings.probes_per_host,
        },
        signals.clock_jumps().clone(),
        first_event_id,
    );
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

    start_retention(&mut tasks, &control, &results, &settings.kept_for);
    let probing = monitoring.clone();
    signals.watch_probes(move || probing.stalled());
    // Alerting goes on with what it has, whether the results answer or not.
    let unheard = restore::restore(&monitoring, &results, &registry.catalog()).await;
    monitoring.judge_again(unheard).await;
    let targets: Vec<OfflineTarget> = settings
        .offline_targets
        .iter()
        .map(|(host, port)| OfflineTarget {
            host: host.clone(),
            port: *port,
        })
        .collect();
    if let Some(watch) = monitoring.offline_watch(net, &targets, to_alerts) {
        let stop = tasks.stop(Stage::Monitoring);
        tasks.spawn(Stage::Monitoring, "offline watch", async move {
            watch.run(stop).await;
            Ok(())
        });
    }
    let scheduler = monitoring.scheduler(GRACE);
    let stop = tasks.stop(Stage::Monitoring);
    tasks.spawn(Stage::Monitoring, "scheduler", async move {
        scheduler.run(stop).await;
        Ok(())
    });
    let shadows = host
        .shadow_runner()
        .context("the queue of candidates' runs is taken")?;
    let stop = tasks.stop(Stage::Monitoring);
    tasks.spawn(Stage::Monitoring, "shadow runner", async move {
        shadows.run(to_compared, stop).await;
        Ok(())
    });
    let (withdrawer, stop) = (
        host.withdrawer()
            .context("the queue of roll-backs is taken")?,
        tasks.stop(Stage::Monitoring),
    );
    let roll_backs = bind_plugins::roll_back(withdrawer, registry.clone(), stop);
    tasks.spawn(Stage::Monitoring, "plugin roll-backs", roll_backs);
    let (catalog, recorder, stop) = (
        registry.watch(),
        results.clone(),
        tasks.stop(Stage::Monitoring),
    );
    tasks.spawn(
        Stage::Monitoring,
        "services dimension",
        recording::keep_services(catalog, recorder, stop),
    );
    let stop = tasks.stop(Stage::Alerting);
    let watch = recording::watch_results(results.clone(), signals.clone(), stop);
    tasks.spawn(Stage::Alerting, "results watch", watch);

    let listener = TcpListener::bind(options.listen).await.with_context(|| {
        format!(
            "can't listen on `{}`; `--listen` names another address",
            options.listen
        )
    })?;
    let address = listener.local_addr()?;
    // After everything that can fail: a token that is kept and was never shown is lost.
    let new_token = first_token(
        &control,
        settings
            .admin_token
            .as_ref()
            .map(|token| token.expose_secret()),
    )
    .await?;
    let board = monitoring.board();
    let (reload, configuration) = ConfigReload::new(
        options.config,
        host.clone(),
        registry.clone(),
        control.clone(),
        sources,
        (basis, configuration),
    );
    let face = Face {
        registry: registry.clone(),
        plugins: host.clone(),
        board: board.clone(),
        results: results.clone(),
        control: control.clone(),
        metrics,
        signals: signals.clone(),
        configuration: configuration.clone(),
    };
    let parts = Parts {
        configuration: Arc::new(configuration),
        services: Arc::new(registry.clone()),
        monitor: Arc::new(monitoring.clone()),
        webhooks: Arc::new(monitoring),
        plugins: Arc::new(host.clone()),
        program: Arc::new(face),
        notifier: Arc::new(host.clone()),
        signals: signals.clone(),
        actions: AlertActions::new(
            Arc::new(control.clone()),
            Arc::new(SystemClock),
            signals.clone(),
        ),
        backtests: Arc::new(Backtester::new(
            registry.clone(),
            host.clone(),
            control.clone(),
            results.clone(),
        )),
        control: control.clone(),
        results: results.clone(),
        recordings: host.recordings().clone(),
        evaluator: host.evaluator().clone(),
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
    tasks.spawn(Stage::Faces, "plugin folder", folder.run(registry, stop));
    let stop = tasks.stop(Stage::Faces);
    tasks.spawn(Stage::Faces, "configuration watch", reload.run(stop));

    tracing::info!(%address, "ready");
    started(Started { address, new_token });
    let ended = tasks.run(shutdown, STOP_WITHIN).await;
    // Rows that were given up are in the log; whatever else has to end well still does.
    let recorded = results.close().await;
    let written = tokio::task::spawn_blocking(move || writer.join()).await?;
    control.close().await;
    written
        .map_err(|_| anyhow::anyhow!("the results writer panicked"))?
        .or(recorded)?;
    ended
}

/// Opens the control store as it is, whatever it lost, so that the next start takes it for the
/// right one.
pub async fn accept_store(data: &Path, config_dir: &Path) -> Result<()> {
    private_files::keep_private(data)
        .with_context(|| format!("reading the data folder `{}`", data.display()))?;
    let (environment, folder) = (Environment::read(config_dir), config_dir.to_owned());
    let draft = tokio::task::spawn_blocking(move || config::read(&folder, &environment)).await?;
    let keyring = Keyring::load(draft.settings().encryption_key.clone(), data)?;
    let accepting = ControlSettings {
        accepts_loss: true,
        ..ControlSettings::default()
    };
    let control = ControlStore::open_with(&data.join("control.sqlite"), keyring, accepting).await?;
    control.close().await;
    Ok(())
}

/// Beside filled results, components or recordings an empty control store is one that was lost.
fn control_settings(data: &Path, ballast_mebibytes: u64) -> ControlSettings {
    ControlSettings {
        ballast_bytes: ballast_mebibytes << 20,
        // Not `recordings`, which are of use to people alone and may come and go.
        filled_later: ["results.duckdb", "plugins"]
            .map(|name| data.join(name))
            .to_vec(),
        accepts_loss: false,
    }
}

/// Checks the configuration with the bundled plugins and those in the folders `plugins`, and
/// returns what is odd but works.
pub async fn check_config(config_dir: &Path, plugins: &[PathBuf]) -> Result<Loaded> {
    let environment = Environment::read(config_dir);
    let scratch = tempfile::tempdir()?;
    local::keep_compiled(scratch.path());
    // The accounts of these runs go nowhere.
    let (runs, mut accounted) = mpsc::channel(RUNS_QUEUED);
    let drain = tokio::spawn(async move { while accounted.recv().await.is_some() {} });
    let setup = plugin_host::Setup {
        folder: scratch.path().to_owned(),
        compiling: Compiling::in_child(false)?,
        // What would be installed is the server's question.
        trust: PluginTrust::default(),
        net: Net::new(NetSettings::default())?,
        log: Arc::new(NoLog),
        versions_kept: config::PLUGIN_VERSIONS_KEPT,
        runs_memory_bytes: None,
        runs,
        recordings: Recordings::none(),
        first_run_id: 1,
        has_mail: false,
    };
    let host = PluginHost::start(setup).await?;
    for folder in plugins {
        PluginFolder::new(folder.clone(), host.clone())
            .look_at_start()
            .await;
    }
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
        hello: smtp.hello,
        tls: match smtp.tls {
            config::SmtpTls::Starttls => net::SmtpTls::Starttls,
            config::SmtpTls::Implicit => net::SmtpTls::Implicit,
            config::SmtpTls::Opportunistic => net::SmtpTls::Opportunistic,
            config::SmtpTls::None => net::SmtpTls::None,
        },
        // The operator wrote the address.
        allow_private: true,
    });
    Ok(Net::new(NetSettings {
        smtp,
        nameservers: settings.nameservers.clone(),
        ..NetSettings::default()
    })?)
}

fn warn(warnings: &[PlacedFault]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the parts that alerting stands on"
)]
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
    let url_in_messages = public_url.clone().unwrap_or_default();
    let delivery = Delivery::new(DeliveryDeps {
        store: Arc::new(control.clone()),
        notifier: Arc::new(host.clone()),
        clock: Arc::new(SystemClock),
        signals: signals.clone(),
        evaluator: host.evaluator().apart(),
        settings: DeliverySettings {
            public_url: public_url.unwrap_or_default(),
            ..DeliverySettings::default()
        },
    });
    let (catalog, stop) = (registry.watch(), tasks.stop(Stage::Delivery));
    tasks.spawn(Stage::Delivery, "delivery", async move {
        delivery.run(catalog, stop).await;
        Ok(())
    });
    let sender = UnrecordedSender::new(
        Arc::new(control.clone()),
        Arc::new(host.clone()),
        Arc::new(SystemClock),
        signals.unrecorded().clone(),
        url_in_messages,
    );
    let (catalog, stop) = (registry.watch(), tasks.stop(Stage::Delivery));
    tasks.spawn(Stage::Delivery, "unrecorded alerts", async move {
        sender.run(catalog, stop).await;
        Ok(())
    });
    start_watching_over_alerts(tasks, signals, control, registry);
    let copy = EventCopy::new(
        Arc::new(control.clone()),
        Arc::new(results.clone()),
        signals.clone(),
    );
    let stop = tasks.stop(Stage::Delivery);
    tasks.spawn(Stage::Delivery, "alert event copy", async move {
        copy.run(stop).await;
        Ok(())
    });
}

fn start_retention(
    tasks: &mut Tasks,
    control: &ControlStore,
    results: &ResultStore,
    kept_for: &config::KeptFor,
) {
    let default = RetentionSettings::default();
    let settings = RetentionSettings {
        alerts: kept_for.alerts.unwrap_or(default.alerts),
        messages: kept_for.messages.unwrap_or(default.messages),
        audit: kept_for.audit.unwrap_or(default.audit),
        silences: kept_for.silences.unwrap_or(default.silences),
    };
    let retention = Retention::new(
        control.clone(),
        Arc::new(results.clone()),
        Arc::new(SystemClock),
        settings,
    );
    let stop = tasks.stop(Stage::Alerting);
    tasks.spawn(Stage::Alerting, "retention", async move {
        retention.run(stop).await;
        Ok(())
    });
}

/// What happens because time passes, and what looks after the rest.
fn start_watching_over_alerts(
    tasks: &mut Tasks,
    signals: &AlertSignals,
    control: &ControlStore,
    registry: &Registry,
) {
    let clock: Arc<SystemClock> = Arc::new(SystemClock);
    let watch =
        AcknowledgementWatch::new(Arc::new(control.clone()), clock.clone(), signals.clone());
    let stop = tasks.stop(Stage::Alerting);
    tasks.spawn(Stage::Alerting, "acknowledgements", async move {
        watch.run(stop).await;
        Ok(())
    });
    let keeper = ClockKeeper::new(control.clone(), clock.clone(), signals.clone());
    let stop = tasks.stop(Stage::Alerting);
    tasks.spawn(Stage::Alerting, "clock keeper", async move {
        keeper.run(stop).await;
        Ok(())
    });
    let auditor = Auditor::new(
        control.clone(),
        clock.clone(),
        signals.clone(),
        registry.watch(),
    );
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

#[expect(
    clippy::too_many_arguments,
    reason = "the parts that the face stands on"
)]
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
