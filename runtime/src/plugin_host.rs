//! Runs plugins: the only place with wasmtime. A fresh instance for every call, one deadline over
//! all of it, nothing granted by default, every call accounted, versions replaced while the others
//! run.

mod calls;
mod capabilities;
mod contract;
mod engine;
mod evaluator;
mod health;
mod policy;
mod recording;
mod replay;
mod run;
mod versions;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::domain::{
    PluginHealth, PluginInfo, PluginKind, PluginRun, PluginTrust, UnixMillis, now_ms,
};
use crate::net::Net;

pub use calls::{
    PluginError, ProbeCall, ReceiveError, RuleCall, RuleRow, RuleVersion, WebhookCall,
};
pub use engine::bundled::{Bundled, bundle};
pub use engine::compile::{COMPILE_SUBCOMMAND, Compiling, compile_child};
pub use engine::memory::RunMemoryUse;
pub use evaluator::{EvaluationError, Evaluator};
pub use policy::grants::{Missing, PluginGrants, PolicyOrigin};
pub use policy::trust::{SIGNATURE_BYTES, check_key, check_reference};
pub use recording::format::{GivenAnswer, LogLine, RecordedCall, RecordedRun, Recording, Subject};
pub use recording::recordings::{RecordingEntry, RecordingFilter, RecordingWriter, Recordings};
pub use replay::{Asked, Difference, ReplayError, Replayed};
pub use versions::check::{CheckedStep, ComponentCheck, StepOutcome};
pub use versions::history::{BUNDLED, NoLog, NotKept, VersionEntry, VersionLog};
pub use versions::loader::{COMPONENT_BYTES, RESERVED_NAMES, Refusal};
pub use versions::local::{LocalError, LocalPlugin, LocalSetup};
pub use versions::shadow::{ShadowEntry, ShadowRunner};
pub use versions::staging::StagedPlugin;
pub use versions::trial::{RolledBack, Withdrawer};

use engine::memory::RunMemory;
use policy::credentials::Wallet;
use policy::reach::ChannelReach;
use policy::{secrets, trust::Trust};
use run::Runner;
use versions::components::ComponentStore;
use versions::loader::{LoadedPlugin, Loader};
use versions::shadow::{QUEUED, Shadows, Work};
use versions::start::BundledPlugin;
use versions::sweep::Spare;
use versions::trial::{WITHDRAWALS_QUEUED, Withdrawal};
use versions::{loader, start};

