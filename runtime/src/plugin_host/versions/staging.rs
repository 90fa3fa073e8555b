//! Versions that were pulled for a configuration that does not hold yet: verified under its trust,
//! asked about its settings, and made active together with its policies, or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::install::check_kind;
use super::loader::{LoadedPlugin, Refusal, digest, refuse};
use crate::domain::{ActivationReason, Fault, PluginInfo, PluginKind, PluginPolicy, PluginTrust};
use crate::plugin_host::PluginHost;
use crate::plugin_host::calls::PluginError;
use crate::plugin_host::policy::grants::Allowance;
use crate::plugin_host::versions::pull::Pulled;

/// A verified version that is not active.
#[derive(Clone)]
pub struct StagedPlugin {
    plugin: Arc<LoadedPlugin>,
    bytes: Bytes,
}

impl StagedPlugin {
    pub fn kind(&self) -> PluginKind {
        self.plugin.kind
    }

    pub fn info(&self) -> &Arc<PluginInfo> {
        &self.plugin.info
    }

    /// sha256 of the component, in hex.
    pub fn digest(&self) -> &str {
        &self.plugin.digest
    }
}

impl PluginHost {
    /// As [`PluginHost::pull`] under this trust, without the last step. None: that version is
    /// active already.
    pub async fn stage_pull(
        &self,
        reference: &str,
        name: &str,
        trust: &PluginTrust,
        by: &str,
    ) -> Result<Option<StagedPlugin>, Refusal> {
        let trust = self.shared.trust.under(trust.clone());
        let (component, signature) =
            match self.pull_component(&trust, reference, Some(name)).await? {
                Pulled::Active(_) => return Ok(None),
                Pulled::Component { component, .. }
                    if self.is_withdrawn(name, &digest(&component)).await? =>
                {
                    return Ok(None);
                }
                Pulled::Component {
                    component,
                    signature,
                } => (component, signature),
            };
        trust.admit(Some(name), &component, signature).await?;
        let candidate = self
            .verify_under(&trust, Some(name), component.clone(), by)
            .await?;
        if let Some(active) = self.shared.active.load().get(&candidate.info.name) {
            check_kind(&candidate, active)?;
        }
        Ok(Some(StagedPlugin {
            plugin: Arc::new(candidate),
            bytes: component,
        }))
    }

    pub async fn check_settings_staged(
        &self,
        staged: &StagedPlugin,
        settings: &Value,
    ) -> Result<(), Vec<Fault>> {
        self.check_against(&staged.plugin, settings).await
    }

    /// How much history a staged rule needs with these settings.
    pub async fn look_back_staged(
        &self,
        staged: &StagedPlugin,
        settings: &Value,
    ) -> Result<Duration, PluginError> {
        self.look_back_of(&staged.plugin, settings).await
    }

    /// Policies, versions and trust in one go. After a refusal everything is as it was, except that
    /// versions whose turn came before stay active when the control store fails in between.
    pub async fn take_over(
        &self,
        policies: BTreeMap<String, PluginPolicy>,
        trust: PluginTrust,
        staged: Vec<StagedPlugin>,
    ) -> Result<(), Refusal> {
        self.carry_out(|host| async move {
            let before = host.shared.runner.policies.set_file(policies);
            let activated = host.activate_staged(staged).await;
            match &activated {
                Ok(()) => host.set_trust(trust),
                Err(_) => drop(host.shared.runner.policies.set_file(before)),
            }
            activated
        })
        .await
    }

    async fn activate_staged(&self, staged: Vec<StagedPlugin>) -> Result<(), Refusal> {
        for StagedPlugin { plugin, .. } in &staged {
            let policy = self.shared.runner.policies.of(&plugin.name);
            Allowance::new(plugin.name.clone(), plugin.wants.clone(), policy)
                .check_imports(&plugin.imports)?;
        }
        for StagedPlugin { plugin, bytes } in staged {
            let candidate = Arc::into_inner(plugin)
                .ok_or_else(|| refuse("store", "a staged version is still in use"))?;
            self.activate_checked(candidate, Some(bytes), ActivationReason::Install)
                .await?;
        }
        Ok(())
    }
}
