//! Runs plugins: the only place with wasmtime. A fresh instance for every call, one deadline over
//! all of it, nothing granted by default, every call accounted, versions replaced while the others
//! run.
//!
//! [`PluginHost`] is a facade over the calls that other parts make (`calls`) and the versions that
//! answer them (`versions`). The wings below do not import from it.

mod calls;
mod capabilities;
mod contract;
mod credentials;
mod engine;
mod evaluator;
mod health;
mod policy;
mod programs;
mod recording;
mod replay;
mod run;
mod setup;
mod versions;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::domain::{
    Channel, CheckDone, CheckJob, DeliveryError, Fault, Message, MeterFigure, PluginHealth,
    PluginInfo, PluginKind, PluginPolicy, PluginTrust, Receipt, ServiceFacts, StoredRun,
    StoredRuns, UnixMillis, Verdict,
};

pub use calls::request::{MeterCall, RuleCall, WebhookCall};
pub use calls::{DeliveredCall, PluginError, ReceiveError, RuleSession, RuleVersion};
pub use engine::bundled::{Bundled, bundle};
pub use engine::compile::{COMPILE_SUBCOMMAND, CompileLimits, Compiling, compile_child};
pub use engine::memory::{InboundMemory, RunMemoryUse};
pub use evaluator::{EvaluationError, Evaluator};
pub use policy::credentials::{
    AppliedCredential, PayloadUse, RefusedToken, RequestSigner, RequestToSign, SignedPayload,
    SigningError,
};
pub use policy::grants::PolicyOrigin;
pub use policy::install_error::{InstallError, InstallStep};
pub use policy::trust::{SIGNATURE_BYTES, check_key, check_reference};
pub use programs::{PROGRAM_SUBCOMMAND, Programs, program_child};
pub use recording::call_replay::{Asked, Difference};
pub use recording::format::{GivenAnswer, LogLine, RecordedCall, RecordedRun, Recording, Subject};
pub use recording::recordings::{RecordingEntry, RecordingFilter, RecordingWriter, Recordings};
pub use replay::{ReplayError, Replayed};
pub use setup::{RUNS_QUEUED, Setup, SetupError};
pub use versions::bundled::{bundled_component, bundled_names};
pub use versions::check::{CheckedStep, ComponentCheck, StepOutcome};
pub use versions::entry::{PluginEntry, PluginState};
pub use versions::grants::{Missing, PluginGrants};
pub use versions::history::{VersionEntry, VersionState};
pub use versions::loader::{COMPONENT_BYTES, RESERVED_NAMES};
pub use versions::local::{LocalError, LocalPlugin, LocalSetup};
pub use versions::log::{BUNDLED, VersionLog};
pub use versions::request::{InstallRequest, InstallRole, InstallSource};
pub use versions::shadow::{ShadowEntry, ShadowRunner, ShadowState};
pub use versions::staging::StagedPlugin;
pub use versions::trial::RolledBack;
pub use versions::users::{InUse, SettingsInUse};
pub use versions::withdrawal::Withdrawer;

use calls::Calls;
use engine::cache::CompiledCache;
use engine::compile::Compiler;
use engine::memory::RunMemory;
use engine::pool::PluginEngine;
use policy::credentials::CredentialCache;
use policy::reach::ChannelReach;
use policy::secrets;
use policy::trust::Trust;
use run::Runner;
use versions::Versions;
use versions::active::ActivePlugins;
use versions::bundled::BundledPlugin;
use versions::components::ComponentStore;
use versions::loader::Loader;
use versions::shadow::Shadows;
use versions::start::load_bundled;
use versions::sweep::Spare;
use versions::trial::TRIALS_QUEUED;
use versions::users::PluginUsers;

