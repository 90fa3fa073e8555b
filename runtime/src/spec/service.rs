//! A service with its probes, webhooks and meters.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    AuthenticationSpec, ContractSpec, CostSpec, DurationSpec, GatewaySpec, HeartbeatSpec,
    PausedSpec, PluginSettings, RateLimitRulesSpec, ServiceAlertSpec,
};
use crate::domain::Criticality;

/// Service that is watched and not operated by the reader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("if" = has_heartbeat(), "else" = has_base_url()))]
pub struct ServiceSpec {
    /// Name for people, e.g. `Payment Gateway API`.
    pub name: String,
    /// Id in URLs and SQL. Default: the name in lower case, words joined by `-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// `REST`, `HTTP`, `GraphQL`, `SOAP`, `gRPC`, `TCP`, `DNS`, `TLS`, `ICMP`, `SMTP`, `Redis`
    /// or `WebSocket`: decides on the probe; `Heartbeat`: a job that calls us. Any other word with
    /// `monitoring.probe`.
    #[serde(rename = "type", default = "default_kind")]
    pub kind: String,
    /// URL, or `host:port` for what speaks no HTTP. Needed unless there is a `heartbeat`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub base_url: String,
    /// Path below the base URL that is asked, e.g. `/health`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_endpoint: Option<String>,
    /// How to prove who we are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<AuthenticationSpec>,
    /// Further ways to prove it, by name; a probe names the one it uses. The one in
    /// `authentication` is named `default`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credentials: BTreeMap<String, AuthenticationSpec>,
    /// The main probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<MonitoringSpec>,
    /// Probes beside the one of `monitoring`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<ProbeSpec>,
    /// Pings that a job of it has to send: it is late or down when they stay away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<HeartbeatSpec>,
    /// Webhooks by which it reports: `POST /webhooks/SLUG/NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<WebhookSpec>,
    /// Meters that read what its vendor bills, to compare it with what was counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meters: Vec<MeterSpec>,
    /// Rules for this service alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<ServiceAlertSpec>,
    /// Words to select services by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Labels by which its alerts are matched and grouped, e.g. `{region: eu}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Slugs of services it can't work without: while one of them has an alert firing, the alerts
    /// of this one that are no more severe are suppressed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// Team or person to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Team that answers for it. A label of its alerts, unless `labels` has a `team`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// How much depends on it. A label of its alerts, unless `labels` has a `criticality`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criticality: Option<Criticality>,
    /// Where it is used, e.g. `production`. A label of its alerts, unless `labels` has an
    /// `environment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// HTTPS URLs by name, e.g. `{runbook: "https://wiki.example/payments"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, String>,
    /// What its vendor has promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<ContractSpec>,
    /// May be shown to people without a token. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public: bool,
    /// Text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Nothing is checked, judged or paged: `true`, or `{until: 2026-12-24T06:00:00Z, reason:
    /// migration}`. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PausedSpec>,
    /// Service level objective: the availability that is wanted. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo: Option<SloSpec>,
    /// Price list of its vendor. Default: the cost of calls is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostSpec>,
    /// How rate limits are read from its answers. Default: by what is known of its vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limits: Option<RateLimitRulesSpec>,
    /// Hosts that its probes may reach beside the base URL's scheme, host and port, e.g. where it
    /// redirects to: `name`, which is reached at ports 80 and 443 and at the base URL's, or
    /// `name:port`. No credential and no secret goes there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Loopback and private addresses may be reached. Default: over the API false; in files true
    /// for an address, and for a name whose name servers answer with a private one when it is
    /// first resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<bool>,
    /// What of it consumers may call through `/gateway/SLUG/`. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewaySpec>,
}

/// Service level objective, e.g. `{target: 99.9, window: 30d}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SloSpec {
    /// Percent of the time that counts in which it has to be available: above 0 and below 100.
    pub target: f64,
    /// Whole days up to now, such as `7d` or `30d`, at most `90d`. Default: `30d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<DurationSpec>,
}

/// Condition under which a service needs no base URL.
fn has_heartbeat() -> Value {
    json!({ "required": ["heartbeat"], "properties": { "heartbeat": { "type": "object" } } })
}

fn has_base_url() -> Value {
    let description = "URL, or `host:port` for what speaks no HTTP.";
    json!({ "required": ["baseUrl"], "properties": { "baseUrl": { "description": description } } })
}

fn default_kind() -> String {
    "REST".to_owned()
}

/// The main probe of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MonitoringSpec {
    /// Seconds, or text such as `30s`. Default: `HEALTH_CHECK_INTERVAL`, else 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<DurationSpec>,
    /// Milliseconds, or text such as `5s`. Default: `HEALTH_CHECK_TIMEOUT`, else 5000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationSpec>,
    /// How often a run that fails is repeated before a rule may suspect anything. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// How long after a run that failed: seconds, or text such as `5s`; shorter than the interval.
    /// Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_interval: Option<DurationSpec>,
    /// HTTP status of a healthy answer, in the form the probe's plugin takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_status: Option<Value>,
    /// Probe plugin. Default: by the service's `type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// Name of the probe. Default: its plugin's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Settings of the plugin.
    #[serde(default, skip_serializing_if = "PluginSettings::is_empty")]
    pub settings: PluginSettings,
}

/// One more probe of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProbeSpec {
    /// Name, unique in the service. Default: its plugin's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Probe plugin, e.g. `tls`.
    pub plugin: String,
    /// Seconds, or text such as `30s`. Default: that of `monitoring`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<DurationSpec>,
    /// Milliseconds, or text such as `5s`. Default: that of `monitoring`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationSpec>,
    /// How often a run that fails is repeated before a rule may suspect anything. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// How long after a run that failed: seconds, or text such as `5s`; shorter than the interval.
    /// Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_interval: Option<DurationSpec>,
    /// Settings of the plugin.
    #[serde(default, skip_serializing_if = "PluginSettings::is_empty")]
    pub settings: PluginSettings,
}

/// Webhook by which a service reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookSpec {
    /// Last part of its URL, unique among the webhooks and probes of the service: lower case,
    /// words joined by `-`. Default: its plugin's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Webhook plugin, e.g. `github`.
    pub plugin: String,
    /// Deliveries are taken although nothing proves who sent them. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<bool>,
    /// Settings of the plugin.
    #[serde(default, skip_serializing_if = "PluginSettings::is_empty")]
    pub settings: PluginSettings,
}

/// Meter that reads what the vendor bills for the calendar month of UTC: the days that are over, and
/// in the first five days of a month the month before. The figures are an invoice, which the next
/// reading replaces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MeterSpec {
    /// Name, unique among the meters of the service: lower case, words joined by `-`. Part of the
    /// invoice's id. Default: its plugin's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Meter plugin, e.g. `openai-costs`.
    pub plugin: String,
    /// Seconds, or text such as `1h`; at least `10m`. Default: `6h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<DurationSpec>,
    /// Settings of the plugin.
    #[serde(default, skip_serializing_if = "PluginSettings::is_empty")]
    pub settings: PluginSettings,
}
