//! The alert that is there without a word in the files: a plugin is failing. It looks at plugins instead of services, at each
//! one that is in use. An entry of `alerts.yaml` by its name takes its place.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::compile::{Compiler, RuleDraft, SharedRule};
use super::fault::child;
use super::spec::AlertSpec;
use crate::domain::{Catalog, Channel, Life, Severity};

pub(super) const NAME: &str = "Plugin failing";

/// The rule plugin of the built-in alert.
const RULE: &str = "condition";

/// A plugin's own observations carry an error exactly while it is failing, and the rule shows what it names.
const CONDITION: &str = "error != null";

/// In force, with the channels it names itself; none where it is switched off.
#[derive(Default)]
pub(super) struct PluginAlert {
    pub(super) draft: Option<RuleDraft>,
    pub(super) channels: Vec<Arc<Channel>>,
}

impl PluginAlert {
    pub(super) fn built_in() -> Self {
        let draft = RuleDraft {
            name: NAME.to_owned(),
            plugin: RULE.to_owned(),
            settings: json!({ RULE: CONDITION }),
            probes: None,
            duration: Duration::ZERO,
            // A plugin that fails now and then fails.
            life: Life::default(),
            escalation: None,
            severity: Severity::Warning,
            channels: None,
            look_back: None,
        };
        Self { draft: Some(draft), channels: Vec::new() }
    }

    /// As an entry of `alerts.yaml` wants it; what it leaves open stays as built in.
    pub(super) async fn compile(compiler: &mut Compiler<'_>, spec: &AlertSpec, at: &str) -> Option<Self> {
        for (key, is_given) in [
            ("services", spec.services.is_some()),
            ("tags", spec.tags.is_some()),
            ("types", spec.types.is_some()),
            ("where", spec.filter.is_some()),
            ("probes", spec.probes.is_some()),
        ] {
            if is_given {
                let message = format!("`{NAME}` looks at plugins, not at services; leave this out");
                compiler.report.fault(child(at, key), message);
            }
        }
        let mut spec = spec.clone();
        if spec.plugin.is_none() && spec.template.template.is_none() && !spec.settings.0.contains_key(RULE) {
            spec.settings.0.insert(RULE.to_owned(), CONDITION.into());
        }
        let disabled = spec.disabled;
        let SharedRule { draft, channels, .. } = compiler.shared_rule(&spec, at).await?;
        Some(Self { draft: (!disabled).then_some(draft), channels })
    }
}

/// Every plugin that something in the catalog runs.
pub(super) fn plugins_in_use(catalog: &Catalog) -> BTreeSet<String> {
    let probes = catalog.services.values().flat_map(|service| &service.probes).map(|probe| &probe.plugin);
    let rules = catalog.rules.values().flatten().map(|rule| &rule.plugin);
    let notifiers = catalog.channels.values().map(|channel| &channel.plugin);
    let webhooks = catalog.services.values().flat_map(|service| &service.webhooks).map(|webhook| &webhook.plugin);
    let names: BTreeSet<&String> = probes.chain(rules).chain(notifiers).chain(webhooks).collect();
    names.into_iter().cloned().collect()
}
