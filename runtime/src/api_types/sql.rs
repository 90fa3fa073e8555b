//! Queries in SQL.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlRequest {
    /// One statement that reads, e.g. `select * from observations order by ts desc limit 10`.
    #[schemars(length(min = 1))]
    pub query: String,
    /// Values of `$1`, `$2`, … as a list, or of `$name` as an object. A moment with an offset is
    /// converted to UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<SqlParams>,
    /// Default: what `Accept` wants, else `json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<SqlFormat>,
    /// Most rows of the answer. Default and limit: 10000 as `json`, 1000000 in other formats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub limit: Option<u32>,
}

/// How a saved query is run.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlRunRequest {
    /// Values of `$1`, `$2`, … as a list, or of `$name` as an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<SqlParams>,
    /// Default: what `Accept` wants, else `json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<SqlFormat>,
    /// Most rows of the answer, as of a query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub limit: Option<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SqlParams {
    Positional(Vec<Value>),
    Named(Map<String, Value>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SqlFormat {
    Json,
    /// An object a line. When rows are missing, the last line is `{"$extrack": {"truncated": true}}`.
    Ndjson,
    /// RFC 4180 with a header line.
    Csv,
    /// The stream format of Arrow IPC.
    Arrow,
    Parquet,
}

impl SqlFormat {
    pub const ALL: [Self; 5] = [
        Self::Json,
        Self::Ndjson,
        Self::Csv,
        Self::Arrow,
        Self::Parquet,
    ];

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
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
    /// Name of the query while it ran.
    #[serde(rename = "queryId", default)]
    pub query_id: String,
    /// Moment up to which results are committed, and so in the answer.
    #[serde(rename = "dataTo", default)]
    pub data_to: String,
    /// Days of tables whose rows are not in the answer, because their files in the archive are
    /// damaged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// A query that runs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunningQueryBody {
    pub query_id: String,
    /// The statement, or its beginning.
    pub query: String,
    /// Name of the token that asked.
    pub token: String,
    pub started_at: String,
    pub elapsed_ms: u64,
    /// Rows that were handed out so far.
    pub rows: u64,
    /// How far it is in percent, as the database estimates it; missing until it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub percent: Option<u8>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunningQueriesBody {
    /// The oldest first.
    pub items: Vec<RunningQueryBody>,
}

/// What can be named in a query.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SqlSchemaBody {
    pub views: Vec<SqlViewBody>,
    pub macros: Vec<SqlMacroBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SqlViewBody {
    pub name: String,
    /// What a row is.
    pub description: String,
    pub columns: Vec<SqlViewColumnBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SqlViewColumnBody {
    pub name: String,
    /// DuckDB's word.
    #[serde(rename = "type")]
    pub kind: String,
    /// Meaning and unit; may be empty.
    pub description: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SqlMacroBody {
    pub name: String,
    pub parameters: Vec<String>,
    /// Used after `FROM`, not in an expression.
    pub table: bool,
    pub description: String,
}
