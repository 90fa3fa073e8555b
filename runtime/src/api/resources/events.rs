//! Events that services sent through webhooks.

use axum::Json;
use axum::extract::{Path, Query, State};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::services::SlugPath;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{self, Page};
use crate::api::http::state::ApiState;
use crate::api_types::events::EventBody;
use crate::api_types::scope::Scope::Read;
use crate::domain::Event;
use crate::store::EventFilter;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/services/{slug}/events", of_service)
            .id("serviceEventList")
            .summary("Events of a service, newest first"),
        Endpoint::get(Read, "/api/v1/events", list)
            .id("eventList")
            .summary("Events of services, newest first"),
    ]
}

impl From<Event> for EventBody {
    fn from(event: Event) -> Self {
        let attributes = event.attributes.into_iter();
        Self {
            id: event.id,
            ts: rfc3339(event.ts_ms),
            received_at: rfc3339(event.received_ms),
            service: event.service,
            webhook: event.webhook,
            kind: event.kind,
            summary: event.summary,
            payload: serde_json::from_str(&event.payload).unwrap_or(Value::String(event.payload)),
            attributes: attributes
                .map(|attribute| {
                    (
                        attribute.name,
                        serde_json::to_value(&attribute.value).unwrap_or_default(),
                    )
                })
                .collect(),
            event_id: event.event_id,
            plugin: event.plugin,
            plugin_version: event.plugin_version,
            run_id: event.run_id,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = "^[0-9]{1,18}$"))]
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Only events of that service.
    service: Option<String>,
    /// Only events of the webhook of that name.
    webhook: Option<String>,
    /// Only events of that kind.
    kind: Option<String>,
}

async fn list(
    State(state): State<ApiState>,
    Query(query): Query<EventQuery>,
) -> ApiResult<Json<Page<EventBody>>> {
    let filter = EventFilter {
        service: query.service,
        webhook: query.webhook,
        kind: query.kind,
    };
    page(&state, filter, query.cursor.as_deref(), query.limit).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceEventQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = "^[0-9]{1,18}$"))]
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Only events of the webhook of that name.
    webhook: Option<String>,
    /// Only events of that kind.
    kind: Option<String>,
}

async fn of_service(
    State(state): State<ApiState>,
    Path(SlugPath { slug }): Path<SlugPath>,
    Query(query): Query<ServiceEventQuery>,
) -> ApiResult<Json<Page<EventBody>>> {
    if state.deps.registry.record(&slug).is_none() {
        return Err(ApiError::service_not_found(&slug));
    }
    let filter = EventFilter {
        service: Some(slug),
        webhook: query.webhook,
        kind: query.kind,
    };
    page(&state, filter, query.cursor.as_deref(), query.limit).await
}

async fn page(
    state: &ApiState,
    filter: EventFilter,
    cursor: Option<&str>,
    limit: Option<u32>,
) -> ApiResult<Json<Page<EventBody>>> {
    let before = page::id_cursor(cursor)?;
    let limit = page::limit(limit)?;
    let rows = state
        .deps
        .results
        .event_page(filter, before, limit as usize + 1)
        .await?;
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |row: &Event| row.id.to_string(),
        EventBody::from,
    )))
}
