//! `/metrics`: the program's own measurements as Prometheus text.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::api::http::endpoint::Endpoint;
use crate::api::http::state::ApiState;
use crate::api_types::scope::Scope::Read;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/metrics", get)
            .id("metricsGet")
            .summary("The program's own metrics, as Prometheus text")
            .returns::<200, String>(),
    ]
}

async fn get(State(state): State<ApiState>) -> Response {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        state.deps.program.metrics(),
    )
        .into_response()
}
