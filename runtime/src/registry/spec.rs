//! What people write, the same in YAML and over the API: the seed's keys, with what grew out of
//! them. The doc comments are the descriptions in the published schema. Values are not judged here,
//! see [`super::compile`].

mod authentication;
mod escalation;
mod lifecycle;
mod message_template;
mod plugins;
mod routing;
mod template;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

pub use authentication::{
    AuthenticationKind, AuthenticationPlace, AuthenticationSpec, ClientAuthSpec,
};
pub use escalation::{
    EscalationSpec, EscalationStepSpec, NotifySpec, StepHoursSpec, StepRepeatSpec, WatchdogSpec,
};
pub use lifecycle::{FailuresSpec, FlappingSpec, FlappingThresholdsSpec, LifecycleSpec};
pub use message_template::{MessageTemplateSpec, RateLimitSpec};
pub use plugins::{
    BudgetSpec, DigestsSpec, GrantsSpec, PluginSpec, PluginsFile, PolicySpec, RegistrySpec,
    SizeSpec, TrustSpec,
};

pub use routing::{InhibitSpec, MaintenanceSpec, RouteSpec, Texts, WindowSpec};
pub use template::{AlertTemplateSpec, ParameterSpec, TemplateUseSpec};

use crate::domain::Severity;
use crate::domain::duration::parse_duration;

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
    /// Who is told of alerts that name nobody.
    #[serde(default)]
    pub notifications: Vec<NotificationSpec>,
    /// Messages in your own words, by name; a channel names the one it uses.
    #[serde(default)]
    pub message_templates: BTreeMap<String, MessageTemplateSpec>,
    /// Channels by name, for the routing tree.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub channels: BTreeMap<String, NotificationSpec>,
    /// Who is notified of alerts that name no channels themselves: the top of the routing tree.
    /// Default: `notifications`, grouped by `alertname`, with a `groupWait` of 10 s and a
    /// `groupInterval` of 1 m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteSpec>,
    /// Times by name, during which a node of the routing tree tells nobody anything that fires.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mute_times: BTreeMap<String, WindowSpec>,
    /// Which alerts suppress which others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inhibit: Vec<InhibitSpec>,
    /// Planned work during which alerts are suppressed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maintenance: Vec<MaintenanceSpec>,
    /// Who is told when nobody comes, by name.
    #[serde(default)]
    pub escalations: BTreeMap<String, EscalationSpec>,
    /// Alerts that are written once and used many times, by name.
    #[serde(default)]
    pub alert_templates: BTreeMap<String, AlertTemplateSpec>,
    /// An alert that always fires, for somebody outside who calls when it stays away.
    #[serde(default)]
    pub watchdog: Option<WatchdogSpec>,
}

/// Something we depend on and do not run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSpec {
    /// Name for people, e.g. `Payment Gateway API`.
    pub name: String,
    /// Id in URLs and SQL. Default: the name in lower case, words joined by `-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// `REST`, `HTTP`, `GraphQL`, `SOAP`, `TCP`, `DNS` or `TLS`: decides on the probe. Any other
    /// word with `monitoring.probe`.
    #[serde(rename = "type", default = "default_kind")]
    pub kind: String,
    /// URL, or `host:port` for what speaks no HTTP.
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
    /// Where it tells us something: `POST /webhooks/SLUG/NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<WebhookSpec>,
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
    /// Text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
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

/// Where a service tells us something.
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
    /// How long the breach lasts before anyone is told: seconds, or text such as `2m`. Default: 0.
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
    /// Who is told. Default: the `notifications` at the top of `alerts.yaml`.
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
    /// How long the breach lasts before anyone is told: seconds, or text such as `2m`. Default: 0.
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
    /// Who is told. Default: the `notifications` at the top of `alerts.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications: Option<Vec<NotificationSpec>>,
    /// Checked, and not in force. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    #[serde(flatten)]
    pub settings: PluginSettings,
}

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

/// What a plugin is told; its schema says what may be in it. May hold secrets, and prints as `***`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct PluginSettings(pub Map<String, Value>);

impl PluginSettings {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for PluginSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A number in the unit of its key, or text with a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DurationSpec {
    Number(Number),
    Text(String),
}

impl DurationSpec {
    /// Longer than anything that is waited for, shorter than anything that overflows.
    const MAX: Duration = Duration::from_secs(366 * 86_400);

    /// `unit_ms`: what a bare number counts.
    pub fn resolve(&self, unit_ms: u32) -> Result<Duration, String> {
        let duration = match self {
            Self::Text(text) => parse_duration(text).map_err(|fault| fault.to_string())?,
            Self::Number(number) => {
                let ms = number.as_f64().unwrap_or(-1.0) * f64::from(unit_ms);
                if !(0.0..=Self::MAX.as_millis() as f64).contains(&ms) {
                    return Err(format!(
                        "`{number}` is not a duration; it has to be between 0 and a year"
                    ));
                }
                Duration::from_millis(ms.round() as u64)
            }
        };
        if duration > Self::MAX {
            return Err("is longer than a year".to_owned());
        }
        Ok(duration)
    }
}

impl JsonSchema for DurationSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"] })
    }
}
