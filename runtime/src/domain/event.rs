//! Deliveries of a service's webhook as they came, and the events a plugin made of them.

use serde::{Deserialize, Serialize};

use super::{Failure, Metric, Status, UnixMillis};

/// Location of the observations that services report of themselves.
pub const WEBHOOK: &str = "webhook";

/// One HTTP request of a sender.
#[derive(Clone, PartialEq)]
pub struct WebhookRequest {
    pub method: String,
    /// Part of the path behind the webhook's own address, with its `/`, as it was sent; empty if
    /// there is none.
    pub path: String,
    /// Query without its `?`; empty if there is none.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub received_ms: UnixMillis,
}

/// Headers, query and path may hold a shared secret.
impl std::fmt::Debug for WebhookRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookRequest")
            .field("method", &self.method)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Result of a delivery, as its plugin made it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reception {
    pub run_id: i64,
    pub plugin_version: String,
    /// Empty: received and of no interest.
    pub events: Vec<ReceivedEvent>,
    pub answer: Option<Answer>,
}

/// Answer to the sender, where it wants more than a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub content_type: AnswerType,
    pub body: Vec<u8>,
}

/// A plugin can't choose another: an answer is not a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AnswerType {
    Text,
    Json,
}

/// One event before it is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedEvent {
    /// The sender's id; an event whose id is known is not kept again.
    pub id: Option<String>,
    pub kind: String,
    /// Moment by the sender's clock.
    pub ts_ms: Option<UnixMillis>,
    pub summary: String,
    /// JSON text.
    pub payload: String,
    pub attributes: Vec<Metric>,
    pub report: Option<Report>,
}

/// Report of a service on its own health.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub status: Status,
    pub failure: Option<Failure>,
    pub metrics: Vec<Metric>,
}

/// One event as it is kept; a row of `events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Id of ours, growing by one.
    pub id: i64,
    /// Moment by the sender's clock if it gave one, else when it was received.
    pub ts_ms: UnixMillis,
    pub received_ms: UnixMillis,
    /// Slug.
    pub service: String,
    pub webhook: String,
    pub plugin: String,
    pub plugin_version: String,
    /// Id of the plugin's run that made it.
    pub run_id: i64,
    /// The sender's id.
    pub event_id: Option<String>,
    pub kind: String,
    pub summary: String,
    /// JSON text.
    pub payload: String,
    pub attributes: Vec<Metric>,
}
