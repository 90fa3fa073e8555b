//! Heartbeats.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::HeartbeatState;

/// The heartbeat of a service: where its job calls, and how it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatBody {
    /// Slug.
    pub service: String,
    /// Secret part of the address: who knows it can send pings.
    pub uuid: String,
    /// Path that the job calls when it has ended well; with `/start`, `/fail` or an exit status
    /// behind it when it begins or fails.
    pub path: String,
    /// The same with the address of this program; null unless its public URL is configured.
    pub url: Option<String>,
    pub state: HeartbeatState,
    /// Begin of that state, RFC 3339.
    pub state_since: String,
    /// Why it is late or down.
    pub reason: Option<String>,
    /// `every 1h`, or the schedule with its time zone.
    pub expected: String,
    /// Seconds that a ping may be late.
    pub grace_s: f64,
    /// Seconds that a run may take which reported its start.
    pub max_duration_s: f64,
    /// When the next ping is due, RFC 3339; null before the first one.
    pub due_at: Option<String>,
    /// Last success or failure, RFC 3339.
    pub last_ping_at: Option<String>,
    pub last_success_at: Option<String>,
    /// Start of the run under way, RFC 3339.
    pub running_since: Option<String>,
    /// How long the last run took, in seconds; null if it reported no start.
    pub last_duration_s: Option<f64>,
    /// Exit status of the last run, if it failed with one.
    pub exit_status: Option<u8>,
    /// Message of the last ping: at most 10 KiB of its body. Null in lists.
    pub message: Option<String>,
    /// Pings so far.
    pub pings: u64,
}
