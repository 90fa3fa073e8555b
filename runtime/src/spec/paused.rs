//! A pause in the description of a service, and over the API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationSpec;

/// `true`, or until when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum PausedSpec {
    Switch(bool),
    Details(PausedDetailsSpec),
}

/// Until when a service is paused, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PausedDetailsSpec {
    /// RFC 3339, e.g. `2026-12-24T06:00:00Z`: from then on it is checked again. Default: until this
    /// is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A pause to be made over the API.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PauseSpec {
    /// RFC 3339, e.g. `2026-12-24T06:00:00Z`. Default: until it is resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub until: Option<String>,
    /// How long: seconds, or text such as `2h`; in place of `until`.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<DurationSpec>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
