//! What the registry asks of the plugin host: which plugins there are, and whether they accept some
//! settings.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;

use super::fault::Fault;
use crate::domain::{PluginInfo, PluginKind};
use crate::plugin_host::Evaluator;

pub trait PluginDirectory: Send + Sync {
    /// `None`: there is no such plugin.
    fn info(&self, kind: PluginKind, name: &str) -> Option<Arc<PluginInfo>>;

    fn names(&self, kind: PluginKind) -> Vec<String>;

    /// For templates, and for expressions that are no plugin's.
    fn evaluator(&self) -> &Evaluator;

    /// The plugin's own check. Pointers of the faults go into the settings.
    fn check_settings<'a>(
        &'a self,
        kind: PluginKind,
        name: &'a str,
        settings: &'a Value,
    ) -> BoxFuture<'a, Result<(), Vec<Fault>>>;

    /// How much history a rule needs with these settings.
    fn look_back<'a>(
        &'a self,
        rule: &'a str,
        settings: &'a Value,
    ) -> BoxFuture<'a, Result<Duration, String>>;
}
