//! Notifications and their delivery attempts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{
    AlertState, NotificationReason, NotificationState, NotificationStatus, Severity,
};

/// One message to one channel.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationBody {
    pub id: i64,
    /// The same for every attempt.
    pub idempotency_key: String,
    /// Messages of one group arrive at their channel in the order of their ids.
    pub group_key: String,
    pub channel: String,
    pub reason: NotificationReason,
    pub status: NotificationStatus,
    pub state: NotificationState,
    pub created_at: String,
    /// Null when there will be none.
    pub next_attempt_at: Option<String>,
    pub delivered_at: Option<String>,
    pub last_error: Option<String>,
    /// Alerts as they were when the message was decided on, firing ones first.
    pub alerts: Vec<NotifiedAlertBody>,
    /// Alerts of the group that the message has no room for.
    pub omitted: u32,
    /// Id that the other side gave the message, once it is delivered.
    pub reference: Option<String>,
    /// When it was put back after it had been given up.
    pub resent_at: Option<String>,
    /// Id of the message that includes this one, if its channel's rate limit held it back.
    pub digest: Option<i64>,
    /// Oldest first.
    pub attempts: Vec<AttemptBody>,
}

/// An alert as a message names it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotifiedAlertBody {
    pub id: i64,
    pub name: String,
    /// Slug.
    pub service: String,
    pub severity: Severity,
    pub state: AlertState,
    pub summary: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptBody {
    pub started_at: String,
    pub duration_ms: u64,
    pub outcome: AttemptOutcome,
    /// Answer of the other side, or why the delivery failed.
    pub answer: String,
}

/// Outcome of one attempt to deliver a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttemptOutcome {
    Delivered,
    /// Failed, and worth another attempt.
    Retry,
    /// Failed for good.
    Dead,
}
