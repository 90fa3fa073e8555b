//! Would this host accept a component, and what would it be granted? All the steps of an installation, without the last.

use std::collections::BTreeMap;

use super::grants::{Allowance, view};
use super::loader::{LoadedPlugin, Refusal};
use super::{LocalError, LocalPlugin, LocalSetup, PluginEntry, PluginGrants, PluginHost, SetupError, entry};
use crate::domain::PluginPolicy;

/// The steps of an installation, in their order.
const STEPS: [&str; 9] = ["format", "compile", "world", "imports", "describe", "name", "schema", "grants", "settings"];

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
        !self.steps.iter().any(|step| matches!(step.outcome, StepOutcome::Failed(_)))
    }

    fn new(last: Option<&str>, refusal: Option<&Refusal>, loaded: Option<(&LoadedPlugin, &Allowance)>) -> Self {
        let end = refusal.map(|refusal| refusal.step).or(last);
        let mut reached = true;
        let steps = STEPS.map(|step| {
            let outcome = match refusal {
                _ if !reached => StepOutcome::NotReached,
                Some(refusal) if refusal.step == step => StepOutcome::Failed(refusal.reason.clone()),
                _ => StepOutcome::Passed,
            };
            reached &= Some(step) != end;
            CheckedStep { step, outcome }
        });
        Self {
            steps: steps.into(),
            plugin: loaded.map(|(plugin, _)| entry(plugin)),
            grants: loaded.map(|(plugin, allowance)| view::grants(plugin, allowance)),
        }
    }
}

impl PluginHost {
    /// Nothing changes, whatever comes of it.
    pub async fn check_component(&self, bytes: bytes::Bytes, by: &str) -> ComponentCheck {
        let candidate = match self.verify(None, bytes, by).await {
            Ok(candidate) => candidate,
            Err(refusal) => return ComponentCheck::new(None, Some(&refusal), None),
        };
        let refusal = self.check_candidate(&candidate).await.err();
        ComponentCheck::new(None, refusal.as_ref(), Some((&candidate, &self.allowance(&candidate))))
    }
}

impl LocalPlugin {
    /// Without a server: against these policies, and no settings in use.
    pub async fn check(
        setup: LocalSetup,
        component: bytes::Bytes,
        policies: BTreeMap<String, PluginPolicy>,
    ) -> Result<ComponentCheck, SetupError> {
        let plugin = match LocalPlugin::load(setup, component).await {
            Ok(plugin) => plugin,
            Err(LocalError::Refused(refusal)) => return Ok(ComponentCheck::new(None, Some(&refusal), None)),
            Err(LocalError::Setup(error)) => return Err(error),
        };
        let host = plugin.host();
        host.set_file_policies(policies);
        let candidate = host.shared.active.load().get(&plugin.entry().name).cloned();
        let candidate = candidate.expect("it was just loaded");
        let allowance = host.allowance(&candidate);
        let refusal = allowance.check_imports(&candidate.imports).err();
        Ok(ComponentCheck::new(Some("grants"), refusal.as_ref(), Some((&candidate, &allowance))))
    }
}
