//! The routing tree, and where an alert would go.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Texts;

/// A node of the routing tree, with what it has from the node above it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteBody {
    #[serde(rename = "match")]
    pub matchers: Vec<String>,
    /// Names of channels.
    pub receivers: Vec<String>,
    /// `...`: each alert by itself.
    pub group_by: Vec<String>,
    pub group_wait: String,
    pub group_interval: String,
    pub repeat_interval: String,
    pub mute_times: Vec<String>,
    /// Escalation of rules that name none.
    pub escalation: Option<String>,
    #[serde(rename = "continue")]
    pub continues: bool,
    pub routes: Vec<RouteBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RoutesBody {
    /// Root of the tree. Without a `route` in `alerts.yaml` it is made from the `notifications` at
    /// its top; null when there are none either.
    pub route: Option<RouteBody>,
}

/// Either `alert` and `service`, or `labels`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoutePreviewSpec {
    /// Name of an alert of that service, e.g. `Service Down`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// Slug.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Labels of an alert that need not exist, by name, e.g. `{"severity": "critical", "tag":
    /// ["eu", "paid"]}`.
    #[serde(default)]
    pub labels: BTreeMap<String, Texts>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoutePreviewBody {
    /// Labels used for matching; several values of one name are joined by commas.
    pub labels: BTreeMap<String, String>,
    pub destinations: Vec<DestinationBody>,
    /// Name of what mutes it now, e.g. `silence 3`; null when nothing does.
    pub muted_by: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DestinationBody {
    /// The matchers on the way from the top of the tree, which is `{}`; null where the alert names
    /// its channels itself.
    pub path: Option<String>,
    pub channels: Vec<DestinationChannel>,
    /// Key of the group: alerts with the same key share a message.
    pub group_key: String,
    pub group_labels: BTreeMap<String, String>,
    pub group_wait: String,
    pub group_interval: String,
    pub repeat_interval: String,
    /// The mute time that keeps it quiet now.
    pub quiet_by: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DestinationChannel {
    pub id: String,
    pub name: String,
    pub plugin: String,
}
