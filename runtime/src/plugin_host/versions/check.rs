//! Would this host accept a component, and what would it be granted? All the steps of an
//! installation, without the last.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::loader::{LoadedPlugin, Refusal};
use crate::domain::PluginPolicy;
use crate::plugin_host::policy::grants::{Allowance, view};
use crate::plugin_host::{
    LocalError, LocalPlugin, LocalSetup, PluginEntry, PluginGrants, PluginHost, SetupError, entry,
};

/// The steps of an installation, in their order.
const STEPS: [&str; 11] = [
    "format",
    "signature",
    "compile",
    "world",
    "imports",
    "describe",
    "name",
    "pin",
    "schema",
    "grants",
    "settings",
];

/// Those that a server alone can take.
const OF_A_SERVER: [&str; 3] = ["signature", "pin", "settings"];

/// What came of it.
#[derive(Debug, Clone)]
pub struct ComponentCheck {
    pub steps: Vec<CheckedStep>,
    /// None: it did not come so far as to say what it is.
    pub plugin: Option<PluginEntry>,
    pub grants: Option<PluginGrants>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedStep {
    pub step: &'static str,
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
        skipped: &[&str],
        refusal: Option<&Refusal>,
        loaded: Option<(&LoadedPlugin, &Allowance)>,
    ) -> Self {
        let mut steps = Vec::with_capacity(STEPS.len() + 1);
        let mut failed = false;
        for step in STEPS {
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
            plugin: loaded.map(|(plugin, _)| entry(plugin)),
            grants: loaded.map(|(plugin, allowance)| view::grants(plugin, allowance)),
        }
    }
}

impl PluginHost {
    /// No version changes, whatever comes of it. `signature` is the text of a `.minisig` file.
    pub async fn check_component(
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
        // Kept for the checks to come, and gone with the next start if the component is not
        // installed.
        if let Err(refusal) = self.shared.trust.admit(None, &bytes, signature).await {
            return ComponentCheck::new(&[], Some(&refusal), None);
        }
        let candidate = match self.verify(None, bytes, by).await {
            Ok(candidate) => candidate,
            Err(refusal) => return ComponentCheck::new(&[], Some(&refusal), None),
        };
        let refusal = self.check_candidate(&candidate).await.err();
        ComponentCheck::new(
            &[],
            refusal.as_ref(),
            Some((&candidate, &self.allowance(&candidate))),
        )
    }
}

impl LocalPlugin {
    /// Without a server: against these policies, and no settings in use.
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
        let candidate = host.shared.active.load().get(&plugin.entry().name).cloned();
        let candidate = candidate.expect("it was just loaded");
        let allowance = host.allowance(&candidate);
        let refusal = allowance.check_imports(&candidate.imports).err();
        Ok(ComponentCheck::new(
            &OF_A_SERVER,
            refusal.as_ref(),
            Some((&candidate, &allowance)),
        ))
    }
}
