//! `/metrics`: the program's own measurements as Prometheus text.

use aide::transform::TransformOperation;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::state::ApiState;

pub(super) async fn get(State(state): State<ApiState>) -> Response {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        state.parts.program.metrics(),
    )
        .into_response()
}

pub(super) fn get_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("metricsGet")
        .tag("program")
        .summary("The program's own metrics, as Prometheus text")
        .response::<200, String>()
}
