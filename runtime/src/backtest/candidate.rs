//! A version of a rule that need not be installed, among the plugins that are.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::domain::{Fault, PluginInfo, PluginKind, ServiceFacts};
use crate::plugin_host::{self, PluginHost, RuleVersion};
use crate::registry::PluginDirectory;

/// Installed plugins, with one version of a rule in place of the installed one.
pub(super) struct WithCandidate<'a> {
    pub(super) host: &'a PluginHost,
    pub(super) version: &'a RuleVersion,
}

impl WithCandidate<'_> {
    fn is_candidate(&self, kind: PluginKind, name: &str) -> bool {
        kind == PluginKind::Rule && name == self.version.info().name
    }
}

impl PluginDirectory for WithCandidate<'_> {
    fn info(&self, kind: PluginKind, name: &str) -> Option<Arc<PluginInfo>> {
        if self.is_candidate(kind, name) {
            Some(self.version.info().clone())
        } else {
            PluginDirectory::info(self.host, kind, name)
        }
    }

    fn names(&self, kind: PluginKind) -> Vec<String> {
        let mut names = PluginDirectory::names(self.host, kind);
        let name = &self.version.info().name;
        if self.is_candidate(kind, name) && !names.contains(name) {
            names.push(name.clone());
        }
        names
    }

    fn evaluator(&self) -> &plugin_host::Evaluator {
        self.host.evaluator()
    }

    async fn check_settings(
        &self,
        kind: PluginKind,
        name: &str,
        settings: &Value,
        service: Option<&ServiceFacts>,
    ) -> Result<(), Vec<Fault>> {
        if self.is_candidate(kind, name) {
            self.host
                .check_settings_of_version(self.version, settings)
                .await
        } else {
            PluginDirectory::check_settings(self.host, kind, name, settings, service).await
        }
    }

    async fn look_back(&self, rule: &str, settings: &Value) -> Result<Duration, String> {
        if self.is_candidate(PluginKind::Rule, rule) {
            let look_back = self.host.look_back_of_version(self.version, settings).await;
            look_back.map_err(|error| error.to_string())
        } else {
            PluginDirectory::look_back(self.host, rule, settings).await
        }
    }
}