/// Runs accounted and on their way to the results; what finds no room is dropped and counted: no
/// run waits for it.
pub const RUNS_QUEUED: usize = 8_192;

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("starting the plugin engine")]
    Engine(#[source] wasmtime::Error),
    #[error("{0}")]
    Evaluator(String),
    #[error("opening the plugin folder `{}`", path.display())]
    Folder {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("reading which plugin versions are active: {0}")]
    Log(String),
    #[error("the bundled plugin `{name}` does not load")]
    Bundled { name: &'static str, source: Refusal },
}

/// What people are shown of a plugin.
#[derive(Debug, Clone)]
pub struct PluginEntry {
    pub name: String,
    pub kind: PluginKind,
    pub version: String,
    pub digest: String,
    /// `active`, or `failing`.
    pub state: &'static str,
    pub since_ms: UnixMillis,
    /// Who installed it; `bundled` for what came with the binary.
    pub by: String,
    pub size: usize,
    /// Id of the operator's key that signed it.
    pub signed_by: Option<String>,
    pub imports: Vec<String>,
    pub info: Arc<PluginInfo>,
    pub health: PluginHealth,
    /// The candidate that runs beside it.
    pub shadow: Option<ShadowEntry>,
    /// The version before, if the program went back to this one by itself.
    pub rolled_back: Option<RolledBack>,
    /// What is odd about an installation that went well.
    pub warning: Option<String>,
}

/// Settings that some part of the configuration hands to a plugin.
#[derive(Debug, Clone)]
pub struct SettingsInUse {
    /// For people, e.g. ``probe `http` of service `shop-api` ``.
    pub owner: String,
    pub settings: Value,
}

/// Tells which settings use a plugin: a candidate has to accept them all before it becomes active.
pub type InUse = dyn Fn(PluginKind, &str) -> Vec<SettingsInUse> + Send + Sync;

/// What the host stands on.
pub struct Setup {
    /// Installed components and compiled code.
    pub folder: PathBuf,
    pub compiling: Compiling,
    pub trust: PluginTrust,
    pub net: Net,
    pub log: Arc<dyn VersionLog>,
    /// Installed components kept of each plugin, whether active or not; what may be needed stays
    /// beyond it.
    pub versions_kept: usize,
    /// What all runs together may have of memory; none: a quarter of the machine's.
    pub runs_memory_bytes: Option<u64>,
    /// Gets the account of every run.
    pub runs: mpsc::Sender<PluginRun>,
    /// Keeps what is worth keeping of the runs.
    pub recordings: Recordings,
    /// The first run's id.
    pub first_run_id: i64,
    /// An SMTP server is configured.
    pub has_mail: bool,
}

#[derive(Clone)]
pub struct PluginHost {
    shared: Arc<Shared>,
}

type Active = BTreeMap<String, Arc<LoadedPlugin>>;

struct Shared {
    runner: Runner,
    loader: Loader,
    components: ComponentStore,
    trust: Arc<Trust>,
    /// Replaced whole: a call in flight keeps the version it began with.
    active: ArcSwap<Active>,
    /// By the name of their plugin.
    shadows: ArcSwap<Shadows>,
    shadow_work: mpsc::Sender<Work>,
    /// Until the runner takes it.
    shadow_inbox: Mutex<Option<mpsc::Receiver<Work>>>,
    withdrawals: mpsc::Sender<Withdrawal>,
    /// Until the withdrawer takes it.
    withdrawal_inbox: Mutex<Option<mpsc::Receiver<Withdrawal>>>,
    bundled: BTreeMap<String, BundledPlugin>,
    /// One installation at a time.
    installing: tokio::sync::Mutex<()>,
    in_use: ArcSwap<Box<InUse>>,
    /// Grows with each swap, and with each change of a candidate.
    swaps: watch::Sender<u64>,
    /// The same, of rules alone.
    rule_swaps: AtomicU64,
    versions_kept: usize,
    net: Net,
    /// Tokens and certificates that runs share.
    wallet: Arc<Wallet>,
    channel_reach: ChannelReach,
    has_mail: bool,
    log: Arc<dyn VersionLog>,
    runs: mpsc::Sender<PluginRun>,
    recordings: Recordings,
    next_run_id: AtomicI64,
    labels: health::Labels,
}

impl PluginHost {
    /// Loads the bundled plugins and whatever was installed over them.
    pub async fn start(setup: Setup) -> Result<Self, SetupError> {
        let trust = Arc::new(Trust::new(setup.trust.clone(), &setup.folder));
        let (loader, runner) = compiler(
            &setup.folder,
            setup.compiling.clone(),
            setup.runs_memory_bytes,
            &trust,
        )?;
        if let Err(error) = loader.compiler.cache().sweep_drafts() {
            tracing::warn!(%error, "the folder of compiled plugins can't be swept");
        }
        let records = setup.log.plugins(None).await.map_err(SetupError::Log)?;
        let evaluator = async {
            runner
                .evaluator
                .prepare()
                .await
                .map_err(SetupError::Evaluator)
        };
        let bundled = start::load_bundled(&loader, &runner, &records);
        let ((), (active, bundled)) = futures::future::try_join(evaluator, bundled).await?;
        let host = Self::assemble(setup, loader, runner, trust, active, bundled)?;
        host.load_installed(&records).await;
        host.load_shadows(&records).await;
        host.sweep(&records, Spare::NONE).await;
        Ok(host)
    }

    /// Without any plugin. `progress` is called with the size of what is really compiled.
    fn empty(setup: Setup, progress: fn(usize)) -> Result<Self, SetupError> {
        let trust = Arc::new(Trust::new(setup.trust.clone(), &setup.folder));
        let (loader, runner) = compiler(
            &setup.folder,
            setup.compiling.clone(),
            setup.runs_memory_bytes,
            &trust,
        )?;
        let loader = loader.with_progress(progress);
        Self::assemble(setup, loader, runner, trust, Active::new(), BTreeMap::new())
    }

    fn assemble(
        setup: Setup,
        loader: Loader,
        runner: Runner,
        trust: Arc<Trust>,
        active: Active,
        bundled: BTreeMap<String, BundledPlugin>,
    ) -> Result<Self, SetupError> {
        let components =
            ComponentStore::open(&setup.folder).map_err(|source| SetupError::Folder {
                path: setup.folder.clone(),
                source,
            })?;
        let (shadow_work, shadow_inbox) = mpsc::channel(QUEUED);
        let (withdrawals, withdrawal_inbox) = mpsc::channel(WITHDRAWALS_QUEUED);
        let shared = Shared {
            runner,
            loader,
            components,
            trust,
            active: ArcSwap::from_pointee(active),
            shadows: ArcSwap::default(),
            shadow_work,
            shadow_inbox: Mutex::new(Some(shadow_inbox)),
            withdrawals,
            withdrawal_inbox: Mutex::new(Some(withdrawal_inbox)),
            bundled,
            installing: tokio::sync::Mutex::new(()),
            in_use: ArcSwap::from_pointee(Box::new(|_: PluginKind, _: &str| Vec::new())),
            swaps: watch::Sender::new(0),
            rule_swaps: AtomicU64::new(0),
            versions_kept: setup.versions_kept,
            net: setup.net,
            wallet: Arc::default(),
            channel_reach: ChannelReach::default(),
            has_mail: setup.has_mail,
            log: setup.log,
            runs: setup.runs,
            recordings: setup.recordings,
            next_run_id: AtomicI64::new(setup.first_run_id),
            labels: health::Labels::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Evaluates what people write.
    pub fn evaluator(&self) -> &Evaluator {
        &self.shared.runner.evaluator
    }

    /// Called once the registry exists.
    pub fn set_in_use(&self, in_use: Box<InUse>) {
        self.shared.in_use.store(Arc::new(in_use));
    }

    /// Changes when another version became active, however it came, or something about a candidate
    /// did.
    pub fn swaps(&self) -> watch::Receiver<u64> {
        self.shared.swaps.subscribe()
    }

    /// Grows when another version of a rule became active, or a candidate of one came or went.
    pub fn rule_swaps(&self) -> u64 {
        self.shared.rule_swaps.load(Ordering::Relaxed)
    }

    /// None: no such plugin of this kind.
    pub fn info(&self, kind: PluginKind, name: &str) -> Option<Arc<PluginInfo>> {
        self.plugin(kind, name).map(|plugin| plugin.info.clone())
    }

    /// Names of a kind, sorted.
    pub fn names(&self, kind: PluginKind) -> Vec<String> {
        let active = self.shared.active.load();
        active
            .values()
            .filter(|plugin| plugin.kind == kind)
            .map(|plugin| plugin.info.name.clone())
            .collect()
    }

    pub fn list(&self) -> Vec<PluginEntry> {
        self.shared
            .active
            .load()
            .values()
            .map(|plugin| self.entry(plugin))
            .collect()
    }

    pub fn get(&self, name: &str) -> Option<PluginEntry> {
        self.shared
            .active
            .load()
            .get(name)
            .map(|plugin| self.entry(plugin))
    }

    /// What runs have reserved of the memory they have together.
    pub fn run_memory(&self) -> RunMemoryUse {
        self.shared.runner.memory.in_use()
    }

    /// What is kept of runs.
    pub fn recordings(&self) -> &Recordings {
        &self.shared.recordings
    }

    /// Ids of runs grow by one; a run's observation carries the same.
    pub fn next_run_id(&self) -> i64 {
        self.shared.next_run_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Settings with their secrets as `***`.
    pub fn redacted(&self, kind: PluginKind, name: &str, settings: &Value) -> Value {
        match self.plugin(kind, name) {
            Some(plugin) => secrets::redacted(settings, &plugin.info.settings_schema),
            None => settings.clone(),
        }
    }

    fn plugin(&self, kind: PluginKind, name: &str) -> Option<Arc<LoadedPlugin>> {
        self.shared
            .active
            .load()
            .get(name)
            .filter(|plugin| plugin.kind == kind)
            .cloned()
    }

    fn entry(&self, plugin: &LoadedPlugin) -> PluginEntry {
        let shadow = self.shadow(&plugin.info.name).map(|shadow| shadow.entry());
        PluginEntry {
            shadow,
            ..entry(plugin)
        }
    }

    /// After a swap, or a change of a candidate.
    fn changed(&self, kind: PluginKind) {
        if kind == PluginKind::Rule {
            self.shared.rule_swaps.fetch_add(1, Ordering::Relaxed);
        }
        self.shared.swaps.send_modify(|count| *count += 1);
    }
}

fn entry(plugin: &LoadedPlugin) -> PluginEntry {
    PluginEntry {
        name: plugin.info.name.clone(),
        kind: plugin.kind,
        version: plugin.info.version.clone(),
        digest: plugin.digest.clone(),
        state: if plugin.health.is_failing() {
            "failing"
        } else {
            "active"
        },
        since_ms: plugin.since_ms,
        by: plugin.by.clone(),
        size: plugin.size,
        signed_by: plugin.signed_by.clone(),
        imports: plugin.imports.clone(),
        info: plugin.info.clone(),
        health: plugin.health.shown(now_ms()),
        shadow: None,
        rolled_back: plugin.rolled_back.clone(),
        warning: None,
    }
}

/// The engine, with compiled code kept in the folder, for components that are trusted.
fn compiler(
    folder: &Path,
    compiling: Compiling,
    runs_memory_bytes: Option<u64>,
    trust: &Arc<Trust>,
) -> Result<(Loader, Runner), SetupError> {
    let engine = engine::pool::PluginEngine::start().map_err(SetupError::Engine)?;
    let path = folder.join("compiled");
    let cache = engine::cache::CompiledCache::open(&path)
        .map_err(|source| SetupError::Folder { path, source })?;
    let compiler = engine::compile::Compiler::new(engine.engine.clone(), cache, compiling);
    let loader = Loader::new(&engine, compiler)
        .map_err(SetupError::Engine)?
        .with_trust(trust.clone());
    let memory = runs_memory_bytes.map_or_else(RunMemory::default, RunMemory::new);
    let evaluator = Evaluator::new(&folder.join("evaluator"));
    Ok((loader, Runner::new(&engine, memory, evaluator)))
}

/// The component of this digest, if it is part of this binary.
pub fn bundled_component(digest: &str) -> Option<bytes::Bytes> {
    let mut components = engine::bundled::bundled()
        .plugins
        .iter()
        .map(|(_, bytes)| *bytes);
    components
        .find(|bytes| loader::digest(bytes) == digest)
        .map(bytes::Bytes::from_static)
}

/// Names of the plugins that are part of this binary.
pub fn bundled_names() -> impl Iterator<Item = &'static str> {
    engine::bundled::bundled()
        .plugins
        .iter()
        .map(|(name, _)| *name)
}