#[derive(Clone)]
pub struct PluginHost {
    calls: Arc<Calls>,
    versions: Arc<Versions>,
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
        let bundled = load_bundled(&loader, &runner, &records);
        let ((), (active, bundled)) = futures::future::try_join(evaluator, bundled).await?;
        let host = Self::assemble(setup, loader, runner, trust, bundled)?;
        host.calls.active.start_with(active);
        host.versions.load_installed(&records).await;
        host.versions.load_shadows(&records).await;
        host.versions.sweep(&records, Spare::NONE).await;
        Ok(host)
    }

    /// Starts without any plugin. `progress` is called with the size of what is really compiled.
    fn empty(setup: Setup, progress: fn(usize)) -> Result<Self, SetupError> {
        let trust = Arc::new(Trust::new(setup.trust.clone(), &setup.folder));
        let (loader, runner) = compiler(
            &setup.folder,
            setup.compiling.clone(),
            setup.runs_memory_bytes,
            &trust,
        )?;
        let loader = loader.with_progress(progress);
        Self::assemble(setup, loader, runner, trust, BTreeMap::new())
    }

    fn assemble(
        setup: Setup,
        loader: Loader,
        runner: Runner,
        trust: Arc<Trust>,
        bundled: BTreeMap<String, BundledPlugin>,
    ) -> Result<Self, SetupError> {
        let components =
            ComponentStore::open(&setup.folder).map_err(|source| SetupError::Folder {
                path: setup.folder.clone(),
                source,
            })?;
        let (trial_news, trial_inbox) = mpsc::channel(TRIALS_QUEUED);
        let active = Arc::new(ActivePlugins::default());
        let shadows = Arc::new(Shadows::default());
        let calls = Arc::new(Calls {
            runner,
            active: active.clone(),
            shadows: shadows.clone(),
            net: setup.net.clone(),
            credential_cache: Arc::new(CredentialCache::new(setup.credentials)),
            channel_reach: ChannelReach::default(),
            has_mail: setup.has_mail,
            programs: setup.programs,
            recordings: setup.recordings,
            runs: setup.runs,
            run_ids: setup.run_ids,
            labels: health::Labels::default(),
            trial_news,
        });
        let versions = Arc::new(Versions {
            loader,
            components,
            trust,
            active,
            shadows,
            bundled,
            calls: calls.clone(),
            users: Arc::new(PluginUsers::default()),
            log: setup.log,
            net: setup.net,
            versions_kept: setup.versions_kept,
            changing: tokio::sync::Mutex::new(()),
            trial_inbox: Mutex::new(Some(trial_inbox)),
        });
        Ok(Self { calls, versions })
    }

    /// Evaluates expressions and templates that people write.
    pub fn evaluator(&self) -> &Evaluator {
        &self.calls.runner.evaluator
    }

    /// Memory that runs have reserved of what they have together.
    pub fn run_memory(&self) -> RunMemoryUse {
        self.calls.runner.memory.in_use()
    }

    /// Memory of all runs for bytes that are taken in for a run before it begins.
    pub fn inbound_memory(&self) -> InboundMemory {
        InboundMemory::of(&self.calls.runner.memory)
    }

    /// Recordings of runs that are kept.
    pub fn recordings(&self) -> &Recordings {
        &self.calls.recordings
    }

    /// Returns an id for a run, larger than those before; a run's observation carries the same.
    pub fn next_run_id(&self) -> i64 {
        self.calls.next_run_id()
    }
}

/// Calls of active versions.
impl PluginHost {
    /// Runs a probe. Whatever happens is an observation: a plugin that traps, hangs or answers
    /// nonsense costs this run only. Nothing is accounted before [`Self::check_done`].
    pub async fn check(&self, job: &CheckJob) -> CheckDone {
        self.calls.check(job).await
    }

    /// Accounts a run of a probe, wherever it ran, and offers it to the candidate beside the active
    /// version.
    pub fn check_done(&self, job: &CheckJob, done: &CheckDone) {
        self.calls.check_done(job, done);
    }

