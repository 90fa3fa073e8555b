//! `/healthz`: the process lives. `/readyz`: it can do its work. Open to anyone, so they show
//! little.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::api::http::endpoint::{ANYONE, Endpoint};
use crate::api::http::state::ApiState;
use crate::api_types::health::HealthBody;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(ANYONE, "/healthz", live)
            .id("healthGet")
            .summary("Liveness of the process"),
        Endpoint::get(ANYONE, "/readyz", ready)
            .id("readinessGet")
            .summary("Readiness to work")
            .returns::<200, Json<HealthBody>>()
            .returns::<503, Json<HealthBody>>(),
    ]
}

async fn live() -> Json<HealthBody> {
    Json(HealthBody {
        status: "ok".to_owned(),
        reasons: Vec::new(),
        warnings: Vec::new(),
    })
}

async fn ready(State(state): State<ApiState>) -> (StatusCode, Json<HealthBody>) {
    let reasons = state.deps.program.unready();
    let warnings = state.deps.program.warnings();
    let (code, status) = if reasons.is_empty() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    let body = HealthBody {
        status: status.to_owned(),
        reasons,
        warnings,
    };
    (code, Json(body))
}
