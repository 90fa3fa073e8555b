//! Observations of probes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::{ErrorKind, Phases, Status};

/// One run of a probe.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservationBody {
    pub run_id: i64,
    /// When the run was due, RFC 3339.
    pub ts: String,
    /// Slug.
    pub service: String,
    pub probe: String,
    pub location: String,
    pub status: Status,
    /// Microseconds; null when there was no answer.
    pub latency_us: Option<u64>,
    pub phases: Phases,
    pub http_status: Option<u16>,
    pub error_kind: Option<ErrorKind>,
    /// Error text for people; null when all was well.
    pub error: Option<String>,
    /// Bytes received.
    pub bytes: u64,
    pub plugin: String,
    pub plugin_version: String,
    /// The run was due and did not take place.
    pub missed: bool,
    /// Further values that the probe measured.
    pub metrics: Map<String, Value>,
}
