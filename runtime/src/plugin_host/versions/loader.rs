//! Loads components: bytes become a plugin that may be called. A failure names its step and the
//! reason.

mod checks;

use std::sync::Arc;

use tokio::time::Instant;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre, Linker};

use super::trial::{RolledBack, Trial};
use crate::domain::{
    Budget, BudgetChanges, PluginInfo, PluginKind, PluginPolicy, UnixMillis, mark_faults, now_ms,
};
use crate::plugin_host::capabilities;
use crate::plugin_host::capabilities::access::Access;
use crate::plugin_host::capabilities::label::RunLabel;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::{describe, meter, notifier, probe, rule, webhook};
use crate::plugin_host::contract::convert;
use crate::plugin_host::engine::compile::{Compiler, Urgency};
use crate::plugin_host::engine::digest::ComponentBytes;
use crate::plugin_host::engine::limits;
use crate::plugin_host::engine::memory::ExpectedMemory;
use crate::plugin_host::engine::pool::PluginEngine;
use crate::plugin_host::health::Health;
use crate::plugin_host::policy::grants::{Policy, PolicyOrigin, Wants};
use crate::plugin_host::policy::install_error::InstallError;
use crate::plugin_host::policy::install_error::InstallStep;
use crate::plugin_host::policy::trust::Trust;
use crate::plugin_host::run::Runner;

pub use checks::RESERVED_NAMES;

use checks::{check_features, check_format, check_name, kind_and_imports};

/// Largest component accepted; Python's are 18 MB.
pub const COMPONENT_BYTES: usize = 64 << 20;

/// A verified plugin, ready to be instantiated.
pub(in crate::plugin_host) struct LoadedPlugin {
    pub(in crate::plugin_host) info: Arc<PluginInfo>,
    pub(in crate::plugin_host) kind: PluginKind,
    /// sha256 of the component, hex.
    pub(in crate::plugin_host) digest: String,
    pub(in crate::plugin_host) size: usize,
    pub(in crate::plugin_host) imports: Vec<String>,
    pub(in crate::plugin_host) source: Source,
    pub(in crate::plugin_host) since_ms: UnixMillis,
    pub(in crate::plugin_host) by: String,
    /// Id of the operator's key that signed it.
    pub(in crate::plugin_host) signed_by: Option<String>,
    pub(in crate::plugin_host) pre: InstancePre<RunState>,
    pub(in crate::plugin_host) description: describe::DescribeIndices,
    pub(in crate::plugin_host) exports: Exports,
    pub(in crate::plugin_host) schema: jsonschema::Validator,
    pub(in crate::plugin_host) name: Arc<str>,
    pub(in crate::plugin_host) wants: Arc<Wants>,
    /// A candidate on trial beside the active version.
    pub(in crate::plugin_host) is_candidate: bool,
    pub(in crate::plugin_host) expected_memory: Arc<ExpectedMemory>,
    pub(in crate::plugin_host) health: Health,
    /// The trial of a version that has just taken the place of one that worked.
    pub(in crate::plugin_host) trial: Option<Trial>,
    /// The version that was rolled back to this one by itself.
    pub(in crate::plugin_host) rolled_back: Option<RolledBack>,
}

#[derive(Clone)]
pub(in crate::plugin_host) enum Source {
    /// Part of this binary.
    Bundled(&'static [u8]),
    Stored,
}

pub(in crate::plugin_host) enum Exports {
    Probe(probe::ProbeIndices),
    Rule(rule::RuleIndices),
    Notifier(notifier::NotifierIndices),
    Webhook(webhook::WebhookIndices),
    Meter(meter::MeterIndices),
}

impl Exports {
    fn new(kind: PluginKind, pre: &InstancePre<RunState>) -> wasmtime::Result<Self> {
        Ok(match kind {
            PluginKind::Probe => Exports::Probe(probe::ProbeIndices::new(pre)?),
            PluginKind::Rule => Exports::Rule(rule::RuleIndices::new(pre)?),
            PluginKind::Notifier => Exports::Notifier(notifier::NotifierIndices::new(pre)?),
            PluginKind::Webhook => Exports::Webhook(webhook::WebhookIndices::new(pre)?),
            PluginKind::Meter => Exports::Meter(meter::MeterIndices::new(pre)?),
        })
    }

