//! Built-in alerts: one for each plugin in use, for when it fails; one for the monitor that is
//! offline, where targets are configured; one for damaged files of the archive, where there is one;
//! and one for credentials that end, where one is known to. They look at plugins and at the monitor
//! instead of services. An entry of `alerts.yaml` of
//! the same name takes the place of one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::compile::{Compiler, RuleDraft, SharedRule};
use crate::domain::fault::child;
use crate::domain::{AlertOptions, Catalog, Channel, Severity};
use crate::spec::AlertSpec;

/// One of them, as it is without an entry.
pub(super) struct Kind {
    pub(super) name: &'static str,
    severity: Severity,
    /// Text for people in the place of the services.
    looks_at: &'static str,
}

const PLUGIN_FAILING: Kind = Kind {
    name: "Plugin failing",
    severity: Severity::Warning,
    looks_at: "plugins",
};

pub(super) const MONITOR_OFFLINE: Kind = Kind {
    name: "Monitor offline",
    severity: Severity::Critical,
    looks_at: "the monitor",
};

const ARCHIVE_DAMAGED: Kind = Kind {
    name: "Archive damaged",
    severity: Severity::Warning,
    looks_at: "the archive",
};

const CREDENTIAL_EXPIRING: Kind = Kind {
    name: "Credential expiring",
    severity: Severity::Warning,
    looks_at: "credentials",
};

/// The rule plugin of the built-in alerts.
const RULE: &str = "condition";

/// The observations carry an error exactly while the plugin is failing, the monitor offline or the
/// archive damaged, or a credential about to end, and the rule shows what it names.
const CONDITION: &str = "error != null";

/// The built-in alerts in force.
#[derive(Default)]
pub(super) struct BuiltInAlerts {
    pub(super) plugin: BuiltInAlert,
    pub(super) offline: BuiltInAlert,
    pub(super) archive: BuiltInAlert,
    pub(super) credentials: BuiltInAlert,
}

impl BuiltInAlerts {
    pub(super) fn new() -> Self {
        Self {
            plugin: BuiltInAlert::new(&PLUGIN_FAILING),
            offline: BuiltInAlert::new(&MONITOR_OFFLINE),
            archive: BuiltInAlert::new(&ARCHIVE_DAMAGED),
            credentials: BuiltInAlert::new(&CREDENTIAL_EXPIRING),
        }
    }

    /// Returns the alert that an entry of this name takes the place of.
    pub(super) fn named(&mut self, name: &str) -> Option<(&'static Kind, &mut BuiltInAlert)> {
        [
            (&PLUGIN_FAILING, &mut self.plugin),
            (&MONITOR_OFFLINE, &mut self.offline),
            (&ARCHIVE_DAMAGED, &mut self.archive),
            (&CREDENTIAL_EXPIRING, &mut self.credentials),
        ]
        .into_iter()
        .find(|(kind, _)| kind.name == name)
    }

    /// Returns the channels that they name themselves.
    pub(super) fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        [
            &self.plugin,
            &self.offline,
            &self.archive,
            &self.credentials,
        ]
        .into_iter()
        .flat_map(|alert| &alert.channels)
    }
}

/// Built-in alert in force, with the channels it names itself; none where it is switched off.
#[derive(Default)]
pub(super) struct BuiltInAlert {
    pub(super) draft: Option<RuleDraft>,
    pub(super) channels: Vec<Arc<Channel>>,
}

impl BuiltInAlert {
    pub(super) fn new(kind: &Kind) -> Self {
        let draft = RuleDraft {
            name: kind.name.to_owned(),
            plugin: RULE.to_owned(),
            settings: json!({ RULE: CONDITION }),
            probes: None,
            duration: Duration::ZERO,
            // What fails now and then fails.
            options: AlertOptions::default(),
            escalation: None,
            severity: kind.severity,
            channels: None,
            look_back: None,
        };
        Self {
            draft: Some(draft),
            channels: Vec::new(),
        }
    }

    /// Compiles the alert as an entry of `alerts.yaml` wants it; what the entry leaves open stays
    /// as built in.
    pub(super) async fn compile(
        kind: &Kind,
        compiler: &mut Compiler<'_>,
        spec: &AlertSpec,
        at: &str,
    ) -> Option<Self> {
        for (key, is_given) in [
            ("services", spec.services.is_some()),
            ("tags", spec.tags.is_some()),
            ("types", spec.types.is_some()),
            ("where", spec.filter.is_some()),
            ("probes", spec.probes.is_some()),
        ] {
            if is_given {
                let message = format!(
                    "`{}` looks at {}, not at services; leave this out",
                    kind.name, kind.looks_at
                );
                compiler.report.fault(child(at, key), message);
            }
        }
        let mut spec = spec.clone();
        if spec.plugin.is_none()
            && spec.template.template.is_none()
            && !spec.settings.0.contains_key(RULE)
        {
            spec.settings.0.insert(RULE.to_owned(), CONDITION.into());
        }
        let disabled = spec.disabled;
        let SharedRule {
            draft, channels, ..
        } = compiler.shared_rule(&spec, at).await?;
        Some(Self {
            draft: (!disabled).then_some(draft),
            channels,
        })
    }
}

/// Every plugin that something in the catalog runs.
pub(super) fn plugins_in_use(catalog: &Catalog) -> BTreeSet<String> {
    let probes = catalog
        .services
        .values()
        .flat_map(|service| service.probes.iter().map(move |probe| (service, probe)))
        .filter(|(service, probe)| !catalog.is_heartbeat(&service.slug, &probe.name))
        .map(|(_, probe)| &probe.plugin);
    let rules = catalog.rules.values().flatten().map(|rule| &rule.plugin);
    let notifiers = catalog.channels.values().map(|channel| &channel.plugin);
    let webhooks = catalog
        .services
        .values()
        .flat_map(|service| &service.webhooks)
        .map(|webhook| &webhook.plugin);
    let meters = catalog
        .services
        .values()
        .flat_map(|service| &service.meters)
        .map(|meter| &meter.plugin);
    let names: BTreeSet<&String> = probes
        .chain(rules)
        .chain(notifiers)
        .chain(webhooks)
        .chain(meters)
        .collect();
    names.into_iter().cloned().collect()
}
