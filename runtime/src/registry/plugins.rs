//! Plugins as the registry sees them: which there are, and whether they accept some settings. The
//! plugin host answers, or a reload that tries versions that are not active yet.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use serde_json::Value;

use crate::domain::{Fault, PluginInfo, PluginKind, ServiceFacts};
use crate::plugin_host::{Evaluator, PluginHost};

/// Future of a plugin's answer: object-safe traits need boxes.
pub type PluginAnswer<'a, T> = BoxFuture<'a, T>;

/// Plugins that services, rules and channels can name.
pub trait PluginDirectory: Send + Sync {
    /// `None`: there is no such plugin.
    fn info(&self, kind: PluginKind, name: &str) -> Option<Arc<PluginInfo>>;

    fn names(&self, kind: PluginKind) -> Vec<String>;

    /// Evaluator of templates, and of expressions that are no plugin's.
    fn evaluator(&self) -> &Evaluator;

    /// Runs the plugin's own check, for the service that the settings belong to; none for those of a
    /// channel or a rule. Pointers of the faults go into the settings.
    fn check_settings<'a>(
        &'a self,
        kind: PluginKind,
        name: &'a str,
        settings: &'a Value,
        service: Option<&'a ServiceFacts>,
    ) -> PluginAnswer<'a, Result<(), Vec<Fault>>>;

    /// Returns how much history a rule needs with these settings.
    fn look_back<'a>(
        &'a self,
        rule: &'a str,
        settings: &'a Value,
    ) -> PluginAnswer<'a, Result<Duration, String>>;
}

impl PluginDirectory for PluginHost {
    fn info(&self, kind: PluginKind, name: &str) -> Option<Arc<PluginInfo>> {
        PluginHost::info(self, kind, name)
    }

    fn names(&self, kind: PluginKind) -> Vec<String> {
        PluginHost::names(self, kind)
    }

    fn evaluator(&self) -> &Evaluator {
        PluginHost::evaluator(self)
    }

    fn check_settings<'a>(
        &'a self,
        kind: PluginKind,
        name: &'a str,
        settings: &'a Value,
        service: Option<&'a ServiceFacts>,
    ) -> PluginAnswer<'a, Result<(), Vec<Fault>>> {
        PluginHost::check_settings(self, kind, name, settings, service).boxed()
    }

    fn look_back<'a>(
        &'a self,
        rule: &'a str,
        settings: &'a Value,
    ) -> PluginAnswer<'a, Result<Duration, String>> {
        PluginHost::look_back(self, rule, settings)
            .map_err(|error| error.to_string())
            .boxed()
    }
}