    /// Evaluates a rule. A rule that breaks has no verdict.
    pub async fn evaluate(&self, call: RuleCall<'_>) -> Result<Verdict, PluginError> {
        self.calls.evaluate(call).await
    }

    /// Makes one attempt at one message.
    pub async fn notify(
        &self,
        channel: &Channel,
        message: &Message,
    ) -> Result<Receipt, DeliveryError> {
        self.calls.notify(channel, message).await
    }

    /// Takes in a delivery. Whatever goes wrong inside is [`ReceiveError::Broken`].
    pub async fn receive(&self, call: WebhookCall<'_>) -> DeliveredCall {
        self.calls.receive(call).await
    }

    /// Reads what a vendor bills.
    pub async fn read_meter(&self, call: MeterCall<'_>) -> Result<Vec<MeterFigure>, PluginError> {
        self.calls.read_meter(call).await
    }

    /// Checks settings: by the plugin's schema first, then by the plugin.
    pub async fn check_settings(
        &self,
        kind: PluginKind,
        name: &str,
        settings: &Value,
        service: Option<&ServiceFacts>,
    ) -> Result<(), Vec<Fault>> {
        self.calls
            .check_settings(kind, name, settings, service)
            .await
    }

    /// Returns true for a rule that is evaluated as time passes, although nothing arrived.
    pub fn rule_ticks(&self, name: &str) -> bool {
        self.calls.rule_ticks(name)
    }

    /// Returns how much history a rule needs with these settings, or its candidate with those it
    /// was tried with, if that is more.
    pub async fn look_back(&self, name: &str, settings: &Value) -> Result<Duration, PluginError> {
        self.calls.look_back(name, settings).await
    }

    /// Replays a recorded run with the version of the plugin that is active here.
    pub async fn replay(
        &self,
        plugin: &str,
        recording: &Recording,
    ) -> Result<Replayed, ReplayError> {
        let plugin = self.calls.active.get(plugin);
        let plugin = plugin.ok_or_else(|| ReplayError::Plugin(recording.run.plugin.clone()))?;
        replay::replay(&self.calls.runner, &plugin, recording).await
    }

    /// Takes the queue of candidates' runs; once in the life of a host.
    pub fn shadow_runner(&self) -> Option<ShadowRunner> {
        Some(ShadowRunner {
            calls: self.calls.clone(),
            users: self.versions.users.clone(),
            jobs: self.calls.shadows.take_jobs()?,
        })
    }
}

/// Rules for backtests.
impl PluginHost {
    /// Returns the active version of a rule.
    pub fn rule_version(&self, name: &str) -> Result<RuleVersion, PluginError> {
        self.calls.rule_version(name)
    }

    /// Verifies a rule that is not installed, and does not install it.
    pub async fn rule_candidate(
        &self,
        component: Bytes,
        by: &str,
    ) -> Result<RuleVersion, InstallError> {
        self.versions.rule_candidate(component, by).await
    }

    /// Returns how much history this version needs with these settings.
    pub async fn look_back_of_version(
        &self,
        rule: &RuleVersion,
        settings: &Value,
    ) -> Result<Duration, PluginError> {
        self.calls.look_back_of_version(rule, settings).await
    }

    pub async fn check_settings_of_version(
        &self,
        rule: &RuleVersion,
        settings: &Value,
    ) -> Result<(), Vec<Fault>> {
        self.calls.check_settings_of_version(rule, settings).await
    }

    pub fn rule_session(&self, rule: &RuleVersion, service: &str, settings: &Value) -> RuleSession {
        self.calls.rule_session(rule, service, settings)
    }
}

/// Grants and trust.
impl PluginHost {
    /// Sets the policies of the file, for all plugins. They hold from the next run on.
    pub fn set_file_policies(&self, policies: BTreeMap<String, PluginPolicy>) {
        self.calls.runner.policies.set_file(policies);
    }

