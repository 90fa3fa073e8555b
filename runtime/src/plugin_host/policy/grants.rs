//! Grants of plugins: what they want, as far as the operator allows it. Policies come from
//! `plugins.yaml` or over the API, and hold from the next run on; each run keeps the one it began
//! with.

mod policies;

use std::sync::Arc;

use crate::domain::size::format_size;
use crate::domain::{Budget, Capability, PluginInfo, PluginPolicy, Want};
use crate::net::{HostRule, NetFailure, Permission};
use crate::plugin_host::contract::bindings::PACKAGE;
use crate::plugin_host::engine::limits;
use crate::plugin_host::engine::limits::{Exceeded, Limit};
use crate::plugin_host::policy::install_error::{InstallError, InstallStep};

pub use policies::PolicyOrigin;
pub(in crate::plugin_host) use policies::{Policies, Policy};

/// The `wants` of a plugin, read once when it is loaded.
#[derive(Debug, Default)]
pub(in crate::plugin_host) struct Wants {
    pub(in crate::plugin_host) hosts: Vec<HostRule>,
    /// `None`: it names no credential, and takes what it is allowed.
    pub(in crate::plugin_host) credentials: Option<Vec<String>>,
}

impl Wants {
    pub(in crate::plugin_host) fn of(info: &PluginInfo) -> Self {
        let mut wants = Self::default();
        for want in &info.wants {
            match want {
                Want::Host(host) => match HostRule::pattern(host) {
                    Ok(rule) => wants.hosts.push(rule),
                    Err(error) => {
                        tracing::warn!(plugin = info.name, host, %error, "a plugin wants a host that is none; ignored");
                    }
                },
                Want::Credential(name) => {
                    wants.credentials.get_or_insert_default().push(name.clone())
                }
                // Its imports show the same, and can't be forgotten.
                Want::Capability(_) | Want::Feature(_) => {}
            }
        }
        wants
    }
}

/// Grants of one run of a plugin: its wants under the operator's policy.
#[derive(Debug, Clone)]
pub(in crate::plugin_host) struct EffectiveGrants {
    pub(in crate::plugin_host) plugin: Arc<str>,
    pub(in crate::plugin_host) wants: Arc<Wants>,
    policy: Arc<Policy>,
}

impl Default for EffectiveGrants {
    fn default() -> Self {
        let policy = Policy::new(PolicyOrigin::Default, PluginPolicy::default());
        Self::new("".into(), Arc::default(), Arc::new(policy))
    }
}

impl EffectiveGrants {
    pub(in crate::plugin_host) fn new(
        plugin: Arc<str>,
        wants: Arc<Wants>,
        policy: Arc<Policy>,
    ) -> Self {
        Self {
            plugin,
            wants,
            policy,
        }
    }

    pub(in crate::plugin_host) fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    pub(in crate::plugin_host) fn budget(&self) -> &Budget {
        &self.policy.budget
    }

    pub(in crate::plugin_host) fn exceeded(&self, limit: impl Into<Limit>) -> Exceeded {
        let limit = limit.into();
        let most = match limit {
            Limit::Budget(key) => self.budget().shown(key),
            Limit::Handed => format_size(limits::HANDED_BYTES as u64),
            Limit::RunsMemory => String::new(),
        };
        Exceeded {
            plugin: self.plugin.clone(),
            limit,
            most,
        }
    }

    /// Hosts that are both wanted and granted.
    pub(in crate::plugin_host) fn hosts(&self) -> Vec<HostRule> {
        let mut hosts: Vec<HostRule> = Vec::new();
        for granted in &self.policy.hosts {
            for both in self
                .wants
                .hosts
                .iter()
                .filter_map(|wanted| wanted.intersection(granted))
            {
                if !hosts.contains(&both) {
                    hosts.push(both);
                }
            }
        }
        hosts
    }

    /// Adds to what the plugin may reach anyway.
    pub(in crate::plugin_host) fn extend(&self, permission: &mut Permission) {
        let (written, patterns) = self
            .hosts()
            .into_iter()
            .partition::<Vec<_>, _>(HostRule::is_exact);
        permission.hosts.extend(written);
        permission.public_hosts.extend(patterns);
        let setting = match self.wants.hosts.as_slice() {
            [] => " (the plugin asks for no other host in its `wants`, so none can be granted)"
                .to_owned(),
            wanted => {
                let grant = format!(
                    ", or in {} or by `extrack plugin grants {} --allow-host {{target}}`",
                    self.setting("grants.hosts"),
                    self.plugin
                );
                if wanted.iter().any(HostRule::is_every_host) {
                    grant
                } else {
                    let wanted: Vec<String> = wanted
                        .iter()
                        .take(10)
                        .map(|rule| format!("`{rule}`"))
                        .collect();
                    format!(
                        "{grant}, if it is among what the plugin wants: {}",
                        wanted.join(", ")
                    )
                }
            }
        };
        permission.setting.push_str(&setting);
    }

