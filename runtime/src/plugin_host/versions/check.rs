//! Would this host accept a component, and what would it be granted? All the steps of an
//! installation, without the last.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::domain::{PluginKind, PluginPolicy};
use crate::plugin_host::calls::rule_session::RuleVersion;
use crate::plugin_host::engine::digest::ComponentBytes;
use crate::plugin_host::policy::grants::EffectiveGrants;
use crate::plugin_host::policy::install_error::InstallError;
use crate::plugin_host::policy::install_error::InstallStep;
use crate::plugin_host::setup::SetupError;
use crate::plugin_host::versions::Versions;
use crate::plugin_host::versions::entry::PluginEntry;
use crate::plugin_host::versions::grants::PluginGrants;
use crate::plugin_host::versions::loader::LoadedPlugin;
use crate::plugin_host::versions::local::{LocalError, LocalPlugin, LocalSetup};

/// Steps that only a server can take.
const OF_A_SERVER: [InstallStep; 3] = [
    InstallStep::Signature,
    InstallStep::Pin,
    InstallStep::Settings,
];

/// The result of a check.
#[derive(Debug, Clone)]
pub struct ComponentCheck {
    pub steps: Vec<CheckedStep>,
    /// `None` for a component that failed before it described itself.
    pub plugin: Option<PluginEntry>,
    pub grants: Option<PluginGrants>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedStep {
    pub step: InstallStep,
    pub outcome: StepOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    Passed,
    Failed(String),
    /// An earlier step failed, or there is nothing here to check it against.
    NotReached,
}

impl ComponentCheck {
    pub fn is_accepted(&self) -> bool {
        !self
            .steps
            .iter()
            .any(|step| matches!(step.outcome, StepOutcome::Failed(_)))
    }

    fn new(
        skipped: &[InstallStep],
        refusal: Option<&InstallError>,
        loaded: Option<(&LoadedPlugin, &EffectiveGrants)>,
    ) -> Self {
        let mut steps = Vec::with_capacity(InstallStep::OF_A_COMPONENT.len() + 1);
        let mut failed = false;
        for step in InstallStep::OF_A_COMPONENT {
            let outcome = match refusal {
                Some(refusal) if refusal.step == step => {
                    failed = true;
                    StepOutcome::Failed(refusal.reason.clone())
                }
                _ if failed || skipped.contains(&step) => StepOutcome::NotReached,
                _ => StepOutcome::Passed,
            };
            steps.push(CheckedStep { step, outcome });
        }
        if let (false, Some(refusal)) = (failed, refusal) {
            // Not one of the component's: the server is in trouble.
            steps.push(CheckedStep {
                step: refusal.step,
                outcome: StepOutcome::Failed(refusal.reason.clone()),
            });
        }
        Self {
            steps,
            plugin: loaded.map(|(plugin, _)| PluginEntry::of(plugin, None)),
            grants: loaded.map(|(plugin, grants)| PluginGrants::of(plugin, grants)),
        }
    }
}

impl Versions {
    /// No version changes, whatever comes of it. `signature` is the text of a `.minisig` file.
    pub(in crate::plugin_host) async fn check_component(
        &self,
        bytes: Bytes,
        signature: Option<String>,
        by: &str,
    ) -> ComponentCheck {
        let checked = self.checked(bytes, signature, by).await;
        self.sweep_unneeded().await;
        checked
    }

    async fn checked(&self, bytes: Bytes, signature: Option<String>, by: &str) -> ComponentCheck {
        let component = ComponentBytes::new(bytes);
        // Kept for the checks to come, and gone with the next start if the component is not
        // installed.
        if let Err(refusal) = self.trust.admit(None, &component, signature).await {
            return ComponentCheck::new(&[], Some(&refusal), None);
        }
        let candidate = match self.verify(None, component, by).await {
            Ok(candidate) => candidate,
            Err(refusal) => return ComponentCheck::new(&[], Some(&refusal), None),
        };
        let refusal = self.check_candidate(&candidate).await.err();
        ComponentCheck::new(
            &[],
            refusal.as_ref(),
            Some((&candidate, &self.calls.grants_of(&candidate))),
        )
    }
}

impl Versions {
    /// Verifies a rule as an installation does, and does not install it.
    pub(in crate::plugin_host) async fn rule_candidate(
        &self,
        bytes: Bytes,
        by: &str,
    ) -> Result<RuleVersion, InstallError> {
        let component = ComponentBytes::new(bytes);
        self.trust.admit(None, &component, None).await?;
        let candidate = self.verify(None, component, by).await;
        self.sweep_unneeded().await;
        let candidate = candidate?;
        if candidate.kind != PluginKind::Rule {
            return Err(InstallStep::Describe.error(format!(
                "`{}` is a {} plugin, not a rule plugin",
                candidate.info.name,
                candidate.kind.as_str()
            )));
        }
        Ok(RuleVersion(Arc::new(candidate)))
    }
}

impl LocalPlugin {
    /// Checks a component without a server: against these policies, and no settings in use.
    pub async fn check(
        setup: LocalSetup,
        component: Bytes,
        policies: BTreeMap<String, PluginPolicy>,
    ) -> Result<ComponentCheck, SetupError> {
        let plugin = match LocalPlugin::load(setup, component).await {
            Ok(plugin) => plugin,
            Err(LocalError::Refused(refusal)) => {
                return Ok(ComponentCheck::new(&OF_A_SERVER, Some(&refusal), None));
            }
            Err(LocalError::Setup(error)) => return Err(error),
        };
        let host = plugin.host();
        host.set_file_policies(policies);
        let (candidate, grants) = plugin.loaded();
        let refusal = grants.check_imports(&candidate.imports).err();
        Ok(ComponentCheck::new(
            &OF_A_SERVER,
            refusal.as_ref(),
            Some((candidate, &grants)),
        ))
    }
}
