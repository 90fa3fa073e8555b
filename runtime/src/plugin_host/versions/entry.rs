//! A plugin as people see it.

use std::sync::Arc;

use super::loader::LoadedPlugin;
use super::shadow::ShadowEntry;
use super::trial::RolledBack;
use crate::domain::{PluginHealth, PluginInfo, PluginKind, UnixMillis, now_ms};

/// The active version of a plugin, for people.
#[derive(Debug, Clone)]
pub struct PluginEntry {
    pub name: String,
    pub kind: PluginKind,
    pub version: String,
    pub digest: String,
    pub state: PluginState,
    pub since_ms: UnixMillis,
    /// Actor of the installation; `bundled` for what came with the binary.
    pub by: String,
    pub size: usize,
    /// Id of the operator's key that signed it.
    pub signed_by: Option<String>,
    pub imports: Vec<String>,
    pub info: Arc<PluginInfo>,
    pub health: PluginHealth,
    /// The candidate that runs beside it.
    pub shadow: Option<ShadowEntry>,
    /// The version before, if the program went back to this one by itself.
    pub rolled_back: Option<RolledBack>,
    /// Oddity of an installation that succeeded.
    pub warning: Option<String>,
}

impl PluginEntry {
    pub(in crate::plugin_host) fn of(plugin: &LoadedPlugin, shadow: Option<ShadowEntry>) -> Self {
        let state = if plugin.health.is_failing() {
            PluginState::Failing
        } else {
            PluginState::Active
        };
        Self {
            name: plugin.info.name.clone(),
            kind: plugin.kind,
            version: plugin.info.version.clone(),
            digest: plugin.digest.clone(),
            state,
            since_ms: plugin.since_ms,
            by: plugin.by.clone(),
            size: plugin.size,
            signed_by: plugin.signed_by.clone(),
            imports: plugin.imports.clone(),
            info: plugin.info.clone(),
            health: plugin.health.shown(now_ms()),
            shadow,
            rolled_back: plugin.rolled_back.clone(),
            warning: None,
        }
    }
}

/// State of the active version of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginState {
    Active,
    /// Failing: its last runs all broke.
    Failing,
}

impl PluginState {
    pub fn as_str(self) -> &'static str {
        match self {
            PluginState::Active => "active",
            PluginState::Failing => "failing",
        }
    }
}
