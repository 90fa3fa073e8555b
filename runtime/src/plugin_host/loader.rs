//! Bytes to a plugin that may be called: each step that fails says which step and why.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::time::Instant;
use wasmtime::component::{Component, InstancePre, Linker};

use super::bindings::{describe, notifier, probe, rule, webhook};
use super::cache::CompiledCache;
use super::capabilities;
use super::convert;
use super::engine::PluginEngine;
use super::grants::{Policy, PolicyOrigin, Wants};
use super::health::Health;
use super::limits;
use super::run::Runner;
use super::state::{Access, RunLabel, RunState};
use super::trust::Trust;
use crate::domain::{Budget, BudgetChanges, PluginInfo, PluginKind, PluginPolicy, UnixMillis, mark_faults, now_ms};

pub(super) const PACKAGE: &str = "external-tracking:plugin/";

/// Largest component accepted; Python's are 18 MB.
pub const COMPONENT_BYTES: usize = 64 << 20;

/// Why a component does not become a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused at step `{step}`: {reason}")]
pub struct Refusal {
    /// `pull`, `format`, `signature`, `compile`, `world`, `imports`, `describe`, `name`, `schema`, `grants`, `pin`, `settings` or
    /// `store`; `version`, `in-use`, `bundled` or `shadow` when what was asked for makes no sense.
    pub step: &'static str,
    pub reason: String,
}

pub(super) fn refuse(step: &'static str, reason: impl Into<String>) -> Refusal {
    Refusal { step, reason: reason.into() }
}

/// A verified plugin, ready to be instantiated.
pub(super) struct LoadedPlugin {
    pub(super) info: Arc<PluginInfo>,
    pub(super) kind: PluginKind,
    /// sha256 of the component, hex.
    pub(super) digest: String,
    pub(super) size: usize,
    pub(super) imports: Vec<String>,
    pub(super) source: Source,
    pub(super) since_ms: UnixMillis,
    pub(super) by: String,
    /// Id of the operator's key that signed it.
    pub(super) signed_by: Option<String>,
    pub(super) pre: InstancePre<RunState>,
    pub(super) description: describe::DescribeIndices,
    pub(super) exports: Exports,
    pub(super) schema: jsonschema::Validator,
    pub(super) name: Arc<str>,
    pub(super) wants: Arc<Wants>,
    /// On trial beside the active version.
    pub(super) is_candidate: bool,
    pub(super) health: Health,
}

#[derive(Clone)]
pub(super) enum Source {
    /// Part of this binary.
    Bundled(&'static [u8]),
    Stored,
}

pub(super) enum Exports {
    Probe(probe::ProbeIndices),
    Rule(rule::RuleIndices),
    Notifier(notifier::NotifierIndices),
    Webhook(webhook::WebhookIndices),
}

impl LoadedPlugin {
    pub(super) fn label(&self, service: Option<&str>) -> RunLabel {
        RunLabel {
            plugin: self.name.clone(),
            service: service.map(str::to_owned),
            wants: self.wants.clone(),
            is_candidate: self.is_candidate,
        }
    }
}

/// Who brought a version and when; for the entry.
pub(super) struct Provenance {
    pub(super) source: Source,
    pub(super) since_ms: UnixMillis,
    pub(super) by: String,
}

pub(super) struct Loader {
    pub(super) engine: wasmtime::Engine,
    linker: Linker<RunState>,
    cache: Arc<CompiledCache>,
    trust: Arc<Trust>,
}

pub(super) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl Loader {
    pub(super) fn new(engine: &PluginEngine, cache: CompiledCache) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(&engine.engine);
        capabilities::link(&mut linker)?;
        Ok(Self { engine: engine.engine.clone(), linker, cache: Arc::new(cache), trust: Arc::default() })
    }

    /// Without this, any component will do.
    pub(super) fn with_trust(self, trust: Arc<Trust>) -> Self {
        Self { trust, ..self }
    }

    /// Compiles, checks what it exports and imports, and asks it to describe itself.
    pub(super) async fn load(
        &self,
        runner: &Runner,
        bytes: bytes::Bytes,
        provenance: Provenance,
    ) -> Result<LoadedPlugin, Refusal> {
        self.load_under(&self.trust, runner, bytes, provenance).await
    }

