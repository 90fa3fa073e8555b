//! Grants and budget of a plugin.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PolicySpec;
use crate::domain::{PluginKind, Want};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginGrantsBody {
    pub plugin: String,
    pub kind: PluginKind,
    /// Where the operator's word comes from: `file` (`plugins.yaml`), `api`, or `default` when
    /// there is none.
    pub origin: String,
    /// The operator's word, in the form that `PUT` takes.
    pub policy: PolicySpec,
    /// Grants that the plugin asks for.
    pub wants: Vec<Want>,
    /// Grants that it gets: wanted and allowed.
    pub effective: EffectiveGrants,
    /// Grants that it asks for and does not get.
    pub missing: Vec<MissingGrant>,
    /// The most that one run may use, with the defaults; a probe's wall clock is at most its own
    /// timeout.
    pub budget: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveGrants {
    /// Hosts beyond its service's own and those that its settings name.
    pub hosts: Vec<String>,
    /// `null`: all credentials of its service.
    pub credentials: Option<Vec<String>>,
    /// `null`: all.
    pub methods: Option<Vec<String>>,
    /// Capabilities among those it imports.
    pub capabilities: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MissingGrant {
    pub want: Want,
    /// The setting that would grant it.
    pub setting: String,
}
