//! Recordings of plugin runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{PluginKind, RunOutcome, Status};

/// One run of which a recording is kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordingBody {
    pub run_id: i64,
    /// When the run was due, or when it began, RFC 3339.
    pub ts: String,
    pub plugin: String,
    pub kind: PluginKind,
    pub version: String,
    /// sha256 of the component, in hex.
    pub digest: String,
    /// The exported function, e.g. `check`.
    pub function: String,
    /// Slug.
    pub service: Option<String>,
    pub probe: Option<String>,
    pub webhook: Option<String>,
    pub meter: Option<String>,
    /// Name of the channel, for messages.
    pub channel: Option<String>,
    /// Status of the observation.
    pub status: Option<Status>,
    pub outcome: RunOutcome,
    /// Reason why the run failed, or why the observation is not healthy.
    pub error: Option<String>,
    pub duration_us: u64,
    pub host_calls: u32,
    /// Parts that are missing from the recording, because they were too large to keep.
    pub truncated: Option<String>,
    /// Bytes of the file; null while the run is kept in memory only, as those are that went well.
    pub size: Option<u64>,
}
