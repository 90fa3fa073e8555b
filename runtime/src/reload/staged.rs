//! Plugins as they would be after a reload.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, TryFutureExt};
use serde_json::Value;

use crate::domain::{Fault, PluginInfo, PluginKind, ServiceFacts};
use crate::plugin_host::{Evaluator, PluginHost, StagedPlugin};
use crate::registry::{PluginAnswer, PluginDirectory};

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

    fn check_settings<'a>(
        &'a self,
        kind: PluginKind,
        name: &'a str,
        settings: &'a Value,
        service: Option<&'a ServiceFacts>,
    ) -> PluginAnswer<'a, Result<(), Vec<Fault>>> {
        match self.staged.get(name) {
            Some(staged) => self
                .host
                .check_settings_staged(staged, settings, service)
                .boxed(),
            None => PluginDirectory::check_settings(&self.host, kind, name, settings, service),
        }
    }

    fn look_back<'a>(
        &'a self,
        rule: &'a str,
        settings: &'a Value,
    ) -> PluginAnswer<'a, Result<Duration, String>> {
        match self.staged.get(rule) {
            Some(staged) => self
                .host
                .look_back_staged(staged, settings)
                .map_err(|error| error.to_string())
                .boxed(),
            None => PluginDirectory::look_back(&self.host, rule, settings),
        }
    }
}
