//! What a service tells us through a webhook: the delivery as it came, and the events a plugin made
//! of it.

use serde::{Deserialize, Serialize};

use super::{Failure, Metric, Status, UnixMillis};

/// Location of the observations that services report of themselves.
pub const WEBHOOK: &str = "webhook";

/// One HTTP request of a sender.
#[derive(Clone, PartialEq)]
pub struct WebhookRequest {
    pub method: String,
    /// What follows the webhook's own address, with its `/`, as it was sent; empty if nothing
    /// does.
    pub path: String,
    /// Without its `?`; empty if there is none.
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

/// What a plugin made of a delivery.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reception {
    pub run_id: i64,
    pub plugin_version: String,
    /// Empty: received and of no interest.
    pub events: Vec<ReceivedEvent>,
    pub answer: Option<Answer>,
}

/// What the sender is answered, where it wants more than a success.
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
    /// By the sender's clock.
    pub ts_ms: Option<UnixMillis>,
    pub summary: String,
    /// JSON text.
    pub payload: String,
    pub attributes: Vec<Metric>,
    pub report: Option<Report>,
}

/// What a service says of its own health.
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
    /// Ours, growing by one.
    pub id: i64,
    /// By the sender's clock if it said so, else when it was received.
    pub ts_ms: UnixMillis,
    pub received_ms: UnixMillis,
    /// Slug.
    pub service: String,
    pub webhook: String,
    pub plugin: String,
    pub plugin_version: String,
    /// Of the plugin's run that made it.
    pub run_id: i64,
    /// The sender's id.
    pub event_id: Option<String>,
    pub kind: String,
    pub summary: String,
    /// JSON text.
    pub payload: String,
    pub attributes: Vec<Metric>,
}
