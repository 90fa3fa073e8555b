//! Deliveries of webhooks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A delivery of a webhook that was kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryBody {
    pub id: i64,
    pub webhook: String,
    /// RFC 3339
    pub received_at: String,
    pub method: String,
    /// Part of the path behind the webhook's own address; in lists with `***` for each part.
    pub path: String,
    /// Query; secrets in it are `***`, in lists all values.
    pub query: String,
    /// Length of the body.
    pub bytes: u64,
    /// A signature was right when it came.
    pub proven: bool,
    /// `taken`, `malformed`, `broken` or `not_stored`: of the last time that its plugin looked at it.
    pub outcome: String,
    /// Why it was not taken.
    pub error: Option<String>,
    /// Events that its plugin made of it.
    pub events: u64,
    /// When it was played again last, RFC 3339.
    pub replayed_at: Option<String>,
}

/// A delivery of a webhook with all of it that was kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WholeDeliveryBody {
    #[serde(flatten)]
    pub delivery: DeliveryBody,
    /// Name and value of each header; secrets in them are `***`.
    pub headers: Vec<(String, String)>,
    /// Body as text; null where it is none.
    pub body: Option<String>,
    /// Body in base64, where it is no text.
    pub body_base64: Option<String>,
}

/// The delivery was taken, and what was in it is kept for good.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AcceptedBody {
    /// Events kept.
    pub events: usize,
    /// Events that had been kept before.
    pub repeated: usize,
}
