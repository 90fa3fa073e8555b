//! Result of a trial installation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plugin_grants::PluginGrantsBody;
use super::plugins::PluginBody;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginCheckBody {
    pub accepted: bool,
    /// Steps in their order.
    pub steps: Vec<PluginCheckStep>,
    /// Description by the plugin itself, if the steps came so far.
    pub plugin: Option<PluginBody>,
    /// Grants that it would get.
    pub grants: Option<PluginGrantsBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PluginCheckStep {
    pub step: String,
    /// `passed`, `failed` or `not-reached`.
    pub outcome: String,
    /// Why it failed.
    pub reason: Option<String>,
}
