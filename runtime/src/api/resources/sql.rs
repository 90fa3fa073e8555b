//! SQL over what was measured. The store decides what may run; this only bounds and shapes.

mod answer;
mod formats;
mod stream;

use std::sync::atomic::Ordering;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{NoContent, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use answer::{Ask, answer, answer_offline, rows_of};
pub(crate) use formats::{csv_field, csv_line};

use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult, QueryFault};
use crate::api::http::moment::rfc3339;
use crate::api::http::running_queries::{Running, RunningQueries};
use crate::api::http::state::ApiState;
use crate::api_types::scope::Scope;
use crate::api_types::scope::Scope::Sql;
use crate::api_types::sql::{
    RunningQueriesBody, RunningQueryBody, SqlAnswer, SqlMacroBody, SqlRequest, SqlSchemaBody,
    SqlViewBody, SqlViewColumnBody,
};
use crate::domain::now_ms;
use crate::store::{Diagnosis, QueryError, SqlMacro, SqlSchema, SqlView};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(Sql, "/api/v1/sql", query)
            .slow()
            .id("sqlQuery")
            .summary("Query in SQL")
            .description(
                "`format`, or else `Accept`, chooses JSON, NDJSON, CSV, an Arrow IPC stream or Parquet. The header \
                 `extrack-truncated` marks an answer with missing rows; where that is not known at the head of a long \
                 answer, it is a trailer, which clients get that send `TE: trailers`. `extrack-query-id` names the query: \
                 send one with the request to choose it. An error in the statement has `line`, `column`, `caret` and \
                 `candidates`.",
            )
            .returns::<200, Json<SqlAnswer>>(),
        Endpoint::get(Sql, "/api/v1/sql", running)
            .id("sqlRunning")
            .summary("Queries of your token that run; of all tokens with the scope `admin`"),
        Endpoint::get(Sql, "/api/v1/sql/{queryId}", running_one)
            .id("sqlRunningGet")
            .summary("A query that runs, of your token, or of any with the scope `admin`: how far it is"),
        Endpoint::delete(Sql, "/api/v1/sql/{queryId}", cancel)
            .id("sqlCancel")
            .summary("Cancel a query that runs, of your token, or of any with the scope `admin`"),
        Endpoint::get(Sql, "/api/v1/sql/schema", schema)
            .id("sqlSchema")
            .summary("Views with their columns, and macros"),
    ]
}

/// Reports whether rows are missing; a header or a trailer.
const TRUNCATED: HeaderName = HeaderName::from_static("extrack-truncated");
/// Id of a query; the caller may choose it.
const QUERY_ID: HeaderName = HeaderName::from_static("extrack-query-id");
/// Moment up to which results are in the answer.
const DATA_TO: HeaderName = HeaderName::from_static("extrack-data-to");
/// Days whose rows are not in the answer, because their files in the archive are damaged.
const MISSING: HeaderName = HeaderName::from_static("extrack-missing");

async fn query(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    headers: HeaderMap,
    Json(request): Json<SqlRequest>,
) -> ApiResult<Response> {
    let SqlRequest {
        query,
        params,
        format,
        limit,
    } = request;
    let ask = Ask {
        query,
        params,
        format,
        limit,
    };
    answer(&state, &principal, &headers, ask).await
}

async fn running(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
) -> Json<RunningQueriesBody> {
    let own = state.queries.list().into_iter();
    let own = own.filter(|(_, running)| may_see(&principal, running));
    Json(RunningQueriesBody {
        items: own.map(|(id, running)| body(id, running)).collect(),
    })
}

async fn running_one(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(QueryPath { query_id }): Path<QueryPath>,
) -> ApiResult<Json<RunningQueryBody>> {
    let running = running_of(&state, &principal, &query_id)?;
    Ok(Json(body(query_id, running)))
}

fn body(query_id: String, running: Running) -> RunningQueryBody {
    let elapsed_ms = now_ms().saturating_sub(running.started_ms).max(0);
    RunningQueryBody {
        query_id,
        query: running.query,
        token: running.owner,
        started_at: rfc3339(running.started_ms),
        elapsed_ms: elapsed_ms.unsigned_abs(),
        rows: running.rows.load(Ordering::Relaxed),
        percent: running.progress.percent(),
    }
}

