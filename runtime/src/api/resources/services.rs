//! Services: the seed's keys with `slug` and `status`. What comes from files can be read here and
//! is changed there.

pub(crate) mod batch;
pub(crate) mod change;
pub(crate) mod pause;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header::ETAG;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::negotiation::has_tag as has_etag;
use crate::api::http::page::{self, Page};
use crate::api::http::state::ApiState;
use crate::api_types::heartbeats::HeartbeatBody;
use crate::api_types::scope::Scope::Read;
use crate::api_types::services::{MeterBody, PauseBody, ServiceBody};
use crate::domain::{CurrentStatus, Fault};
use crate::monitoring::MeterStatus;
use crate::registry::{CatalogError, ServiceRecord};
use crate::store::ControlError;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/services", list)
            .id("serviceList")
            .summary("All services, by slug"),
        Endpoint::get(Read, "/api/v1/services/{slug}", get)
            .id("serviceGet")
            .summary("One service")
            .description(
                "`ETag` is the revision of the description, for `If-Match` and `If-None-Match`; \
                 the status is no part of it.",
            )
            .returns::<200, Json<ServiceBody>>()
            .returns::<304, ()>(),
    ]
}

impl From<MeterStatus> for MeterBody {
    fn from(status: MeterStatus) -> Self {
        Self {
            name: status.name,
            read_at: rfc3339(status.read_ms),
            lines: status.lines,
            error: status.error,
            failures: status.failures,
        }
    }
}

