//! What services told us through webhooks.

use aide::transform::TransformOperation;
use axum::Json;
use axum::extract::{Path, Query, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::{ApiError, ApiResult};
use super::moment::rfc3339;
use super::page::{self, Page};
use super::services::SlugPath;
use super::state::ApiState;
use crate::domain::Event;
use crate::store::EventFilter;

/// One event of a service.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventBody {
    id: i64,
    /// By the sender's clock where it says so, RFC 3339.
    ts: String,
    received_at: String,
    /// Slug.
    service: String,
    webhook: String,
    /// The sender's word for it.
    kind: String,
    /// One line for people.
    summary: String,
    /// What was kept of the sender's own words.
    payload: Value,
    attributes: Map<String, Value>,
    /// The sender's id.
    event_id: Option<String>,
    plugin: String,
    plugin_version: String,
    /// Of the plugin's run, as in `plugin_runs`.
    run_id: i64,
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
pub(super) struct EventQuery {
    /// `next` of the page before.
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

pub(super) async fn list(
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

pub(super) fn list_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("eventList")
        .tag("webhooks")
        .summary("What services told us, newest first")
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceEventQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Only events of the webhook of that name.
    webhook: Option<String>,
    /// Only events of that kind.
    kind: Option<String>,
}

pub(super) async fn of_service(
    State(state): State<ApiState>,
    Path(SlugPath { slug }): Path<SlugPath>,
    Query(query): Query<ServiceEventQuery>,
) -> ApiResult<Json<Page<EventBody>>> {
    if state.parts.services.record(&slug).is_none() {
        return Err(ApiError::service_not_found(&slug));
    }
    let filter = EventFilter {
        service: Some(slug),
        webhook: query.webhook,
        kind: query.kind,
    };
    page(&state, filter, query.cursor.as_deref(), query.limit).await
}

pub(super) fn of_service_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("serviceEventList")
        .tag("webhooks")
        .summary("What a service told us, newest first")
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
        .parts
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
