//! Pauses of services: of those that files own too, because a pause is what people do at the
//! moment, and no part of a description.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::{Extension, Json};
use serde_json::json;

use super::{SlugPath, tagged};
use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::state::ApiState;
use crate::api::resources::audit;
use crate::api_types::scope::Scope::Write;
use crate::api_types::services::{PauseBody, ServiceBody};
use crate::domain::fault::FaultReport;
use crate::domain::{Pause, PausedBy, now_ms};
use crate::registry::pause_compile;
use crate::spec::PauseSpec;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(Write, "/api/v1/services/{slug}/pause", pause)
            .id("servicePause")
            .summary("Pause a service: nothing is checked, judged or paged")
            .description(
                "Without `until` and `for` until it is resumed. It takes the place of a pause made before.",
            )
            .returns::<200, Json<ServiceBody>>(),
        Endpoint::post(Write, "/api/v1/services/{slug}/resume", resume)
            .id("serviceResume")
            .summary("End the pause of a service")
            .returns::<200, Json<ServiceBody>>(),
    ]
}

impl PauseBody {
    pub(super) fn of(pause: &Pause) -> Self {
        Self {
            until: pause.until_ms.map(rfc3339),
            reason: pause.reason.clone(),
            author: pause.by.as_ref().map(|by| by.author.clone()),
            since: pause.by.as_ref().map(|by| rfc3339(by.since_ms)),
        }
    }
}

pub(crate) async fn pause(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(SlugPath { slug }): Path<SlugPath>,
    Json(spec): Json<PauseSpec>,
) -> ApiResult<Response> {
    let now_ms = now_ms();
    let mut report = FaultReport::default();
    let pause = pause_compile(&spec, now_ms, &mut report);
    if !report.faults.is_empty() {
        return Err(ApiError::invalid(
            "invalid-pause",
            "Invalid pause",
            report.faults,
        ));
    }
    let detail = json!({"until": pause.until_ms.map(rfc3339), "reason": pause.reason});
    let by = PausedBy {
        author: principal.name.clone(),
        since_ms: now_ms,
    };
    let working = state.clone();
    let pausing = async move {
        let record = working.deps.registry.pause(&slug, pause, by).await?;
        audit::note_with(&working, &principal, "service.pause", &slug, &detail).await;
        working.live.changes().services();
        Ok::<_, ApiError>(record)
    };
    let record = state.to_its_end(pausing).await?;
    Ok(tagged(ServiceBody::new(&state, record)))
}

pub(crate) async fn resume(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(SlugPath { slug }): Path<SlugPath>,
) -> ApiResult<Response> {
    let working = state.clone();
    let resuming = async move {
        let registry = &working.deps.registry;
        let was_paused = registry.catalog().paused.contains_key(&slug);
        let record = registry.resume(&slug).await?;
        if was_paused {
            audit::note(&working, &principal, "service.resume", &slug).await;
            working.live.changes().services();
        }
        Ok::<_, ApiError>(record)
    };
    let record = state.to_its_end(resuming).await?;
    Ok(tagged(ServiceBody::new(&state, record)))
}
