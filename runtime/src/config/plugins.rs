//! `plugins.yaml`: what each plugin may do. The file is optional, and so is everything in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::PLUGINS;
use super::document::Document;
use super::secret_command::{self, COMMANDS};
use super::secret_file::{self, Slot, Sources};
use crate::domain::fault::{FaultReport, child};
use crate::domain::{Fault, PluginKind, PluginPolicy, PluginTrust};
use crate::registry::{PluginDirectory, plugin_policies, plugin_trust};
use crate::spec::{PluginSpec, TrustSpec, prune_and_parse};

const AT: &str = "/plugins";
const TRUST_AT: &str = "/trust";

/// Content of `plugins.yaml`, by the names of the plugins.
#[derive(Debug, Clone, Default)]
pub struct PluginsConfig {
    /// Policies of the plugins whose grants or budget the file sets.
    pub policies: BTreeMap<String, PluginPolicy>,
    pub trust: PluginTrust,
    /// All that have an entry.
    named: BTreeSet<String>,
}

/// `structure` holds the faults of keys and types, which the entries are pruned by. Answers with
/// those of the values.
pub(super) fn read(
    document: &Document,
    config_dir: &Path,
    structure: &mut FaultReport,
) -> (PluginsConfig, FaultReport) {
    let entries = document
        .value
        .get("plugins")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let mut specs: BTreeMap<String, PluginSpec> = BTreeMap::new();
    for (name, entry) in entries {
        if let Some(spec) = prune_and_parse(entry, &child(AT, &name), structure) {
            specs.insert(name, spec);
        }
    }
    let mut judged = FaultReport::default();
    let policies = plugin_policies(&specs, AT, &mut judged);
    let mut trust: TrustSpec = match document.value.get("trust") {
        Some(value) => prune_and_parse(value.clone(), TRUST_AT, structure).unwrap_or_default(),
        None => TrustSpec::default(),
    };
    let sources = Sources {
        folder: config_dir,
        file: PLUGINS,
        commands: Some(&COMMANDS),
    };
    let commands = trust.registries.values();
    let commands = commands.filter_map(|registry| registry.password_command.as_ref());
    secret_command::run_all(commands, sources);
    for (host, registry) in &mut trust.registries {
        let at = child(&child(TRUST_AT, "registries"), host);
        let mut slot = Slot {
            key: "password",
            secret: &mut registry.password,
            file: &mut registry.password_file,
            command: &mut registry.password_command,
        };
        secret_file::resolve_one(&mut slot, &at, sources, &mut judged);
    }
    judged.next_stage();
    let trust = plugin_trust(&specs, AT, &trust, TRUST_AT, &mut judged);
    (
        PluginsConfig {
            policies,
            trust,
            named: specs.into_keys().collect(),
        },
        judged,
    )
}

impl PluginsConfig {
    /// Entries for plugins that are not there: they may come later.
    pub(super) fn unknown(&self, directory: &dyn PluginDirectory) -> impl Iterator<Item = Fault> {
        let known = |name: &str| {
            PluginKind::ALL
                .into_iter()
                .any(|kind| directory.info(kind, name).is_some())
        };
        let missing = self.named.iter().filter(move |name| !known(name));
        missing.map(|name| Fault::at_key(child(AT, name), "there is no plugin of this name yet"))
    }
}
