//! API tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scope::Scope;

/// A token without its text, of which only a hash is kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenBody {
    pub id: i64,
    /// Name; the actor in the audit log.
    pub name: String,
    pub scopes: Vec<String>,
    /// `api`; `environment` for `EXTRACK_ADMIN_TOKEN`; `start` for the one of the first start.
    pub origin: String,
    pub created_at: String,
    /// Name of the token it was made with; empty where the program made it.
    pub created_by: String,
    /// Null: never.
    pub expires_at: Option<String>,
    pub is_expired: bool,
    /// Null: not yet.
    pub last_used_at: Option<String>,
}

/// A new token, with its text.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NewTokenBody {
    /// Shown now and never again.
    pub token: String,
    #[serde(flatten)]
    pub body: TokenBody,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenSpec {
    /// 1 to 64 characters; unique.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Scopes; `admin` includes the others.
    #[schemars(with = "Vec<Scope>", length(min = 1))]
    pub scopes: Vec<String>,
    /// Lifetime from now on, such as `90d`. Without this and `expiresAt` the token never expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub expires_at: Option<String>,
}
