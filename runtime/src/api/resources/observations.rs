//! Observations of a service's probes.

use axum::Json;
use axum::extract::{Path, Query, State};
use schemars::JsonSchema;
use serde::Deserialize;

use super::services::SlugPath;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{self, Page};
use crate::api::http::state::ApiState;
use crate::api_types::observations::ObservationBody;
use crate::api_types::scope::Scope::Read;
use crate::domain::Observation;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/services/{slug}/observations", list)
            .id("observationList")
            .summary("Observations, newest first"),
    ]
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
pub(crate) struct ObservationQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = "^[0-9]{1,18}$"))]
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

async fn list(
    State(state): State<ApiState>,
    Path(SlugPath { slug }): Path<SlugPath>,
    Query(query): Query<ObservationQuery>,
) -> ApiResult<Json<Page<ObservationBody>>> {
    if state.deps.registry.record(&slug).is_none() {
        return Err(ApiError::service_not_found(&slug));
    }
    let before = page::id_cursor(query.cursor.as_deref())?;
    let limit = page::limit(query.limit)?;
    let rows = state
        .deps
        .results
        .observation_page(&slug, before, limit as usize + 1)
        .await?;
    let cursor = |row: &Observation| row.run_id.to_string();
    Ok(Json(Page::from_rows(rows, limit, cursor, |row| {
        ObservationBody::from(&row)
    })))
}
