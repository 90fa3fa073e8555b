//! State of the configuration files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The configuration files as they were last read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationBody {
    /// `in use`; `held`: they would take away much of what is watched and wait for a confirmation;
    /// `faulty`. While they are not in use, what was in use before stays.
    pub status: String,
    /// Why they are not in use.
    pub reasons: Vec<String>,
    /// sha256 over the names and texts of the files, in hex.
    pub digest: String,
    /// Time of the last change of that status, RFC 3339.
    pub since: String,
}
