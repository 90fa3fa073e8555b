//! The number of open alerts, which the title of every page shows.

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use crate::api::http::negotiation::wants_html;
use crate::api::http::state::ApiState;
use crate::api::http::viewer::{firing, note_firing};

/// Middleware behind the sign-in.
pub(crate) async fn count(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    if request.method() == Method::GET && wants_html(request.headers()) {
        // A page without the number is better than none.
        if let Ok(firing) = firing(&state.deps.control).await {
            note_firing(firing);
        }
    }
    next.run(request).await
}
