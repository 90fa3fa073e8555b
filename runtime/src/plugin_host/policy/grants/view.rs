//! What a plugin may do, for people: what it wants, what it is granted, and what it gets in the
//! end.

use std::collections::BTreeMap;

use super::{Allowance, PolicyOrigin, capabilities_of};
use crate::domain::{Budget, BudgetKey, Capability, PluginKind, PluginPolicy, Want};
use crate::plugin_host::PluginHost;
use crate::plugin_host::engine::limits;
use crate::plugin_host::versions::loader::{LoadedPlugin, Source};

/// The grants of one plugin.
#[derive(Debug, Clone)]
pub struct PluginGrants {
    pub name: String,
    pub kind: PluginKind,
    pub origin: PolicyOrigin,
    /// The operator's word.
    pub policy: PluginPolicy,
    pub wants: Vec<Want>,
    /// What its imports can reach the world with, granted or not.
    pub imports: Vec<Capability>,
    /// Beyond its service's host and those its settings name.
    pub hosts: Vec<String>,
    /// None: all of its service.
    pub credentials: Option<Vec<String>>,
    /// None: all.
    pub methods: Option<Vec<String>>,
    pub capabilities: Vec<Capability>,
    pub budget: Budget,
    /// What it wants and does not get.
    pub missing: Vec<Missing>,
}

/// Something wanted and not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub want: Want,
    /// The setting that would grant it.
    pub setting: String,
}

impl PluginGrants {
    /// By the names of `plugins.yaml`, as people write them.
    pub fn budget_shown(&self) -> BTreeMap<&'static str, String> {
        BudgetKey::ALL
            .into_iter()
            .map(|key| (key.as_str(), self.budget.shown(key)))
            .collect()
    }
}

impl PluginHost {
    /// What the file says, of all plugins. Holds from the next run on.
    pub fn set_file_policies(&self, policies: BTreeMap<String, PluginPolicy>) {
        self.shared.runner.policies.set_file(policies);
    }

    /// What was said over the API; the file goes before it. None: the defaults again.
    pub fn set_api_policy(&self, name: &str, policy: Option<PluginPolicy>) {
        self.shared.runner.policies.set_api(name, policy);
    }

    /// None: there is no such plugin.
    pub fn grants(&self, name: &str) -> Option<PluginGrants> {
        let plugin = self.shared.active.load().get(name).cloned()?;
        Some(grants(&plugin, &self.allowance(&plugin)))
    }

    pub(in crate::plugin_host) fn allowance(&self, plugin: &LoadedPlugin) -> Allowance {
        let policy = self.shared.runner.policies.of(&plugin.name);
        Allowance::new(plugin.name.clone(), plugin.wants.clone(), policy)
    }
}

pub(in crate::plugin_host) fn grants(plugin: &LoadedPlugin, allowance: &Allowance) -> PluginGrants {
    let policy = allowance.policy();
    let imports: Vec<Capability> = capabilities_of(&plugin.imports).collect();
    let mut budget = policy.budget.clone();
    budget.wall_clock = budget.wall_clock.or(match plugin.kind {
        PluginKind::Probe => None,
        PluginKind::Rule => Some(limits::EVALUATE),
        PluginKind::Notifier => Some(limits::NOTIFY),
        PluginKind::Webhook => Some(limits::RECEIVE),
    });
    PluginGrants {
        name: plugin.info.name.clone(),
        kind: plugin.kind,
        origin: policy.origin,
        policy: policy.written.clone(),
        wants: plugin.info.wants.clone(),
        hosts: allowance.hosts().iter().map(ToString::to_string).collect(),
        credentials: credentials(plugin, allowance),
        methods: policy.written.grants.methods.clone(),
        capabilities: imports
            .iter()
            .copied()
            .filter(|one| allowance.capability(*one).is_ok())
            .collect(),
        missing: missing(plugin, allowance, &imports),
        imports,
        budget,
    }
}

/// Only probes run for a service.
fn credentials(plugin: &LoadedPlugin, allowance: &Allowance) -> Option<Vec<String>> {
    if plugin.kind != PluginKind::Probe {
        return Some(Vec::new());
    }
    let (granted, wanted) = (
        &allowance.policy().written.grants.credentials,
        &allowance.wants.credentials,
    );
    let named = granted.as_ref().or(wanted.as_ref())?;
    Some(
        named
            .iter()
            .filter(|name| allowance.credential(name).is_ok())
            .cloned()
            .collect(),
    )
}

fn missing(plugin: &LoadedPlugin, allowance: &Allowance, imports: &[Capability]) -> Vec<Missing> {
    let missing = |want: Want, key: &str| Missing {
        want,
        setting: format!("plugins.{}.{key}", plugin.info.name),
    };
    let reached = allowance.hosts();
    let is_bundled = matches!(plugin.source, Source::Bundled(_));
    let hosts = allowance.wants.hosts.iter().filter(|wanted| {
        // Of a pattern, some is enough: which of its hosts are needed can't be known. A bundled
        // plugin needs none of them by itself.
        let is_optional = is_bundled && wanted.is_every_host();
        !is_optional
            && !reached
                .iter()
                .any(|rule| rule.intersection(wanted).is_some())
    });
    let hosts = hosts.map(|host| missing(Want::Host(host.to_string()), "grants.hosts"));
    let wanted = allowance.wants.credentials.iter().flatten();
    let credentials = wanted.filter(|name| allowance.credential(name).is_err());
    let credentials =
        credentials.map(|name| missing(Want::Credential(name.clone()), "grants.credentials"));
    let withheld = imports
        .iter()
        .filter(|one| allowance.capability(**one).is_err());
    let withheld = withheld.map(|one| {
        missing(
            Want::Capability(one.as_str().to_owned()),
            "grants.capabilities",
        )
    });
    hosts.chain(credentials).chain(withheld).collect()
}
