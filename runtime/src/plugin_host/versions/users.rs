//! The settings that use a plugin: a candidate has to accept all of them before it becomes active.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;

use crate::domain::{PluginKind, ServiceFacts};

/// Settings that some part of the configuration hands to a plugin.
#[derive(Debug, Clone)]
pub struct SettingsInUse {
    /// Owner for people, e.g. ``probe `http` of service `shop-api` ``.
    pub owner: String,
    pub settings: Value,
    /// The service of a probe or a webhook.
    pub service: Option<ServiceFacts>,
}

/// Returns the settings that use a plugin.
pub type InUse = dyn Fn(PluginKind, &str) -> Vec<SettingsInUse> + Send + Sync;

/// The configuration's answer to who uses a plugin; there is none before it is loaded.
pub(in crate::plugin_host) struct PluginUsers(ArcSwap<Box<InUse>>);

impl Default for PluginUsers {
    fn default() -> Self {
        Self(ArcSwap::from_pointee(Box::new(|_: PluginKind, _: &str| {
            Vec::new()
        })))
    }
}

impl PluginUsers {
    pub(in crate::plugin_host) fn set(&self, in_use: Box<InUse>) {
        self.0.store(Arc::new(in_use));
    }

    pub(in crate::plugin_host) fn of(&self, kind: PluginKind, name: &str) -> Vec<SettingsInUse> {
        (self.0.load())(kind, name)
    }
}
