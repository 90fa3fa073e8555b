//! Saved queries.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A query to be saved under a name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSavedQuery {
    /// 1 to 64 lower-case letters, digits and `-`.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9-]{0,63}$"))]
    pub name: String,
    /// One statement that reads, with parameters such as `$service` or `$1`.
    #[schemars(length(min = 1))]
    pub query: String,
    #[serde(default)]
    pub description: String,
    /// Values of parameters that are not given when it is run, by name.
    #[serde(default)]
    pub defaults: Map<String, Value>,
}

/// What takes the place of a saved query.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SavedQuerySpec {
    /// One statement that reads, with parameters such as `$service` or `$1`.
    #[schemars(length(min = 1))]
    pub query: String,
    #[serde(default)]
    pub description: String,
    /// Values of parameters that are not given when it is run, by name.
    #[serde(default)]
    pub defaults: Map<String, Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SavedQueryBody {
    pub name: String,
    pub query: String,
    pub description: String,
    /// Names of its parameters, or their numbers.
    pub parameters: Vec<String>,
    pub defaults: Map<String, Value>,
    /// Name of the token that wrote it last.
    pub author: String,
    pub created_at: String,
    pub updated_at: String,
}
