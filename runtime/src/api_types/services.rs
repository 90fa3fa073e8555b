//! Services.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::Fault;
use crate::domain::{CurrentStatus, Origin};

/// A service: the keys it was described with (secrets as `***`), and how it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceBody {
    pub slug: String,
    /// Status; null before the first run, `unknown` while the latest check broke and there is no
    /// result.
    pub status: Option<CurrentStatus>,
    /// Why the status is `unknown`; null when it is another.
    pub status_reason: Option<String>,
    /// Begin of that status, RFC 3339.
    pub status_since: Option<String>,
    /// Origin: a service of a `file` can't be changed over the API.
    pub origin: Origin,
    /// Revision for `If-Match`; null for a service of a file.
    pub revision: Option<i64>,
    /// RFC 3339; null for what comes from files.
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
    /// Why it does not run, e.g. because its plugin is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// Warnings about its description.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Fault>,
    #[serde(flatten)]
    pub spec: Map<String, Value>,
}
