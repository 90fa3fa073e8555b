//! Queries in SQL.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlRequest {
    /// One statement that reads, e.g. `select * from observations order by ts desc limit 10`.
    #[schemars(length(min = 1))]
    pub query: String,
    #[serde(default)]
    pub format: SqlFormat,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SqlFormat {
    #[default]
    Json,
    /// RFC 4180 with a header line; `extrack-truncated: true` marks missing rows.
    Csv,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SqlColumn {
    pub name: String,
    /// DuckDB's word, e.g. `VARCHAR` or `DECIMAL(18,3)`.
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SqlAnswer {
    pub columns: Vec<SqlColumn>,
    pub rows: Vec<Vec<Value>>,
    /// There were more rows than the limit.
    pub truncated: bool,
}
