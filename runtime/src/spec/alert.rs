//! Alert rules: those of one service, and those for many.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DurationSpec, LifecycleSpec, NotificationSpec, PluginSettings, TemplateUseSpec};
use crate::domain::Severity;

/// A rule for one service. Further keys are the settings of the rule's plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAlertSpec {
    /// Rule plugin, e.g. `availability`. Not needed with a `condition`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Name, unique in the service. Default: its `type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Default: `warning`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Time for which the breach lasts before anyone is notified: seconds, or text such as `2m`.
    /// Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<DurationSpec>,
    #[serde(flatten)]
    pub lifecycle: LifecycleSpec,
    #[serde(flatten)]
    pub template: TemplateUseSpec,
    /// Names of the probes and webhooks whose observations it looks at. Default: all of the
    /// service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Vec<String>>,
    /// Channels. Default: the `notifications` at the top of `alerts.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications: Option<Vec<NotificationSpec>>,
    #[serde(flatten)]
    pub settings: PluginSettings,
}

/// A rule for many services. Further keys are the settings of the rule's plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertSpec {
    /// Name for people, e.g. `Service Down`. A service's own alert of the same name takes its
    /// place there.
    pub name: String,
    /// Rule plugin, e.g. `availability`. Not needed with a `condition`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Default: `warning`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Time for which the breach lasts before anyone is notified: seconds, or text such as `2m`.
    /// Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<DurationSpec>,
    #[serde(flatten)]
    pub lifecycle: LifecycleSpec,
    #[serde(flatten)]
    pub template: TemplateUseSpec,
    /// Slugs of the services it looks at. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<String>>,
    /// Looks at services that have one of these tags. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Looks at services of one of these types, e.g. `REST`. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// Looks at services for which this is true, in CEL, e.g. `'prod' in service.tags &&
    /// service.type == 'REST'`. Default: all.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Names of the probes and webhooks whose observations it looks at. Default: all of the
    /// service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Vec<String>>,
    /// Channels. Default: the `notifications` at the top of `alerts.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications: Option<Vec<NotificationSpec>>,
    /// Checked, and not in force. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    #[serde(flatten)]
    pub settings: PluginSettings,
}
