//! The gateway's place among the routes: before them all, so that no limit of the API's own requests
//! holds for calls of consumers.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::http::auth;
use super::http::caller::ClientAddress;
use super::http::error::ApiError;
use super::http::state::ApiState;
use crate::gateway::{Gateway, TokenUnknown, client_body};

#[derive(Clone)]
struct Front {
    state: ApiState,
    gateway: Gateway,
}

/// Adds the gateway to the whole face.
pub fn with_gateway(router: Router, state: ApiState, gateway: Gateway) -> Router {
    let front = Front {
        state: state.clone(),
        gateway,
    };
    router
        .layer(from_fn_with_state(front, pass))
        .layer(from_fn_with_state(state, auth::identify))
}

async fn pass(State(front): State<Front>, request: Request, next: Next) -> Response {
    let Some(route) = front.gateway.route(&request) else {
        return next.run(request).await;
    };
    let address = request
        .extensions()
        .get::<ClientAddress>()
        .map(|ClientAddress(address)| *address);
    let request = request.map(client_body);
    let answer = front.gateway.serve(route, request).await;
    if answer.extensions().get::<TokenUnknown>().is_some()
        && let Err(wait) = front.state.guesses.failed(address.into())
    {
        return ApiError::too_many_guesses(wait).into_response();
    }
    answer.map(Body::new)
}