    /// The same under a trust that may not hold yet.
    pub(super) async fn load_under(
        &self,
        trust: &Trust,
        runner: &Runner,
        bytes: bytes::Bytes,
        provenance: Provenance,
    ) -> Result<LoadedPlugin, Refusal> {
        check_format(&bytes)?;
        let digest = digest(&bytes);
        let size = bytes.len();
        let signed_by = match provenance.source {
            Source::Bundled(_) => None,
            Source::Stored => trust.check_signature(&bytes, &digest).await?,
        };
        let component = self.compile(bytes, digest.clone()).await?;
        let (kind, imports) = kind_and_imports(&component)?;
        let pre = self
            .linker
            .instantiate_pre(&component)
            .map_err(|error| refuse("imports", format!("does not fit the host's interfaces: {error:#}")))?;
        let wrong_world =
            |error: wasmtime::Error| refuse("world", format!("does not fit world `{}`: {error:#}", kind.as_str()));
        let description = describe::DescribeIndices::new(&pre).map_err(wrong_world)?;
        let exports = match kind {
            PluginKind::Probe => Exports::Probe(probe::ProbeIndices::new(&pre).map_err(wrong_world)?),
            PluginKind::Rule => Exports::Rule(rule::RuleIndices::new(&pre).map_err(wrong_world)?),
            PluginKind::Notifier => Exports::Notifier(notifier::NotifierIndices::new(&pre).map_err(wrong_world)?),
            PluginKind::Webhook => Exports::Webhook(webhook::WebhookIndices::new(&pre).map_err(wrong_world)?),
        };

        let label = RunLabel::of("new plugin");
        let (described, _) = runner
            .run_under(
                describing(),
                &pre,
                label,
                Access::default(),
                Instant::now() + limits::DESCRIBE,
                async |store, instance| {
                    let guest = description.load(&mut *store, instance)?;
                    guest.external_tracking_plugin_description().call_describe(&mut *store).await
                },
            )
            .await;
        let info = described.map_err(|broken| refuse("describe", format!("`describe` {}", broken.reason)))?;
        let info = convert::plugin_info(info).map_err(|reason| refuse("describe", reason))?;
        check_name(&info)?;
        trust.check_pin(&info.name, &digest)?;
        let schema = jsonschema::validator_for(&info.settings_schema)
            .map_err(|error| refuse("schema", format!("its settings schema is not a JSON Schema: {error}")))?;
        if let Some(fault) = mark_faults(&info.settings_schema).into_iter().next() {
            return Err(refuse("schema", format!("its settings schema can't be kept to: {fault}")));
        }
        Ok(LoadedPlugin {
            name: info.name.as_str().into(),
            wants: Arc::new(Wants::of(&info)),
            is_candidate: false,
            health: Health::new(now_ms()),
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

    /// Its compiled code is not needed any more.
    pub(super) async fn forget(&self, digest: &str) {
        let (cache, digest) = (self.cache.clone(), digest.to_owned());
        let _ = tokio::task::spawn_blocking(move || cache.forget(&digest)).await;
    }

    async fn compile(&self, bytes: bytes::Bytes, digest: String) -> Result<Component, Refusal> {
        let (engine, cache) = (self.engine.clone(), self.cache.clone());
        tokio::task::spawn_blocking(move || cache.component(&engine, &digest, &bytes))
            .await
            .map_err(|_| refuse("compile", "the compiler gave up on it"))?
            .map_err(|error| refuse("compile", format!("is not a valid component: {error:#}")))
    }
}

/// Nobody knows yet what it is called, and so what it may use: the memory there is, for what only describes itself.
fn describing() -> Arc<Policy> {
    let budget = BudgetChanges { memory_bytes: Some(Budget::MAX_MEMORY_BYTES), ..BudgetChanges::default() };
    Arc::new(Policy::new(PolicyOrigin::Default, PluginPolicy { budget, ..PluginPolicy::default() }))
}

fn check_format(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.len() > COMPONENT_BYTES {
        return Err(refuse("format", format!("is larger than {} MiB", COMPONENT_BYTES >> 20)));
    }
    match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => Ok(()),
        Some(b"\0asm\x01\0\0\0") => Err(refuse(
            "format",
            "is a core WebAssembly module, not a component; turn it into one with `wasm-tools component new`",
        )),
        _ => Err(refuse("format", "is not WebAssembly: the first eight bytes are not those of a component")),
    }
}

/// The kind is what it exports; the imports have to be those of that kind.
fn kind_and_imports(component: &Component) -> Result<(PluginKind, Vec<String>), Refusal> {
    let types = component.component_type();
    let engine = component.engine();
    let interface = |name: &str| {
        let name = name.strip_prefix(PACKAGE)?;
        Some(name.split('@').next().unwrap_or(name).to_owned())
    };
    let exported: Vec<String> = types.exports(engine).filter_map(|(name, _)| interface(name)).collect();
    let has = |name: &str| exported.iter().any(|export| export == name);
    let kinds = [
        ("probes", PluginKind::Probe),
        ("rules", PluginKind::Rule),
        ("notifiers", PluginKind::Notifier),
        ("webhooks", PluginKind::Webhook),
    ];
    let found: Vec<PluginKind> = kinds.into_iter().filter(|(name, _)| has(name)).map(|(_, kind)| kind).collect();
    let [kind] = found[..] else {
        return Err(refuse(
            "world",
            format!(
                "has to export exactly one of `{PACKAGE}probes`, `rules`, `notifiers` or `webhooks`; it exports {}",
                if exported.is_empty() { "none of our interfaces".to_owned() } else { exported.join(", ") }
            ),
        ));
    };
    if !has("description") {
        return Err(refuse("world", format!("does not export `{PACKAGE}description`")));
    }
    let imports: Vec<String> = types.imports(engine).map(|(name, _)| name.to_owned()).collect();
    let allowed = capabilities::allowed(kind);
    let unknown: Vec<&str> = imports
        .iter()
        .filter(|name| match interface(name) {
            Some(interface) => !allowed.contains(&interface.as_str()),
            None => !is_wasi(name),
        })
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() {
        return Err(refuse(
            "imports",
            format!(
                "imports `{}`, which a {} is not offered; offered are {} and WASI 0.2 ({})",
                unknown.join("`, `"),
                kind.as_str(),
                allowed.join(", "),
                capabilities::wasi::PACKAGES.join(", ")
            ),
        ));
    }
    if !allowed.contains(&"http")
        && let Some(http) = imports.iter().find(|name| name.starts_with("wasi:http/"))
    {
        return Err(refuse(
            "imports",
            format!(
                "imports `{http}`, and a {} has no network; leave it out when building, e.g. `disableFeatures: [\"http\", \
                 \"fetch-event\"]` for componentize-js",
                kind.as_str()
            ),
        ));
    }
    Ok((kind, imports))
}

/// `wasi:io/streams@0.2.6`: a package that is linked, in any version 0.2.
fn is_wasi(import: &str) -> bool {
    let Some((interface, version)) = import.split_once('@') else { return false };
    let package = interface.split('/').next().unwrap_or(interface);
    let patch = version.strip_prefix("0.2.").unwrap_or_default();
    capabilities::wasi::PACKAGES.contains(&package) && patch.parse::<u32>().is_ok()
}

/// Words of the API's routes, beside the names of plugins.
pub const RESERVED_NAMES: [&str; 2] = ["check", "pull"];

/// Names become file names, routes and words in SQL.
fn check_name(info: &PluginInfo) -> Result<(), Refusal> {
    let word = |text: &str, extra: &str| {
        !text.is_empty()
            && text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || extra.contains(c))
    };
    if !word(&info.name, "-_") {
        return Err(refuse(
            "name",
            format!(
                "`{}` is not a plugin name; use lower case letters, digits, `-` and `_`, at most 64",
                cut(&info.name)
            ),
        ));
    }
    if RESERVED_NAMES.contains(&info.name.as_str()) {
        return Err(refuse("name", format!("`{}` can't be the name of a plugin, it is part of the API", info.name)));
    }
    if !word(&info.version.to_lowercase(), "-_.+") {
        return Err(refuse("name", format!("`{}` is not a version; write e.g. `1.0.0`", cut(&info.version))));
    }
    Ok(())
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wasi_is_known_by_package_and_version() {
        for (import, wanted) in [
            ("wasi:io/streams@0.2.0", true),
            ("wasi:http/outgoing-handler@0.2.10", true),
            ("wasi:cli/environment@0.3.0", false),
            ("wasi:http/types@0.2.0-rc-2023-11-10", false),
            ("wasi:keyvalue/store@0.2.0", false),
            ("wasi:iota/streams@0.2.0", false),
            ("wasi:io/streams", false),
        ] {
            assert_eq!(is_wasi(import), wanted, "{import}");
        }
    }
}
