//! Plugins as they would be after a reload.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::domain::{Fault, PluginInfo, PluginKind, ServiceFacts};
use crate::plugin_host::{Evaluator, PluginHost, StagedPlugin};
use crate::registry::PluginDirectory;

/// Staged versions in place of the active ones of the same name.
pub(super) struct StagedDirectory {
    host: PluginHost,
    staged: BTreeMap<String, StagedPlugin>,
}

impl StagedDirectory {
    pub(super) fn new(host: PluginHost, staged: BTreeMap<String, StagedPlugin>) -> Self {
        Self { host, staged }
    }
}

impl PluginDirectory for StagedDirectory {
    fn info(&self, kind: PluginKind, name: &str) -> Option<Arc<PluginInfo>> {
        match self.staged.get(name) {
            Some(staged) => (staged.kind() == kind).then(|| staged.info().clone()),
            None => PluginHost::info(&self.host, kind, name),
        }
    }

    fn names(&self, kind: PluginKind) -> Vec<String> {
        let mut names = PluginHost::names(&self.host, kind);
        names.extend(
            self.staged
                .iter()
                .filter(|(_, staged)| staged.kind() == kind)
                .map(|(name, _)| name.clone()),
        );
        names.sort();
        names.dedup();
        names
    }

    fn evaluator(&self) -> &Evaluator {
        self.host.evaluator()
    }

    async fn check_settings(
        &self,
        kind: PluginKind,
        name: &str,
        settings: &Value,
        service: Option<&ServiceFacts>,
    ) -> Result<(), Vec<Fault>> {
        match self.staged.get(name) {
            Some(staged) => {
                self.host
                    .check_settings_staged(staged, settings, service)
                    .await
            }
            None => PluginHost::check_settings(&self.host, kind, name, settings, service).await,
        }
    }

    async fn look_back(&self, rule: &str, settings: &Value) -> Result<Duration, String> {
        let answer = match self.staged.get(rule) {
            Some(staged) => self.host.look_back_staged(staged, settings).await,
            None => PluginHost::look_back(&self.host, rule, settings).await,
        };
        answer.map_err(|error| error.to_string())
    }
}