    pub(in crate::plugin_host) fn capability(
        &self,
        capability: Capability,
    ) -> Result<(), NetFailure> {
        if is_granted(
            self.policy.written.grants.capabilities.as_deref(),
            &capability,
        ) {
            return Ok(());
        }
        let name = capability.as_str();
        Err(NetFailure::denied(format!(
            "plugin `{}` may not use `{name}`; to allow it, name it in {}",
            self.plugin,
            self.setting("grants.capabilities")
        )))
    }

    /// An address that no setting names, bare and in lower case.
    pub(in crate::plugin_host) fn mail(&self, address: &str) -> Result<(), NetFailure> {
        let domain = address
            .rsplit_once('@')
            .map_or(address, |(_, domain)| domain);
        let granted = &self.policy.written.grants.mail;
        if granted.iter().any(|one| {
            one == "*" || one.eq_ignore_ascii_case(address) || one.eq_ignore_ascii_case(domain)
        }) {
            return Ok(());
        }
        Err(NetFailure::denied(format!(
            "plugin `{}` may not write mail to or from `{address}`; to allow it, write the address in its settings, or name it \
             or `{domain}` in {}",
            self.plugin,
            self.setting("grants.mail")
        )))
    }

    pub(in crate::plugin_host) fn method(&self, method: &str) -> Result<(), NetFailure> {
        // Methods are case-sensitive; what is granted is in upper case.
        if is_granted(self.policy.written.grants.methods.as_deref(), method) {
            return Ok(());
        }
        Err(NetFailure::denied(format!(
            "plugin `{}` may not send `{method}`; to allow it, name it in {}",
            self.plugin,
            self.setting("grants.methods")
        )))
    }

    pub(in crate::plugin_host) fn credential(&self, name: &str) -> Result<(), NetFailure> {
        if !is_granted(self.policy.written.grants.credentials.as_deref(), name) {
            return Err(NetFailure::denied(format!(
                "plugin `{}` may not use credential `{name}`; to allow it, name it in {}",
                self.plugin,
                self.setting("grants.credentials")
            )));
        }
        match &self.wants.credentials {
            Some(wanted) if !wanted.iter().any(|wanted| wanted == name) => {
                Err(NetFailure::denied(format!(
                    "plugin `{}` may not use credential `{name}`: its `wants` name only `{}`",
                    self.plugin,
                    wanted.join("`, `")
                )))
            }
            _ => Ok(()),
        }
    }

    pub(in crate::plugin_host) fn setting(&self, key: &str) -> String {
        format!("`plugins.{}.{key}` in plugins.yaml", self.plugin)
    }

    /// Whether a component with these imports may become active: what was withheld is better found
    /// now than by a run.
    pub(in crate::plugin_host) fn check_imports(
        &self,
        imports: &[String],
    ) -> Result<(), InstallError> {
        let withheld: Vec<&str> = capabilities_of(imports)
            .filter(|capability| self.capability(*capability).is_err())
            .map(Capability::as_str)
            .collect();
        if withheld.is_empty() {
            return Ok(());
        }
        Err(InstallStep::Grants.error(format!(
                "imports `{}`, which it is not granted; to allow it, name it in {}, or leave that setting out",
                withheld.join("`, `"),
                self.setting("grants.capabilities")
            ),
        ))
    }
}

/// Returns the imports that reach out of the sandbox.
pub(in crate::plugin_host) fn capabilities_of(
    imports: &[String],
) -> impl Iterator<Item = Capability> {
    let imports: Vec<&str> = imports
        .iter()
        .map(|import| import.split('@').next().unwrap_or(import))
        .collect();
    Capability::ALL.into_iter().filter(move |capability| {
        let own = |import: &str| {
            import
                .strip_prefix(PACKAGE)
                .is_some_and(|name| name == capability.as_str())
        };
        let standard = |import: &str| {
            *capability == Capability::Http && import.starts_with("wasi:http/outgoing")
        };
        imports.iter().any(|import| own(import) || standard(import))
    })
}

fn is_granted<T: PartialEq<U>, U: ?Sized>(granted: Option<&[T]>, asked: &U) -> bool {
    granted.is_none_or(|granted| granted.iter().any(|one| one == asked))
}

#[cfg(test)]
mod tests;
