//! A vendor as data: what is needed to watch it, apart from the credential.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AuthenticationKind, PluginSettings, RateLimitRulesSpec};

/// A vendor. `{name}` in its texts stands for the parameter of that name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VendorSpec {
    /// Id, e.g. `google-maps`: lower case, words joined by `-`.
    pub name: String,
    /// Name for people, e.g. `Google Maps Platform`.
    pub title: String,
    /// `type` of the service. Default: `REST`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Base URL of its API.
    pub base_url: String,
    /// What differs from customer to customer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, VendorParameterSpec>,
    /// A request that proves that it is up.
    pub health: VendorHealthSpec,
    /// Its page about its own state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_page: Option<StatusPageSpec>,
    /// How its rate limits are read, beside what is known by its headers and its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limits: Option<RateLimitRulesSpec>,
    /// How it reports events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<VendorWebhookSpec>,
    /// How its API wants to be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<VendorCredentialSpec>,
    /// Pages of its documentation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub docs: Vec<String>,
    /// Its price list, as far as it is known for sure, in the form of a service's `cost`: with the
    /// day on which it was true (`asOf`) and the page that it is from (`source`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Map<String, Value>>,
}

/// A parameter of a vendor, such as the name of one's account in its URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VendorParameterSpec {
    /// What it is, and where to find it.
    pub description: String,
    /// A value as it might be.
    pub example: String,
    /// Value without another one. Default: it has to be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// A request that proves that a vendor is up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VendorHealthSpec {
    /// Path behind the base URL, or a whole URL.
    pub path: String,
    /// HTTP status without a credential: `200` where anyone may ask, `401` where a refusal is the
    /// proof of life; in the form of the probe `http`.
    pub expected_status: Value,
    /// Asked without the credential. Default: where the status is a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<bool>,
    /// Text that the body has to contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_contains: Option<String>,
}

/// A vendor's page about its own state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusPageSpec {
    pub url: String,
    pub format: StatusPageFormat,
}

/// Format of a status page, in the words of the probe `status-page`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StatusPageFormat {
    /// Statuspage by Atlassian, or what answers as it does.
    #[serde(rename = "statuspage")]
    Statuspage,
    #[serde(rename = "incident.io")]
    IncidentIo,
    #[serde(rename = "instatus")]
    Instatus,
    #[serde(rename = "better-stack")]
    BetterStack,
    /// RSS or Atom, at `url`.
    #[serde(rename = "feed")]
    Feed,
    /// For people alone.
    #[serde(rename = "html")]
    Html,
}

/// How a vendor reports events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VendorWebhookSpec {
    /// Webhook plugin, e.g. `github`.
    pub plugin: String,
    /// Settings of the plugin, without the secret.
    #[serde(default, skip_serializing_if = "PluginSettings::is_empty")]
    pub settings: PluginSettings,
    /// Variable of the environment that holds the secret by which it signs.
    pub secret_env: String,
}

/// How a vendor's API wants to be called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VendorCredentialSpec {
    /// As in the `authentication` of a service.
    #[serde(rename = "type")]
    pub kind: AuthenticationKind,
    /// Header of an API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Parameter of the query for an API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// User name of `basic`, or the variable in which it is found, as `${NAME}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Put before the secret, e.g. `Token `.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Variable of the environment that holds the secret.
    pub env: String,
}
