//! Events that services sent through webhooks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One event of a service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventBody {
    pub id: i64,
    /// Time of the event by the sender's clock if it sends one, RFC 3339.
    pub ts: String,
    pub received_at: String,
    /// Slug.
    pub service: String,
    pub webhook: String,
    /// The sender's word for it.
    pub kind: String,
    /// One line for people.
    pub summary: String,
    /// Part of the sender's payload that was kept.
    pub payload: Value,
    pub attributes: Map<String, Value>,
    /// The sender's id.
    pub event_id: Option<String>,
    pub plugin: String,
    pub plugin_version: String,
    /// Id of the plugin's run, as in `plugin_runs`.
    pub run_id: i64,
}
