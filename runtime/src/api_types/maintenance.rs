//! Maintenance windows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::Origin;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaintenanceBody {
    pub name: String,
    /// All of them match what it mutes; none: every alert.
    #[serde(rename = "match")]
    pub matchers: Vec<String>,
    pub start: Option<String>,
    pub end: Option<String>,
    pub cron: Option<String>,
    pub duration: Option<String>,
    pub timezone: Option<String>,
    pub origin: Origin,
    /// Name of the token that made it.
    pub author: Option<String>,
    pub comment: String,
    pub is_open: bool,
    /// When it closes, if it is open.
    pub closes_at: Option<String>,
    /// When it opens next.
    pub opens_at: Option<String>,
}
