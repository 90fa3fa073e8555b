//! Grants of a plugin, for people: what it wants, what it is granted, and what it gets in the end.

use std::collections::BTreeMap;

use super::loader::{LoadedPlugin, Source};
use crate::domain::{Budget, BudgetKey, Capability, PluginKind, PluginPolicy, Want};
use crate::plugin_host::engine::limits;
use crate::plugin_host::policy::grants::{EffectiveGrants, PolicyOrigin, capabilities_of};

/// The grants of one plugin.
#[derive(Debug, Clone)]
pub struct PluginGrants {
    pub name: String,
    pub kind: PluginKind,
    pub origin: PolicyOrigin,
    /// The operator's word.
    pub policy: PluginPolicy,
    pub wants: Vec<Want>,
    /// Capabilities that its imports need, granted or not.
    pub imports: Vec<Capability>,
    /// Hosts beyond its service's and those its settings name.
    pub hosts: Vec<String>,
    /// `None`: all of its service.
    pub credentials: Option<Vec<String>>,
    /// `None`: all.
    pub methods: Option<Vec<String>>,
    pub capabilities: Vec<Capability>,
    pub budget: Budget,
    /// Wants that are not granted.
    pub missing: Vec<Missing>,
}

/// A want that is not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub want: Want,
    /// The setting that would grant it.
    pub setting: String,
}

impl PluginGrants {
    pub(in crate::plugin_host) fn of(plugin: &LoadedPlugin, grants: &EffectiveGrants) -> Self {
        let policy = grants.policy();
        let imports: Vec<Capability> = capabilities_of(&plugin.imports).collect();
        let mut budget = policy.budget.clone();
        budget.wall_clock = budget.wall_clock.or(match plugin.kind {
            PluginKind::Probe => None,
            PluginKind::Rule => Some(limits::EVALUATE),
            PluginKind::Notifier => Some(limits::NOTIFY),
            PluginKind::Webhook => Some(limits::RECEIVE),
            PluginKind::Meter => Some(limits::READ),
        });
        Self {
            name: plugin.info.name.clone(),
            kind: plugin.kind,
            origin: policy.origin,
            policy: policy.written.clone(),
            wants: plugin.info.wants.clone(),
            hosts: grants.hosts().iter().map(ToString::to_string).collect(),
            credentials: credentials(plugin, grants),
            methods: policy.written.grants.methods.clone(),
            capabilities: imports
                .iter()
                .copied()
                .filter(|one| grants.capability(*one).is_ok())
                .collect(),
            missing: missing(plugin, grants, &imports),
            imports,
            budget,
        }
    }

    /// Returns the budget by the names of `plugins.yaml`, as people write them.
    pub fn budget_shown(&self) -> BTreeMap<&'static str, String> {
        BudgetKey::ALL
            .into_iter()
            .map(|key| (key.as_str(), self.budget.shown(key)))
            .collect()
    }
}

/// Only probes and meters use credentials of a service.
fn credentials(plugin: &LoadedPlugin, grants: &EffectiveGrants) -> Option<Vec<String>> {
    if !matches!(plugin.kind, PluginKind::Probe | PluginKind::Meter) {
        return Some(Vec::new());
    }
    let (granted, wanted) = (
        &grants.policy().written.grants.credentials,
        &grants.wants.credentials,
    );
    let named = granted.as_ref().or(wanted.as_ref())?;
    Some(
        named
            .iter()
            .filter(|name| grants.credential(name).is_ok())
            .cloned()
            .collect(),
    )
}

fn missing(
    plugin: &LoadedPlugin,
    grants: &EffectiveGrants,
    imports: &[Capability],
) -> Vec<Missing> {
    let missing = |want: Want, key: &str| Missing {
        want,
        setting: format!("plugins.{}.{key}", plugin.info.name),
    };
    let reached = grants.hosts();
    let is_bundled = matches!(plugin.source, Source::Bundled(_));
    let hosts = grants.wants.hosts.iter().filter(|wanted| {
        // Of a pattern, some is enough: which of its hosts are needed can't be known. A bundled
        // plugin needs none of them by itself.
        let is_optional = is_bundled && wanted.is_every_host();
        !is_optional
            && !reached
                .iter()
                .any(|rule| rule.intersection(wanted).is_some())
    });
    let hosts = hosts.map(|host| missing(Want::Host(host.to_string()), "grants.hosts"));
    let wanted = grants.wants.credentials.iter().flatten();
    let credentials = wanted.filter(|name| grants.credential(name).is_err());
    let credentials =
        credentials.map(|name| missing(Want::Credential(name.clone()), "grants.credentials"));
    let withheld = imports
        .iter()
        .filter(|one| grants.capability(**one).is_err());
    let withheld = withheld.map(|one| {
        missing(
            Want::Capability(one.as_str().to_owned()),
            "grants.capabilities",
        )
    });
    hosts.chain(credentials).chain(withheld).collect()
}
