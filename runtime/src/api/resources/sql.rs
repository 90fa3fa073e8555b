//! SQL over what was measured. The store decides what may run; this only bounds and shapes.

mod csv;

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::api_types::scope::Scope::Sql;
use crate::api_types::sql::{SqlAnswer, SqlColumn, SqlFormat, SqlRequest};
use crate::store::{self, QueryError, QueryLimits};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(Sql, "/api/v1/sql", query)
            .slow()
            .id("sqlQuery")
            .summary("Query in SQL")
            .returns::<200, Json<SqlAnswer>>(),
    ]
}

/// Rows of one answer; larger results are for exports.
const MAX_ROWS: usize = 10_000;
const TIMEOUT: Duration = Duration::from_secs(30);

async fn query(
    State(state): State<ApiState>,
    Json(request): Json<SqlRequest>,
) -> ApiResult<Response> {
    let limits = QueryLimits {
        rows: MAX_ROWS,
        timeout: TIMEOUT,
    };
    let answer = state.deps.results.query(&request.query, limits).await?;
    Ok(match request.format {
        SqlFormat::Json => Json(SqlAnswer::from(answer)).into_response(),
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

impl From<store::SqlAnswer> for SqlAnswer {
    fn from(answer: store::SqlAnswer) -> Self {
        let columns = answer.columns.into_iter();
        Self {
            columns: columns
                .map(|store::SqlColumn { name, kind }| SqlColumn { name, kind })
                .collect(),
            rows: answer.rows,
            truncated: answer.truncated,
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let detail = error.to_string();
        let refusal = |name, title| {
            Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                name,
                title,
                detail.clone(),
            )
        };
        match error {
            QueryError::Refused(_) => refusal("query-refused", "Query refused"),
            QueryError::Invalid(_) => refusal("query-invalid", "Query invalid"),
            QueryError::Timeout(_) => refusal("query-timed-out", "Query timed out"),
            QueryError::Memory => refusal("query-too-large", "Query needs too much memory"),
            QueryError::Busy => Self::busy(detail),
            QueryError::Store(source) => Self::internal(source.into()),
        }
    }
}