    /// Sets the policy that the API gave a plugin; the file's goes before it. `None` restores the
    /// defaults.
    pub fn set_api_policy(&self, name: &str, policy: Option<PluginPolicy>) {
        self.calls.runner.policies.set_api(name, policy);
    }

    /// Returns the grants of a plugin.
    pub fn grants(&self, name: &str) -> Option<PluginGrants> {
        let plugin = self.calls.active.get(name)?;
        Some(PluginGrants::of(&plugin, &self.calls.grants_of(&plugin)))
    }

    /// Returns what the operator trusts at the moment.
    pub fn trust(&self) -> PluginTrust {
        PluginTrust::clone(&self.versions.trust.policy())
    }

    /// Replaces settings' secrets with `***`.
    pub fn redacted(&self, kind: PluginKind, name: &str, settings: &Value) -> Value {
        match self.calls.active.of_kind(kind, name) {
            Some(plugin) => secrets::redacted(settings, &plugin.info.settings_schema),
            None => settings.clone(),
        }
    }
}

/// Active versions.
impl PluginHost {
    /// Changes when a version became active or was removed, however that came.
    pub fn swaps(&self) -> watch::Receiver<u64> {
        self.calls.active.swaps()
    }

    /// Changes with [`Self::swaps`], and when something shown about a plugin or its candidate did.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.calls.active.changes()
    }

    /// Grows when another version of a rule became active, or a candidate of one came or went.
    pub fn rule_swaps(&self) -> u64 {
        self.calls.active.rule_swaps()
    }

    /// Returns the description of a plugin of this kind.
    pub fn info(&self, kind: PluginKind, name: &str) -> Option<Arc<PluginInfo>> {
        let plugin = self.calls.active.of_kind(kind, name);
        plugin.map(|plugin| plugin.info.clone())
    }

    /// Returns the names of a kind, sorted.
    pub fn names(&self, kind: PluginKind) -> Vec<String> {
        let active = self.calls.active.load();
        active
            .values()
            .filter(|plugin| plugin.kind == kind)
            .map(|plugin| plugin.info.name.clone())
            .collect()
    }

    pub fn list(&self) -> Vec<PluginEntry> {
        let active = self.calls.active.load();
        active
            .values()
            .map(|plugin| self.versions.entry(plugin))
            .collect()
    }

    pub fn get(&self, name: &str) -> Option<PluginEntry> {
        let plugin = self.calls.active.get(name)?;
        Some(self.versions.entry(&plugin))
    }

    /// Returns the health of the active version.
    pub fn health(&self, name: &str) -> Option<PluginHealth> {
        self.calls.active.health(name)
    }

    /// Adds the runs before this start to the health of a version that is still active. `since_ms`
    /// is the oldest moment that was read back.
    pub fn restore_health(
        &self,
        name: &str,
        digest: &str,
        since_ms: UnixMillis,
        groups: &[StoredRuns],
        last: Vec<StoredRun>,
    ) {
        let active = &self.calls.active;
        active.restore_health(name, digest, since_ms, groups, last);
    }
}

/// Changes of versions.
impl PluginHost {
    /// Sets who uses plugins, once the registry exists.
    pub fn set_in_use(&self, in_use: Box<InUse>) {
        self.versions.users.set(in_use);
    }

    /// Verifies a component and makes it the active version, or the candidate beside it.
    pub async fn install(&self, request: InstallRequest) -> Result<PluginEntry, InstallError> {
        self.versions.install(request).await
    }

    /// Goes back to the version before this one, or to the one that `to` names by its version or
    /// its digest. Returns `None` without an earlier one.
    pub async fn rollback(
        &self,
        name: &str,
        to: Option<&str>,
        by: &str,
    ) -> Result<Option<PluginEntry>, InstallError> {
        self.versions.rollback(name, to, by).await
    }

    /// Removes an installed plugin. Returns the bundled one that takes its place.
    pub async fn remove(&self, name: &str, by: &str) -> Result<Option<PluginEntry>, InstallError> {
        self.versions.remove(name, by).await
    }

