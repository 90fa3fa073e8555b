//! The name of a run, for log lines and errors.

use std::sync::Arc;

use crate::plugin_host::engine::memory::ExpectedMemory;
use crate::plugin_host::policy::grants::Wants;

/// Names of a run, for log lines and errors.
#[derive(Debug, Clone)]
pub(in crate::plugin_host) struct RunLabel {
    pub(in crate::plugin_host) plugin: Arc<str>,
    pub(in crate::plugin_host) service: Option<String>,
    pub(in crate::plugin_host) wants: Arc<Wants>,
    /// A candidate on trial beside the active version, with permits of its own.
    pub(in crate::plugin_host) is_candidate: bool,
    /// Shared by all runs of the version.
    pub(in crate::plugin_host) expected_memory: Arc<ExpectedMemory>,
}

impl RunLabel {
    /// Returns the label of a plugin that wants nothing, for no service.
    pub(in crate::plugin_host) fn of(plugin: &str) -> Self {
        Self {
            plugin: plugin.into(),
            service: None,
            wants: Arc::default(),
            is_candidate: false,
            expected_memory: Arc::default(),
        }
    }
}
