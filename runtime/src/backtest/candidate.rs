//! A version of a rule that need not be installed, among the plugins that are.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, TryFutureExt};
use serde_json::Value;

use crate::domain::{Fault, PluginInfo, PluginKind, ServiceFacts};
use crate::plugin_host::{self, PluginHost, RuleVersion};
use crate::registry::{PluginAnswer, PluginDirectory};

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

    fn check_settings<'a>(
        &'a self,
        kind: PluginKind,
        name: &'a str,
        settings: &'a Value,
        service: Option<&'a ServiceFacts>,
    ) -> PluginAnswer<'a, Result<(), Vec<Fault>>> {
        if self.is_candidate(kind, name) {
            self.host
                .check_settings_of_version(self.version, settings)
                .boxed()
        } else {
            PluginDirectory::check_settings(self.host, kind, name, settings, service)
        }
    }

    fn look_back<'a>(
        &'a self,
        rule: &'a str,
        settings: &'a Value,
    ) -> PluginAnswer<'a, Result<Duration, String>> {
        if self.is_candidate(PluginKind::Rule, rule) {
            self.host
                .look_back_of_version(self.version, settings)
                .map_err(|error| error.to_string())
                .boxed()
        } else {
            PluginDirectory::look_back(self.host, rule, settings)
        }
    }
}
