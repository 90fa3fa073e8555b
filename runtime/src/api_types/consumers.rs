//! Consumers of the gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A consumer without its token, of which only a hash is kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerBody {
    pub id: i64,
    /// Name; `consumer` of its calls.
    pub name: String,
    /// Slugs of the services it may call; `*` for all.
    pub services: Vec<String>,
    pub created_at: String,
    /// Name of the API token it was made with.
    pub created_by: String,
}

/// A new consumer, with its token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NewConsumerBody {
    /// Shown now and never again.
    pub token: String,
    #[serde(flatten)]
    pub body: ConsumerBody,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsumerSpec {
    /// 1 to 64 letters, digits, `.`, `_` and `-`; unique.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Slugs of the services it may call, which need not be there yet; `*` for all.
    #[schemars(length(min = 1, max = 100))]
    pub services: Vec<String>,
}
