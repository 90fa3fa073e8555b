//! Channels: where messages go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DurationSpec, PluginSettings, RateLimitSpec};

/// One channel. Further keys are the settings of the notifier's plugin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationSpec {
    /// Notifier plugin, e.g. `email`.
    pub channel: String,
    /// Name for people. Default: the plugin's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of an entry of `messageTemplates`. Default: the notifier's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimitSpec>,
    /// Name of the channel that gets the messages as well that this one does not take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// How long a message fails before the fallback gets it: seconds, or text such as `10m`.
    /// Default: 15 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_after: Option<DurationSpec>,
    #[serde(flatten)]
    pub settings: PluginSettings,
}
