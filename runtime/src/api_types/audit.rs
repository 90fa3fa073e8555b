//! Entries of the audit log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One change.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AuditBody {
    pub id: i64,
    /// RFC 3339.
    pub ts: String,
    /// Name of the token, or the part of the program.
    pub actor: String,
    /// E.g. `plugin.install`.
    pub action: String,
    /// `KIND:NAME`, e.g. `plugin:http` or `service:shop-api`.
    pub subject: String,
    /// Details of the change; for a plugin the digests before (`from`) and after (`to`).
    pub detail: Value,
    /// Address of the client, if the change came over the API; behind a proxy that is not trusted,
    /// the address of the proxy.
    pub address: Option<String>,
}
