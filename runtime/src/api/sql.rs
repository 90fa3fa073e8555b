//! SQL over what was measured. The store decides what may run; this only bounds and shapes.

mod csv;

use std::time::Duration;

use aide::transform::TransformOperation;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{ApiError, ApiResult};
use super::ports::{QueryLimits, SqlAnswer};
use super::state::ApiState;

/// What one answer holds at most; larger results are for exports.
const MAX_ROWS: usize = 10_000;
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SqlRequest {
    /// One statement that reads, e.g. `select * from observations order by ts desc limit 10`.
    query: String,
    #[serde(default)]
    format: SqlFormat,
}

#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SqlFormat {
    #[default]
    Json,
    /// RFC 4180 with a header line; `extrack-truncated: true` says that rows are missing.
    Csv,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SqlBody {
    columns: Vec<SqlColumn>,
    /// One array a row, in the order of the columns.
    rows: Vec<Vec<Value>>,
    /// There were more rows than an answer holds.
    truncated: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct SqlColumn {
    name: String,
    r#type: String,
}

pub(super) async fn query(State(state): State<ApiState>, Json(request): Json<SqlRequest>) -> ApiResult<Response> {
    let limits = QueryLimits { rows: MAX_ROWS, timeout: TIMEOUT };
    let answer = state.ports.results.query(&request.query, limits).await;
    let answer = answer.map_err(|error| ApiError::from_sql(error, TIMEOUT.as_secs()))?;
    Ok(match request.format {
        SqlFormat::Json => Json(SqlBody::from(answer)).into_response(),
        SqlFormat::Csv => {
            let truncated = (HeaderName::from_static("extrack-truncated"), answer.truncated.to_string());
            ([(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), truncated], csv::write(&answer)).into_response()
        }
    })
}

impl From<SqlAnswer> for SqlBody {
    fn from(answer: SqlAnswer) -> Self {
        let SqlAnswer { columns, rows, truncated } = answer;
        let columns = columns.into_iter().map(|(name, r#type)| SqlColumn { name, r#type }).collect();
        Self { columns, rows, truncated }
    }
}

pub(super) fn query_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation.id("sqlQuery").tag("sql").summary("Ask anything in SQL").response::<200, Json<SqlBody>>()
}