/// A query of somebody else is not there: its id is nobody else's business.
fn running_of(state: &ApiState, principal: &Principal, query_id: &str) -> ApiResult<Running> {
    let queries: &RunningQueries = &state.queries;
    queries
        .get(query_id)
        .filter(|running| may_see(principal, running))
        .ok_or_else(|| ApiError::query_not_found(query_id))
}

fn may_see(principal: &Principal, running: &Running) -> bool {
    running.owner == principal.name || principal.may(Scope::Admin)
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct QueryPath {
    #[serde(rename = "queryId")]
    query_id: String,
}

async fn cancel(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(QueryPath { query_id }): Path<QueryPath>,
) -> ApiResult<NoContent> {
    let running = running_of(&state, &principal, &query_id)?;
    running.cancel.cancel();
    Ok(NoContent)
}

async fn schema(State(state): State<ApiState>) -> ApiResult<Json<SqlSchemaBody>> {
    let schema = state.deps.results.query_schema().await;
    let schema = schema.map_err(QueryError::from)?;
    Ok(Json(schema.into()))
}

impl From<SqlSchema> for SqlSchemaBody {
    fn from(schema: SqlSchema) -> Self {
        Self {
            views: schema.views.into_iter().map(SqlViewBody::from).collect(),
            macros: schema.macros.into_iter().map(SqlMacroBody::from).collect(),
        }
    }
}

impl From<SqlView> for SqlViewBody {
    fn from(view: SqlView) -> Self {
        let columns = view.columns.into_iter();
        Self {
            name: view.name,
            description: view.about,
            columns: columns
                .map(|column| SqlViewColumnBody {
                    name: column.name,
                    kind: column.kind,
                    description: column.about,
                })
                .collect(),
        }
    }
}

impl From<SqlMacro> for SqlMacroBody {
    fn from(found: SqlMacro) -> Self {
        Self {
            name: found.name,
            parameters: found.parameters,
            table: found.is_table,
            description: found.about,
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
            QueryError::Refused(diagnosis) => {
                refusal("query-refused", "Query refused").with_query_fault(diagnosis.into())
            }
            QueryError::Invalid(diagnosis) => {
                refusal("query-invalid", "Query invalid").with_query_fault(diagnosis.into())
            }
            QueryError::Params(faults) => {
                Self::invalid("query-params-invalid", "Query parameters invalid", faults)
            }
            QueryError::Timeout(_) => refusal("query-timed-out", "Query timed out"),
            QueryError::Cancelled => refusal("query-cancelled", "Query cancelled"),
            QueryError::Stalled(_) => refusal("query-stalled", "Answer not read"),
            QueryError::Memory => refusal("query-too-large", "Query needs too much memory"),
            QueryError::Busy => Self::busy(detail),
            QueryError::Crashed(_) => refusal("query-crashed", "Query ended early"),
            QueryError::Unavailable(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "sql-unavailable",
                "SQL not available",
                detail,
            ),
            QueryError::Store(source) => Self::internal(source.into()),
        }
    }
}

impl From<Diagnosis> for QueryFault {
    fn from(diagnosis: Diagnosis) -> Self {
        Self {
            line: diagnosis.place.as_ref().map(|place| place.line),
            column: diagnosis.place.as_ref().map(|place| place.column),
            caret: diagnosis.place.map(|place| place.caret),
            candidates: diagnosis.candidates,
        }
    }
}

impl ApiError {
    fn query_not_found(query_id: &str) -> Self {
        let detail = format!(
            "no query `{query_id}` of yours runs; it may be done. `GET /api/v1/sql` lists those that run"
        );
        Self::not_found("query-not-found", "Query not found", detail)
    }

    fn query_id_taken(query_id: &str) -> Self {
        let detail = format!("a query `{query_id}` runs already; choose another id, or none");
        Self::conflict("query-id-taken", "Query id taken", detail)
    }
}