impl ServiceBody {
    pub(crate) fn new(state: &ApiState, record: ServiceRecord) -> Self {
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
        let status = state.deps.monitor.service_status(&slug);
        let heartbeat = state.deps.heartbeats.status(&slug);
        let catalog = state.deps.registry.catalog();
        let pause = catalog.paused.get(&slug).map(PauseBody::of);
        Self {
            slug,
            status: status.as_ref().and_then(|status| status.status),
            status_reason: status.as_ref().and_then(|status| status.reason.clone()),
            status_since: status
                .as_ref()
                .and_then(|status| status.since_ms)
                .map(rfc3339),
            meter_status: status
                .map(|status| status.meters)
                .unwrap_or_default()
                .into_iter()
                .map(MeterBody::from)
                .collect(),
            pause,
            origin,
            revision,
            created_at: created_ms.map(rfc3339),
            updated_at: updated_ms.map(rfc3339),
            heartbeat_status: heartbeat.map(|status| HeartbeatBody::new(state, status)),
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
pub(crate) struct SlugPath {
    /// The service's id, e.g. `shop-api`.
    pub(crate) slug: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceQuery {
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
    /// Only services with that owner.
    owner: Option<String>,
    /// Only services of that team.
    team: Option<String>,
    /// Only services of that criticality: `low`, `medium`, `high` or `critical`.
    criticality: Option<String>,
    /// Only services of that environment.
    environment: Option<String>,
}

impl ServiceQuery {
    fn selects(&self, record: &ServiceRecord) -> bool {
        let facts = [
            ("owner", &self.owner),
            ("team", &self.team),
            ("criticality", &self.criticality),
            ("environment", &self.environment),
        ];
        let has_facts = facts.into_iter().all(|(key, wanted)| {
            let found = || record.spec.get(key).and_then(Value::as_str);
            wanted.is_none() || found() == wanted.as_deref()
        });
        has_facts && self.tag.as_deref().is_none_or(|tag| has_tag(record, tag))
    }
}

/// Lists services by slug; the cursor is the last slug shown.
async fn list(
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
    let slugs = state.deps.registry.slugs();
    let slugs = slugs
        .iter()
        .filter(|slug| after.is_none_or(|after| slug.as_str() > after));
    let rows: Vec<ServiceRecord> = slugs
        .filter(|slug| status.is_none_or(|status| state.deps.monitor.status(slug) == Some(status)))
        .filter_map(|slug| state.deps.registry.record(slug))
        .filter(|record| query.selects(record))
        .take(limit as usize + 1)
        .collect();
    let shape = |record| {
        let mut body = ServiceBody::new(&state, record);
        body.heartbeat_status = body.heartbeat_status.map(HeartbeatBody::in_list);
        body
    };
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

type Tagged<T> = (
    axum::response::AppendHeaders<Option<(HeaderName, String)>>,
    T,
);

async fn get(
    State(state): State<ApiState>,
    Path(SlugPath { slug }): Path<SlugPath>,
    headers: HeaderMap,
) -> ApiResult<axum::response::Response> {
    let record = state
        .deps
        .registry
        .record(&slug)
        .ok_or_else(|| ApiError::service_not_found(&slug))?;
    let answer = tagged(ServiceBody::new(&state, record));
    Ok(not_modified(&headers, &answer).unwrap_or(answer))
}

/// 304 where `If-None-Match` has the answer's tag.
fn not_modified(
    headers: &HeaderMap,
    answer: &axum::response::Response,
) -> Option<axum::response::Response> {
    use axum::response::IntoResponse;
    let tag = answer.headers().get(ETAG)?;
    has_etag(headers, tag)
        .then(|| (StatusCode::NOT_MODIFIED, [(ETAG, tag.clone())]).into_response())
}

/// Answers a service with its revision as `ETag`.
fn tagged(body: ServiceBody) -> axum::response::Response {
    use axum::response::{AppendHeaders, IntoResponse};
    let answer: Tagged<Json<ServiceBody>> = (AppendHeaders(body.etag()), Json(body));
    answer.into_response()
}

impl ApiError {
    pub(crate) fn service_not_found(slug: &str) -> Self {
        let detail = format!("there is no service `{slug}`; `GET /api/v1/services` lists them");
        Self::not_found("service-not-found", "Service not found", detail)
    }

    pub(crate) fn invalid_service(faults: Vec<Fault>) -> Self {
        Self::invalid("invalid-service", "Invalid service", faults)
    }
}

impl From<CatalogError> for ApiError {
    fn from(refusal: CatalogError) -> Self {
        let detail = refusal.to_string();
        match refusal {
            CatalogError::NotFound(slug) => Self::service_not_found(&slug),
            CatalogError::Store(ControlError::NotFound { .. }) => Self::not_found(
                "service-not-found",
                "Service not found",
                "it was deleted meanwhile",
            ),
            CatalogError::OwnedByFile(_) => {
                Self::conflict("owned-by-file", "Service comes from a file", detail)
            }
            // The store may have one that this program has not read.
            CatalogError::Exists(_) | CatalogError::Store(ControlError::Exists { .. }) => {
                Self::conflict("service-exists", "Service exists", detail)
            }
            CatalogError::RevisionConflict { .. }
            | CatalogError::DeletedMeanwhile(_)
            | CatalogError::Store(ControlError::Conflict { .. }) => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "revision-conflict",
                "Changed meanwhile",
                detail,
            ),
            CatalogError::PausedByDescription { .. } => {
                Self::conflict("paused-by-description", "Its description pauses it", detail)
            }
            CatalogError::Needed { .. } => {
                Self::conflict("service-needed", "Other services depend on it", detail)
            }
            CatalogError::Repeated(_) => Self::invalid_service(vec![Fault::new("", detail)]),
            CatalogError::Invalid(faults) => Self::invalid_service(faults),
            CatalogError::Store(source) => Self::internal(source.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::testing::TestStore;

    #[tokio::test]
    async fn a_conflict_that_only_the_store_sees_is_answered_as_a_conflict() {
        let store = TestStore::open().await;
        let spec = json!({});
        store.control.service_insert("shop", &spec).await.unwrap();
        let again = store.control.service_insert("shop", &spec).await;
        let late = store.control.service_update("shop", &spec, Some(7)).await;
        for (result, status) in [
            (again, StatusCode::CONFLICT),
            (late, StatusCode::PRECONDITION_FAILED),
        ] {
            let refusal = CatalogError::from(result.unwrap_err());
            assert_eq!(ApiError::from(refusal).status(), status);
        }
    }
}
