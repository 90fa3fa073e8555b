//! Deliveries of webhooks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The delivery was taken, and what was in it is kept for good.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AcceptedBody {
    /// Events kept.
    pub events: usize,
    /// Events that had been kept before.
    pub repeated: usize,
}
