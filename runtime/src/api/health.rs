//! `/healthz`: the process lives. `/readyz`: it can do its work. Open to anyone, so they say
//! little.

use aide::transform::TransformOperation;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::state::ApiState;

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct HealthBody {
    /// `ok`, or `not ready`.
    status: &'static str,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    reasons: Vec<String>,
    /// What should be looked at although it is ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    warnings: Vec<String>,
}

pub(super) async fn live() -> Json<HealthBody> {
    Json(HealthBody {
        status: "ok",
        reasons: Vec::new(),
        warnings: Vec::new(),
    })
}

pub(super) fn live_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("healthGet")
        .tag("program")
        .summary("Does the process live?")
}

pub(super) async fn ready(State(state): State<ApiState>) -> (StatusCode, Json<HealthBody>) {
    let reasons = state.parts.program.unready();
    let warnings = state.parts.program.warnings();
    match reasons.is_empty() {
        true => (
            StatusCode::OK,
            Json(HealthBody {
                status: "ok",
                reasons,
                warnings,
            }),
        ),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(HealthBody {
                status: "not ready",
                reasons,
                warnings,
            }),
        ),
    }
}

pub(super) fn ready_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("readinessGet")
        .tag("program")
        .summary("Can it do its work?")
        .response::<200, Json<HealthBody>>()
        .response::<503, Json<HealthBody>>()
}
