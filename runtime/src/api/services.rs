//! Services: the seed's keys with `slug` and `status`. What comes from files can be read here and
//! is changed there.

mod change;

pub(super) use change::{
    check, check_docs, create, create_docs, delete, delete_docs, replace, replace_docs,
};

use aide::transform::TransformOperation;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::{ApiError, ApiResult};
use super::moment::rfc3339;
use super::page::{self, Page};
use super::state::ApiState;
use crate::domain::{CurrentStatus, Fault, Origin};
use crate::registry::ServiceRecord;

/// A service: the keys it was described with (secrets as `***`), and how it is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceBody {
    slug: String,
    /// Null before the first run; `unknown` while the latest check broke, which says nothing of
    /// the service.
    status: Option<CurrentStatus>,
    /// Why the status is `unknown`; null when it is another.
    status_reason: Option<String>,
    /// Since when it has had that status, RFC 3339.
    status_since: Option<String>,
    /// What comes from a `file` can't be changed over the API.
    origin: Origin,
    /// For `If-Match`; null for what comes from files.
    revision: Option<i64>,
    /// RFC 3339; null for what comes from files.
    created_at: Option<String>,
    updated_at: Option<String>,
    /// Why it does not run, e.g. because its plugin is gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    faults: Vec<Fault>,
    /// What is odd about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    warnings: Vec<Fault>,
    #[serde(flatten)]
    spec: Map<String, Value>,
}

impl ServiceBody {
    pub(super) fn new(state: &ApiState, record: ServiceRecord) -> Self {
        let ServiceRecord {
            slug,
            spec,
            origin,
            revision,
            created_ms,
            updated_ms,
            faults,
            warnings,
        } = record;
        let status = state.parts.monitor.service_status(&slug);
        Self {
            slug,
            status: status.as_ref().and_then(|status| status.status),
            status_reason: status.as_ref().and_then(|status| status.reason.clone()),
            status_since: status.and_then(|status| status.since_ms).map(rfc3339),
            origin,
            revision,
            created_at: created_ms.map(rfc3339),
            updated_at: updated_ms.map(rfc3339),
            faults,
            warnings,
            spec,
        }
    }

    fn etag(&self) -> Option<(HeaderName, String)> {
        self.revision
            .map(|revision| (ETAG, format!("\"{revision}\"")))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct SlugPath {
    /// The service's id, e.g. `shop-api`.
    pub(super) slug: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Only services with that status.
    #[schemars(with = "Option<CurrentStatus>")]
    status: Option<String>,
    /// Only services with that tag.
    tag: Option<String>,
}

/// By slug; the cursor is the last slug shown.
pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<ServiceQuery>,
) -> ApiResult<Json<Page<ServiceBody>>> {
    let limit = page::limit(query.limit)?;
    let status = page::word(
        "status",
        query.status.as_deref(),
        CurrentStatus::parse,
        &CurrentStatus::ALL.map(CurrentStatus::as_str),
    )?;
    let after = page::key_cursor(query.cursor.as_deref(), |key| {
        crate::domain::slug(key) == key
    })?;
    let slugs = state.parts.services.slugs();
    let slugs = slugs
        .iter()
        .filter(|slug| after.is_none_or(|after| slug.as_str() > after));
    let rows: Vec<ServiceRecord> = slugs
        .filter(|slug| status.is_none_or(|status| state.parts.monitor.status(slug) == Some(status)))
        .filter_map(|slug| state.parts.services.record(slug))
        .filter(|record| query.tag.as_deref().is_none_or(|tag| has_tag(record, tag)))
        .take(limit as usize + 1)
        .collect();
    let shape = |record| ServiceBody::new(&state, record);
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |record: &ServiceRecord| record.slug.clone(),
        shape,
    )))
}

fn has_tag(record: &ServiceRecord, tag: &str) -> bool {
    record
        .spec
        .get("tags")
        .and_then(Value::as_array)
        .is_some_and(|tags| tags.iter().any(|found| found == tag))
}

pub(super) fn list_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("serviceList")
        .tag("services")
        .summary("All services, by slug")
}

type Tagged<T> = (
    axum::response::AppendHeaders<Option<(HeaderName, String)>>,
    T,
);

pub(super) async fn get(
    State(state): State<ApiState>,
    Path(SlugPath { slug }): Path<SlugPath>,
    headers: HeaderMap,
) -> ApiResult<axum::response::Response> {
    let record = state
        .parts
        .services
        .record(&slug)
        .ok_or_else(|| ApiError::service_not_found(&slug))?;
    let answer = tagged(ServiceBody::new(&state, record));
    Ok(not_modified(&headers, &answer).unwrap_or(answer))
}

/// 304 where `If-None-Match` has the answer's tag. A weak comparison, as RFC 9110 asks for.
fn not_modified(
    headers: &HeaderMap,
    answer: &axum::response::Response,
) -> Option<axum::response::Response> {
    use axum::response::IntoResponse;
    let tag = answer.headers().get(ETAG)?;
    let lines = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    tags.any(|found| {
        found == "*" || found.strip_prefix("W/").unwrap_or(found).as_bytes() == tag.as_bytes()
    })
    .then(|| (StatusCode::NOT_MODIFIED, [(ETAG, tag.clone())]).into_response())
}

pub(super) fn get_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation.id("serviceGet").tag("services").summary("One service")
        .description(
            "`ETag` is the revision of the description, for `If-Match` and `If-None-Match`; the status is no part of it.",
        )
        .response::<200, Json<ServiceBody>>()
        .response::<304, ()>()
}

/// With its revision as `ETag`.
fn tagged(body: ServiceBody) -> axum::response::Response {
    use axum::response::{AppendHeaders, IntoResponse};
    let answer: Tagged<Json<ServiceBody>> = (AppendHeaders(body.etag()), Json(body));
    answer.into_response()
}