    /// Compares the types of all functions, which only an instance can: the indices show only that
    /// they exist.
    fn check_types(
        &self,
        store: &mut Store<RunState>,
        instance: &Instance,
    ) -> wasmtime::Result<()> {
        match self {
            Exports::Probe(indices) => indices.load(store, instance).map(drop),
            Exports::Rule(indices) => indices.load(store, instance).map(drop),
            Exports::Notifier(indices) => indices.load(store, instance).map(drop),
            Exports::Webhook(indices) => indices.load(store, instance).map(drop),
            Exports::Meter(indices) => indices.load(store, instance).map(drop),
        }
    }
}

impl LoadedPlugin {
    pub(in crate::plugin_host) fn label(&self, service: Option<&str>) -> RunLabel {
        RunLabel {
            plugin: self.name.clone(),
            service: service.map(str::to_owned),
            wants: self.wants.clone(),
            is_candidate: self.is_candidate,
            expected_memory: self.expected_memory.clone(),
        }
    }
}

/// Origin of a version: the actor and the moment, for the entry.
pub(in crate::plugin_host) struct Provenance {
    pub(in crate::plugin_host) source: Source,
    pub(in crate::plugin_host) since_ms: UnixMillis,
    pub(in crate::plugin_host) by: String,
}

pub(in crate::plugin_host) struct Loader {
    linker: Linker<RunState>,
    pub(in crate::plugin_host) compiler: Compiler,
    trust: Arc<Trust>,
}

impl Loader {
    pub(in crate::plugin_host) fn new(
        engine: &PluginEngine,
        compiler: Compiler,
    ) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(&engine.engine);
        capabilities::link(&mut linker)?;
        Ok(Self {
            linker,
            compiler,
            trust: Arc::default(),
        })
    }

    /// Sets the trust that components are held to; without it, any component is accepted.
    pub(in crate::plugin_host) fn with_trust(self, trust: Arc<Trust>) -> Self {
        Self { trust, ..self }
    }

    /// `progress` is called with the size of what is really compiled.
    pub(in crate::plugin_host) fn with_progress(self, progress: fn(usize)) -> Self {
        Self {
            compiler: self.compiler.with_progress(progress),
            ..self
        }
    }

    /// Compiles, checks what it exports and imports, and asks it to describe itself.
    pub(in crate::plugin_host) async fn load(
        &self,
        runner: &Runner,
        component: ComponentBytes,
        provenance: Provenance,
    ) -> Result<LoadedPlugin, InstallError> {
        self.load_under(&self.trust, runner, component, provenance)
            .await
    }

    /// The same under a trust that may not hold yet.
    pub(in crate::plugin_host) async fn load_under(
        &self,
        trust: &Trust,
        runner: &Runner,
        component: ComponentBytes,
        provenance: Provenance,
    ) -> Result<LoadedPlugin, InstallError> {
        let signed_by = self.admit(trust, &component, &provenance.source).await?;
        let ComponentBytes { bytes, digest } = component;
        let size = bytes.len();
        let urgency = match provenance.source {
            Source::Bundled(_) => Urgency::Now,
            Source::Stored => Urgency::InTurn,
        };
        let component = self
            .compiler
            .component(bytes, &digest, urgency)
            .await
            .map_err(not_compiled)?;
        let (kind, imports) = kind_and_imports(&component)?;
        let pre = self.linker.instantiate_pre(&component).map_err(|error| {
            InstallStep::Imports.error(format!("does not fit the host's interfaces: {error:#}"))
        })?;
        let wrong_world = |error: wasmtime::Error| {
            InstallStep::World.error(format!("does not fit world `{}`: {error:#}", kind.as_str()))
        };
        let description = describe::DescribeIndices::new(&pre).map_err(wrong_world)?;
        let exports = Exports::new(kind, &pre).map_err(wrong_world)?;

        let label = RunLabel::of(limits::UNNAMED);
        // What it takes to describe itself, a run takes too.
        let expected_memory = label.expected_memory.clone();
        let info = describe_itself(runner, &pre, label, kind, &exports, &description).await?;
        check_name(&info)?;
        check_features(&info)?;
        trust.check_pin(&info.name, &digest)?;
        let schema = settings_schema(&info)?;
        Ok(LoadedPlugin {
            name: info.name.as_str().into(),
            wants: Arc::new(Wants::of(&info)),
            is_candidate: false,
            expected_memory,
            health: Health::new(now_ms()),
            trial: None,
            rolled_back: None,
            info: Arc::new(info),
            kind,
            digest,
            size,
            imports,
            source: provenance.source,
            since_ms: provenance.since_ms,
            by: provenance.by,
            signed_by,
            pre,
            description,
            exports,
            schema,
        })
    }

