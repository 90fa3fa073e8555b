//! Silences, and previews of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::AlertBody;
use super::{DurationSpec, Texts};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SilenceBody {
    pub id: i64,
    /// All of them match what it mutes.
    pub matchers: Vec<String>,
    pub starts_at: String,
    /// The first moment at which it no longer holds.
    pub ends_at: String,
    /// Name of the token that made it.
    pub author: String,
    pub comment: String,
    /// `pending`, `active` or `expired`.
    pub state: String,
    pub created_at: String,
    /// Time at which its end was announced while it still muted something.
    pub noticed_at: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SilenceSpec {
    /// Matchers such as `service="shop-api"`, all of which have to match; at least one.
    pub matchers: Texts,
    /// RFC 3339. Default: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub starts_at: Option<String>,
    /// RFC 3339. Needed unless there is a `duration`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub ends_at: Option<String>,
    /// Duration from its start on: seconds, or text such as `2h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<DurationSpec>,
    /// Why. Shown with every alert it mutes.
    #[serde(default)]
    pub comment: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SilencePreviewSpec {
    /// Matchers of the silence.
    pub matchers: Texts,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SilencePreviewBody {
    /// Open alerts that it would mute.
    pub alerts: Vec<AlertBody>,
    /// Slugs of services of which it would mute some alert, whatever it is called and however
    /// severe it is.
    pub services: Vec<String>,
}
