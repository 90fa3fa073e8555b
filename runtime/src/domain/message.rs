//! What a notifier is given and what it answers.

use std::time::Duration;

use serde::Serialize;

use super::{Alert, NotificationStatus};

/// One message about a group of alerts, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Idempotency key: the same for every attempt.
    pub id: String,
    pub status: NotificationStatus,
    pub group_key: String,
    pub group_labels: Vec<(String, String)>,
    /// Name of the channel.
    pub receiver: String,
    /// Where a person can look; empty without a public URL.
    pub external_url: String,
    /// With the name of each alert's service.
    pub alerts: Vec<(Alert, String)>,
    /// 1 for the first.
    pub attempt: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// What the other side calls the message.
    pub reference: Option<String>,
    /// What the other side answered.
    pub answer: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Worth another attempt, not before `after` if the other side said so.
    #[error("{message}")]
    Retryable { message: String, after: Option<Duration> },
    #[error("{0}")]
    Permanent(String),
}
