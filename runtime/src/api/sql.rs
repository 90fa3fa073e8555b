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
use serde::Deserialize;

use super::error::{ApiError, ApiResult};
use super::state::ApiState;
use crate::store::{QueryLimits, SqlAnswer};

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

pub(super) async fn query(
    State(state): State<ApiState>,
    Json(request): Json<SqlRequest>,
) -> ApiResult<Response> {
    let limits = QueryLimits {
        rows: MAX_ROWS,
        timeout: TIMEOUT,
    };
    let answer = state.parts.results.query(&request.query, limits).await;
    let answer = answer.map_err(ApiError::from_sql)?;
    Ok(match request.format {
        SqlFormat::Json => Json(answer).into_response(),
        SqlFormat::Csv => {
            let truncated = (
                HeaderName::from_static("extrack-truncated"),
                answer.truncated.to_string(),
            );
            (
                [
                    (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
                    truncated,
                ],
                csv::write(&answer),
            )
                .into_response()
        }
    })
}

pub(super) fn query_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("sqlQuery")
        .tag("sql")
        .summary("Ask anything in SQL")
        .response::<200, Json<SqlAnswer>>()
}
