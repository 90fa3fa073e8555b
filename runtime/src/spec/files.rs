//! `services.yaml` and `alerts.yaml` as a whole.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AlertSpec, AlertTemplateSpec, CostBudgetSpec, EscalationSpec, InhibitSpec, MaintenanceSpec,
    MessageTemplateSpec, NotificationSpec, RouteSpec, ServiceSpec, WatchdogSpec, WindowSpec,
};

/// `services.yaml`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServicesFile {
    /// The services to watch.
    #[serde(default)]
    pub services: Vec<ServiceSpec>,
}

/// `alerts.yaml`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AlertsFile {
    /// Rules for all services, or for those that `services` or `tags` select.
    #[serde(default)]
    pub alerts: Vec<AlertSpec>,
    /// Money that may be spent on calls in a period. A budget alerts by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<CostBudgetSpec>,
    /// Channels of alerts that name none.
    #[serde(default)]
    pub notifications: Vec<NotificationSpec>,
    /// Messages in your own words, by name; a channel names the one it uses.
    #[serde(default)]
    pub message_templates: BTreeMap<String, MessageTemplateSpec>,
    /// Channels by name, for the routing tree.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub channels: BTreeMap<String, NotificationSpec>,
    /// Routing tree for alerts that name no channels themselves. Default: `notifications`, grouped
    /// by `alertname`, with a `groupWait` of 10 s and a `groupInterval` of 1 m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteSpec>,
    /// Times by name, during which a node of the routing tree sends nothing about alerts that fire.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mute_times: BTreeMap<String, WindowSpec>,
    /// Inhibitions: alerts that suppress others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inhibit: Vec<InhibitSpec>,
    /// Planned work during which alerts are suppressed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maintenance: Vec<MaintenanceSpec>,
    /// Escalations of alerts that are not acknowledged, by name.
    #[serde(default)]
    pub escalations: BTreeMap<String, EscalationSpec>,
    /// Alerts that are written once and used many times, by name.
    #[serde(default)]
    pub alert_templates: BTreeMap<String, AlertTemplateSpec>,
    /// An alert that always fires, for somebody outside who calls when it stays away.
    #[serde(default)]
    pub watchdog: Option<WatchdogSpec>,
}
