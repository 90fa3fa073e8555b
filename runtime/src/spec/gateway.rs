//! What of a service may be called through the gateway.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationSpec;

/// Entry `gateway` of a service: its calls through `/gateway/SLUG/`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewaySpec {
    /// False: consumers can't call it. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Methods that pass. Default: `GET` and `HEAD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// Paths below the base URL that pass: `/v1/customers`; `/v1/*/invoices`, where `*` is one
    /// segment; `/v1/*`, where the last `*` is everything below. All else is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Name of the credential that is added, or `none`. Default: `default`, if the service has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Host name under which the service is reached too, as `Host` of a request has it. It belongs
    /// to this service alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Milliseconds, or text such as `30s`: how long nothing may move until the head of the answer.
    /// Default: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationSpec>,
    /// Calls at the same time; beyond it callers get 503. Default: 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// Most repetitions of a call that failed and may be repeated without harm: `GET`, `HEAD`, `PUT`, `DELETE`, or with an
    /// `Idempotency-Key`. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// What happens to the answer when the client leaves: `cut`, or `drain`, for vendors that bill
    /// it in full. Default: `cut`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_cancel: Option<OnCancelSpec>,
    /// True: HTTP/2 alone, with prior knowledge where there is no TLS. False: HTTP/1.1 alone. Default:
    /// HTTP/2 where the vendor's TLS offers it, else HTTP/1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http2: Option<bool>,
    /// Most calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<QuotasSpec>,
    /// Units that are read in its answers and priced: `openai`, `anthropic`, `gemini`, `twilio`, or a
    /// JSON path for each unit, e.g. `{points: $.cost.points}`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<UnitsSpec>,
    /// Keeps answers in memory for as long as the vendor states (`Cache-Control`, `ETag`). Default:
    /// none is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheSpec>,
}

/// Answers that are kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CacheSpec {
    /// Paths whose answers are kept, as in `gateway.paths`. Default: all that pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// True: consumers have each other's answers. Only for answers that do not depend on who asks.
    /// Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<bool>,
    /// Memory for answers, in bytes. Default: 16777216 (16 MiB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u32>,
    /// Most answers. Default: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_entries: Option<u32>,
}

/// Units of answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum UnitsSpec {
    /// A vendor's own.
    Vendor(String),
    /// A JSON path for each.
    Paths(BTreeMap<String, String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnCancelSpec {
    Cut,
    Drain,
}

/// Most calls, by whose they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuotasSpec {
    /// Of each consumer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<QuotaSpec>,
    /// Of all consumers together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<QuotaSpec>,
}

/// Most calls in each window of the calendar, in UTC.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuotaSpec {
    /// Calls a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minute: Option<u64>,
    /// Calls an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hour: Option<u64>,
    /// Calls a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<u64>,
    /// Calls a calendar month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<u64>,
}
