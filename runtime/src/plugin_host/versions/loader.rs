//! Bytes to a plugin that may be called: each step that fails says which step and why.

mod checks;

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::time::Instant;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre, Linker};

use super::trial::{RolledBack, Trial};
use crate::domain::{
    Budget, BudgetChanges, PluginInfo, PluginKind, PluginPolicy, UnixMillis, mark_faults, now_ms,
};
use crate::plugin_host::capabilities;
use crate::plugin_host::capabilities::state::{Access, RunLabel, RunState};
use crate::plugin_host::contract::bindings::{describe, notifier, probe, rule, webhook};
use crate::plugin_host::contract::convert;
use crate::plugin_host::engine::compile::{Compiler, Urgency};
use crate::plugin_host::engine::limits;
use crate::plugin_host::engine::memory::ExpectedMemory;
use crate::plugin_host::engine::pool::PluginEngine;
use crate::plugin_host::health::Health;
use crate::plugin_host::policy::grants::{Policy, PolicyOrigin, Wants};
use crate::plugin_host::policy::trust::Trust;
use crate::plugin_host::run::Runner;

pub use checks::RESERVED_NAMES;

use checks::{check_format, check_name, kind_and_imports};

pub(in crate::plugin_host) const PACKAGE: &str = "external-tracking:plugin/";

/// Largest component accepted; Python's are 18 MB.
pub const COMPONENT_BYTES: usize = 64 << 20;

/// Why a component does not become a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused at step `{step}`: {reason}")]
pub struct Refusal {
    /// `pull`, `format`, `signature`, `compile`, `world`, `imports`, `describe`, `name`, `schema`,
    /// `grants`, `pin`, `settings` or `store`; `version`, `in-use`, `bundled` or `shadow` when
    /// what was asked for makes no sense.
    pub step: &'static str,
    pub reason: String,
}

pub(in crate::plugin_host) fn refuse(step: &'static str, reason: impl Into<String>) -> Refusal {
    Refusal {
        step,
        reason: reason.into(),
    }
}

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
    /// On trial beside the active version.
    pub(in crate::plugin_host) is_candidate: bool,
    pub(in crate::plugin_host) expected_memory: Arc<ExpectedMemory>,
    pub(in crate::plugin_host) health: Health,
    /// Of a version that has just taken the place of one that worked.
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
}

impl Exports {
    fn new(kind: PluginKind, pre: &InstancePre<RunState>) -> wasmtime::Result<Self> {
        Ok(match kind {
            PluginKind::Probe => Exports::Probe(probe::ProbeIndices::new(pre)?),
            PluginKind::Rule => Exports::Rule(rule::RuleIndices::new(pre)?),
            PluginKind::Notifier => Exports::Notifier(notifier::NotifierIndices::new(pre)?),
            PluginKind::Webhook => Exports::Webhook(webhook::WebhookIndices::new(pre)?),
        })
    }

    /// Compares the types of all functions, which only an instance can: the indices say that they
    /// are there.
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

/// Who brought a version and when; for the entry.
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

pub(in crate::plugin_host) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
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

    /// Without this, any component will do.
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
        bytes: bytes::Bytes,
        provenance: Provenance,
    ) -> Result<LoadedPlugin, Refusal> {
        self.load_under(&self.trust, runner, bytes, provenance)
            .await
    }

    /// The same under a trust that may not hold yet.
    pub(in crate::plugin_host) async fn load_under(
        &self,
        trust: &Trust,
        runner: &Runner,
        bytes: bytes::Bytes,
        provenance: Provenance,
    ) -> Result<LoadedPlugin, Refusal> {
        let (digest, signed_by) = self.admit(trust, &bytes, &provenance.source).await?;
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
            refuse(
                "imports",
                format!("does not fit the host's interfaces: {error:#}"),
            )
        })?;
        let wrong_world = |error: wasmtime::Error| {
            refuse(
                "world",
                format!("does not fit world `{}`: {error:#}", kind.as_str()),
            )
        };
        let description = describe::DescribeIndices::new(&pre).map_err(wrong_world)?;
        let exports = Exports::new(kind, &pre).map_err(wrong_world)?;

        let label = RunLabel::of(limits::UNNAMED);
        // What it takes to describe itself, a run takes too.
        let expected_memory = label.expected_memory.clone();
        let mut misfit = None;
        let (described, _) = runner
            .run_under(
                describing(),
                &pre,
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
            return Err(refuse(
                "world",
                format!(
                    "does not fit world `{}`: {misfit}; build it again with the `wit/` of this program",
                    kind.as_str()
                ),
            ));
        }
        let info = described
            .map_err(|broken| refuse("describe", format!("`describe` {}", broken.reason)))?;
        let info = convert::plugin_info(info).map_err(|reason| refuse("describe", reason))?;
        check_name(&info)?;
        trust.check_pin(&info.name, &digest)?;
        let schema = jsonschema::validator_for(&info.settings_schema).map_err(|error| {
            refuse(
                "schema",
                format!("its settings schema is not a JSON Schema: {error}"),
            )
        })?;
        if let Some(fault) = mark_faults(&info.settings_schema).into_iter().next() {
            return Err(refuse(
                "schema",
                format!("its settings schema can't be kept to: {fault}"),
            ));
        }
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
        bytes: &bytes::Bytes,
    ) -> Result<(), Refusal> {
        let (digest, _) = self.admit(&self.trust, bytes, &Source::Stored).await?;
        self.compiler
            .component(bytes.clone(), &digest, Urgency::InTurn)
            .await
            .map(drop)
            .map_err(not_compiled)
    }

    /// What can be said before it is compiled: its digest, and the key that signed it.
    async fn admit(
        &self,
        trust: &Trust,
        bytes: &bytes::Bytes,
        source: &Source,
    ) -> Result<(String, Option<String>), Refusal> {
        check_format(bytes)?;
        let digest = digest(bytes);
        let signed_by = match source {
            Source::Bundled(_) => None,
            Source::Stored => trust.check_signature(bytes, &digest).await?,
        };
        Ok((digest, signed_by))
    }
}

fn not_compiled(error: crate::plugin_host::engine::compile::CompileError) -> Refusal {
    refuse("compile", error.to_string())
}

/// Nobody knows yet what it is called, and so what it may use: the memory there is, for what only
/// describes itself.
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
