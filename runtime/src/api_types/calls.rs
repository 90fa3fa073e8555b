//! Calls that are reported.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One line of `POST /api/v1/calls`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallLine {
    /// Unique in its service: a call that is reported again counts once.
    pub id: String,
    /// When it began: text with an offset (RFC 3339), or milliseconds since 1970.
    pub ts: CallMoment,
    /// The service's id.
    pub service: String,
    /// Consumer that called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// Method of HTTP.
    pub method: String,
    /// Where the call went, from which its route is learned; a query is left out. Or `route`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The route itself, e.g. `/v1/customers/{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Status of the answer; none: there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Whole time, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Usage by unit, e.g. `{"input_tokens": 120}`: at most 16, numbers or texts of numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<String, UnitAmount>,
    /// Words that prices tell calls apart by, e.g. `{"model": "large-3"}`: at most 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Size of the request's body, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_in: Option<u64>,
    /// Size of the answer's body, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_out: Option<u64>,
    /// Requests that were sent for it. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// A word for what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<String>,
    /// How it ended. Default: `complete` with a status, else `timeout` where `errorKind` is `timeout`, else
    /// `truncated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<CallLineEnd>,
    /// Default: `api`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<CallLineSource>,
}

/// A moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CallMoment {
    /// Milliseconds since 1970.
    Millis(i64),
    Text(String),
}

impl Default for CallMoment {
    fn default() -> Self {
        CallMoment::Millis(0)
    }
}

/// Amount of a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum UnitAmount {
    Number(serde_json::Number),
    Text(String),
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CallLineEnd {
    Complete,
    Cancelled,
    Truncated,
    Timeout,
    Refused,
}

/// Reporter of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CallLineSource {
    Api,
    /// A line of a log.
    Import,
}

/// Result for the lines. Calls that were accepted are kept for good.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct CallsReported {
    pub accepted: usize,
    /// Reported before, or twice in this body; they count once.
    pub duplicates: usize,
    /// Lines that are no calls; they are not to be sent again as they are.
    pub refused: Vec<RefusedLine>,
}

/// A line that was not taken.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RefusedLine {
    /// Number, counted from 1.
    pub line: usize,
    pub reason: String,
}