    /// Compiles ahead of an installation, for as long as somebody waits for it: what follows finds
    /// the machine code.
    pub(in crate::plugin_host) async fn compile_ahead(
        &self,
        component: &ComponentBytes,
    ) -> Result<(), InstallError> {
        self.admit(&self.trust, component, &Source::Stored).await?;
        let ComponentBytes { bytes, digest } = component.clone();
        self.compiler
            .component(bytes, &digest, Urgency::InTurn)
            .await
            .map(drop)
            .map_err(not_compiled)
    }

    /// Checks what can be checked before compiling. Returns the key that signed the component.
    async fn admit(
        &self,
        trust: &Trust,
        component: &ComponentBytes,
        source: &Source,
    ) -> Result<Option<String>, InstallError> {
        check_format(&component.bytes)?;
        match source {
            Source::Bundled(_) => Ok(None),
            Source::Stored => trust.check_signature(component).await,
        }
    }
}

/// Has a component describe itself.
async fn describe_itself(
    runner: &Runner,
    pre: &InstancePre<RunState>,
    label: RunLabel,
    kind: PluginKind,
    exports: &Exports,
    description: &describe::DescribeIndices,
) -> Result<PluginInfo, InstallError> {
    let mut misfit = None;
    let (described, _) = runner
        .run_under(
            describing(),
            pre,
            label,
            Access::default(),
            Instant::now() + limits::DESCRIBE,
            async |store, instance| {
                let fits = exports
                    .check_types(store, instance)
                    .and_then(|()| description.load(&mut *store, instance));
                let guest = fits.inspect_err(|error| misfit = Some(format!("{error:#}")))?;
                guest
                    .external_tracking_plugin_description()
                    .call_describe(&mut *store)
                    .await
            },
        )
        .await;
    if let Some(misfit) = misfit {
        return Err(InstallStep::World.error(format!(
            "does not fit world `{}`: {misfit}; build it again with the `wit/` of this program",
            kind.as_str()
        )));
    }
    let info = described
        .map_err(|broken| InstallStep::Describe.error(format!("`describe` {}", broken.reason)))?;
    convert::plugin_info(info).map_err(|reason| InstallStep::Describe.error(reason))
}

/// Returns the validator of a plugin's settings.
fn settings_schema(info: &PluginInfo) -> Result<jsonschema::Validator, InstallError> {
    let schema = jsonschema::validator_for(&info.settings_schema).map_err(|error| {
        InstallStep::Schema.error(format!("its settings schema is not a JSON Schema: {error}"))
    })?;
    match mark_faults(&info.settings_schema).into_iter().next() {
        Some(fault) => {
            Err(InstallStep::Schema.error(format!("its settings schema can't be kept to: {fault}")))
        }
        None => Ok(schema),
    }
}

fn not_compiled(error: crate::plugin_host::engine::compile::CompileError) -> InstallError {
    InstallStep::Compile.error(error.to_string())
}

/// Policy for describing a component whose name, and so whose budget, is not known yet.
fn describing() -> Arc<Policy> {
    let budget = BudgetChanges {
        memory_bytes: Some(Budget::MAX_MEMORY_BYTES),
        cpu: Some(limits::DESCRIBE_CPU),
        ..BudgetChanges::default()
    };
    Arc::new(Policy::new(
        PolicyOrigin::Default,
        PluginPolicy {
            budget,
            ..PluginPolicy::default()
        },
    ))
}

#[cfg(test)]
mod tests;
