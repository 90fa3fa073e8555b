//! Versions that were pulled for a configuration that does not hold yet: verified under its trust,
//! asked about its settings, and made active together with its policies, or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::install::check_kind;
use crate::domain::{
    ActivationReason, Fault, PluginInfo, PluginKind, PluginPolicy, PluginTrust, ServiceFacts,
};
use crate::plugin_host::calls::PluginError;
use crate::plugin_host::engine::digest::ComponentBytes;
use crate::plugin_host::policy::install_error::{InstallError, InstallStep};
use crate::plugin_host::versions::Versions;
use crate::plugin_host::versions::loader::LoadedPlugin;
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
    pub fn sha256_hex(&self) -> &str {
        &self.plugin.digest
    }
}

impl Versions {
    /// Pulls and verifies a version under this trust, and does not make it active. Returns `None`
    /// when it is active already.
    pub(in crate::plugin_host) async fn stage_pull(
        &self,
        reference: &str,
        name: &str,
        trust: &PluginTrust,
        by: &str,
    ) -> Result<Option<StagedPlugin>, InstallError> {
        let trust = self.trust.under(trust.clone());
        let (component, signature) =
            match self.pull_component(&trust, reference, Some(name)).await? {
                Pulled::Active(_) => return Ok(None),
                Pulled::Component {
                    component,
                    signature,
                } => (component, signature),
            };
        let component = ComponentBytes::new(component);
        if let Err(error) = self.reject_withdrawn(&component.digest).await {
            return match error.step {
                InstallStep::Withdrawn => Ok(None),
                _ => Err(error),
            };
        }
        trust.admit(Some(name), &component, signature).await?;
        let candidate = self
            .verify_under(&trust, Some(name), component.clone(), by)
            .await?;
        if let Some(active) = self.active.get(&candidate.info.name) {
            check_kind(&candidate, &active)?;
        }
        Ok(Some(StagedPlugin {
            plugin: Arc::new(candidate),
            bytes: component.bytes,
        }))
    }

    pub(in crate::plugin_host) async fn check_settings_staged(
        &self,
        staged: &StagedPlugin,
        settings: &Value,
        service: Option<&ServiceFacts>,
    ) -> Result<(), Vec<Fault>> {
        self.calls
            .check_against(&staged.plugin, settings, service)
            .await
    }

    /// How much history a staged rule needs with these settings.
    pub(in crate::plugin_host) async fn look_back_staged(
        &self,
        staged: &StagedPlugin,
        settings: &Value,
    ) -> Result<Duration, PluginError> {
        self.calls.look_back_of(&staged.plugin, settings).await
    }

    /// Policies, versions and trust in one go. After a refusal everything is as it was, except that
    /// versions whose turn came before stay active when the control store fails in between.
    pub(in crate::plugin_host) async fn take_over(
        self: &Arc<Self>,
        policies: BTreeMap<String, PluginPolicy>,
        trust: PluginTrust,
        staged: Vec<StagedPlugin>,
    ) -> Result<(), InstallError> {
        self.carry_out(|versions| async move {
            let before = versions.calls.runner.policies.set_file(policies);
            let activated = versions.activate_staged(staged).await;
            match &activated {
                Ok(()) => versions.set_trust(trust),
                Err(_) => drop(versions.calls.runner.policies.set_file(before)),
            }
            activated
        })
        .await
    }

    async fn activate_staged(&self, staged: Vec<StagedPlugin>) -> Result<(), InstallError> {
        for StagedPlugin { plugin, .. } in &staged {
            self.calls
                .grants_of(plugin)
                .check_imports(&plugin.imports)?;
        }
        for StagedPlugin { plugin, bytes } in staged {
            let candidate = Arc::into_inner(plugin)
                .ok_or_else(|| InstallStep::Store.error("a staged version is still in use"))?;
            self.activate_checked(candidate, Some(bytes), ActivationReason::Install)
                .await?;
        }
        Ok(())
    }

    /// Replaces what the operator trusts, for what is loaded from now on. An active version that
    /// would be rejected now is logged and stays until it is replaced or the program starts again.
    fn set_trust(&self, policy: PluginTrust) {
        self.trust.set(policy);
        for plugin in self.active.load().values() {
            let checked = self.trust.check_loaded(
                &plugin.info.name,
                &plugin.digest,
                plugin.signed_by.is_some(),
            );
            if let Err(error) = checked {
                tracing::error!(
                    plugin = plugin.info.name, version = plugin.info.version, digest = plugin.digest, %error,
                    "the active version of a plugin is not one that plugins.yaml trusts; it stays until it is replaced or the \
                     program starts again"
                );
            }
        }
    }
}
