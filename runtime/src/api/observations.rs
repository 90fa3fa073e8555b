//! What the runs of a service's probes found.

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
use crate::domain::{ErrorKind, Observation, Phases, Status};

/// One run of a probe.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObservationBody {
    run_id: i64,
    /// When the run was due, RFC 3339.
    ts: String,
    /// Slug.
    service: String,
    probe: String,
    location: String,
    status: Status,
    /// Microseconds; null when there was no answer.
    latency_us: Option<u64>,
    phases: Phases,
    http_status: Option<u16>,
    error_kind: Option<ErrorKind>,
    /// For people; null when all was well.
    error: Option<String>,
    /// Received.
    bytes: u64,
    plugin: String,
    plugin_version: String,
    /// The run was due and did not take place.
    missed: bool,
    /// What else the probe measured.
    metrics: Map<String, Value>,
}

impl From<&Observation> for ObservationBody {
    fn from(observation: &Observation) -> Self {
        let failure = observation.failure.as_ref();
        let metrics = observation.metrics.iter();
        Self {
            run_id: observation.run_id,
            ts: rfc3339(observation.ts_ms),
            service: observation.service.clone(),
            probe: observation.probe.clone(),
            location: observation.location.clone(),
            status: observation.status,
            latency_us: observation.latency_us,
            phases: observation.phases,
            http_status: observation.http_status,
            error_kind: failure.map(|failure| failure.kind),
            error: failure.map(|failure| failure.message.clone()),
            bytes: observation.bytes,
            plugin: observation.plugin.clone(),
            plugin_version: observation.plugin_version.clone(),
            missed: observation.missed,
            metrics: metrics
                .map(|metric| {
                    (
                        metric.name.clone(),
                        serde_json::to_value(&metric.value).unwrap_or_default(),
                    )
                })
                .collect(),
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ObservationQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

pub(super) async fn list(
    State(state): State<ApiState>,
    Path(SlugPath { slug }): Path<SlugPath>,
    Query(query): Query<ObservationQuery>,
) -> ApiResult<Json<Page<ObservationBody>>> {
    if state.parts.services.record(&slug).is_none() {
        return Err(ApiError::service_not_found(&slug));
    }
    let before = page::id_cursor(query.cursor.as_deref())?;
    let limit = page::limit(query.limit)?;
    let rows = state
        .parts
        .results
        .observation_page(&slug, before, limit as usize + 1)
        .await?;
    let cursor = |row: &Observation| row.run_id.to_string();
    Ok(Json(Page::from_rows(rows, limit, cursor, |row| {
        ObservationBody::from(&row)
    })))
}

pub(super) fn list_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("observationList")
        .tag("services")
        .summary("What the last runs found, newest first")
}
