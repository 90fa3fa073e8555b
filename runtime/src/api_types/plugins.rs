//! Plugins, their versions, and their candidates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plugin_health::HealthBody;
use crate::domain::{PluginKind, Want};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginBody {
    pub name: String,
    pub kind: PluginKind,
    pub version: String,
    /// sha256 of the component, in hex.
    pub digest: String,
    /// `active`, or `failing`: its last runs broke; `health` has the reason.
    pub state: String,
    /// Time at which this version became the active one, RFC 3339.
    pub since: String,
    /// `bundled` for what came with the program.
    pub installed_by: String,
    /// Bytes of the component.
    pub size: usize,
    /// Id of the minisign key that signed it, if the server knows the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// Interfaces of the host that it calls.
    pub imports: Vec<String>,
    pub summary: String,
    /// Grants that it asks for.
    pub wants: Vec<Want>,
    /// JSON Schema.
    pub settings_schema: Value,
    pub health: HealthBody,
    /// The candidate that runs beside it, null without one.
    pub shadow: Option<CandidateBody>,
    /// The version before, if the program went back to this one by itself because all first runs
    /// of that one broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBackBody>,
    /// Warning about an installation that went well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// A version that the program rolled back by itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RolledBackBody {
    pub version: String,
    /// sha256 of the component, in hex.
    pub digest: String,
    /// RFC 3339.
    pub since: String,
    pub reason: String,
}

/// A candidate version that runs beside the active one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CandidateBody {
    pub version: String,
    /// sha256 of the component, in hex.
    pub digest: String,
    /// `comparing`, or `failing` when its last runs all broke.
    pub state: String,
    /// RFC 3339.
    pub since: String,
    pub started_by: String,
    /// Calls of the active version that it did not get because it was too slow, since the program
    /// started.
    pub skipped: u64,
    /// Why it broke last, since the program started.
    pub last_error: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PullBody {
    /// `oci://REGISTRY/REPOSITORY:TAG` or `oci://REGISTRY/REPOSITORY@sha256:DIGEST`.
    pub reference: String,
    /// Name that the plugin has to have. Default: the name in the component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionBody {
    pub version: String,
    /// sha256 of the component, in hex.
    pub digest: String,
    /// `active`; `previous`, where a roll-back goes; `shadow`, the candidate; `bundled`, part of
    /// the program; or `kept`.
    pub state: String,
    /// Part of the program.
    pub bundled: bool,
    /// Bytes of the component.
    pub size: u64,
    /// RFC 3339; of a bundled version the start of the program.
    pub installed: String,
    /// `bundled` for what came with the program.
    pub installed_by: String,
    /// The last time it became the active one; null if it never was.
    pub active_since: Option<String>,
    /// Null while it is active, and if it never was.
    pub active_until: Option<String>,
    /// Name of the token that made it the active one then.
    pub activated_by: Option<String>,
    /// Why the program rolled it back by itself, unless somebody has activated it since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<String>,
}