    /// Makes the candidate the active version. Returns `None` without a candidate.
    pub async fn promote(&self, name: &str, by: &str) -> Result<Option<PluginEntry>, InstallError> {
        self.versions.promote(name, by).await
    }

    /// Ends the trial of the candidate. Returns false without one.
    pub async fn discard(&self, name: &str, by: &str) -> Result<bool, InstallError> {
        self.versions.discard(name, by).await
    }

    /// Takes all steps of an installation but the last. `signature` is the text of a `.minisig`
    /// file.
    pub async fn check_component(
        &self,
        bytes: Bytes,
        signature: Option<String>,
        by: &str,
    ) -> ComponentCheck {
        self.versions.check_component(bytes, signature, by).await
    }

    /// Returns the versions of a plugin that can be made active, the one used last first; `None`
    /// without such a plugin.
    pub async fn versions(&self, name: &str) -> Result<Option<Vec<VersionEntry>>, InstallError> {
        self.versions.versions(name).await
    }

    /// Returns the component of a version that is kept.
    pub async fn component(&self, name: &str, digest: &str) -> Result<Option<Bytes>, InstallError> {
        self.versions.component(name, digest).await
    }

    /// Returns whether this component ever was the active version of its plugin.
    pub async fn was_active(&self, digest: &str) -> Result<bool, String> {
        self.versions.was_active(digest).await
    }

    /// Takes the queue of versions to roll back; once in the life of a host.
    pub fn withdrawer(&self) -> Option<Withdrawer> {
        self.versions.withdrawer()
    }

    /// Pulls and verifies a version under this trust. Returns `None` when it is active already.
    pub async fn stage_pull(
        &self,
        reference: &str,
        name: &str,
        trust: &PluginTrust,
        by: &str,
    ) -> Result<Option<StagedPlugin>, InstallError> {
        self.versions.stage_pull(reference, name, trust, by).await
    }

    pub async fn check_settings_staged(
        &self,
        staged: &StagedPlugin,
        settings: &Value,
        service: Option<&ServiceFacts>,
    ) -> Result<(), Vec<Fault>> {
        self.versions
            .check_settings_staged(staged, settings, service)
            .await
    }

    /// Returns how much history a staged rule needs with these settings.
    pub async fn look_back_staged(
        &self,
        staged: &StagedPlugin,
        settings: &Value,
    ) -> Result<Duration, PluginError> {
        self.versions.look_back_staged(staged, settings).await
    }

    /// Puts policies, versions and trust into effect together. After an error everything is as it
    /// was, except that versions activated before it stay when the control store fails in between.
    pub async fn take_over(
        &self,
        policies: BTreeMap<String, PluginPolicy>,
        trust: PluginTrust,
        staged: Vec<StagedPlugin>,
    ) -> Result<(), InstallError> {
        self.versions.take_over(policies, trust, staged).await
    }
}

/// Makes the engine, with compiled code kept in the folder, for components that are trusted.
fn compiler(
    folder: &Path,
    compiling: Compiling,
    runs_memory_bytes: Option<u64>,
    trust: &Arc<Trust>,
) -> Result<(Loader, Runner), SetupError> {
    let engine = PluginEngine::start().map_err(SetupError::Engine)?;
    let path = folder.join("compiled");
    let cache = CompiledCache::open(&path).map_err(|source| SetupError::Folder { path, source })?;
    let compiler = Compiler::new(engine.engine.clone(), cache, compiling);
    let loader = Loader::new(&engine, compiler)
        .map_err(SetupError::Engine)?
        .with_trust(trust.clone());
    let memory = runs_memory_bytes.map_or_else(RunMemory::default, RunMemory::new);
    let evaluator = Evaluator::new(&folder.join("evaluator"));
    Ok((loader, Runner::new(&engine, memory, evaluator)))
}
