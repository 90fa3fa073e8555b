//! A plugin from an OCI registry, fetched by the server.

use axum::extract::State;
use axum::{Extension, Json};

use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::ApiResult;
use crate::api::http::state::ApiState;
use crate::api::resources::audit;
use crate::api_types::plugins::{PluginBody, PullBody};
use crate::api_types::scope::Scope::Deploy;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(Deploy, "/api/v1/plugins/pull", pull)
            .slow()
            .id("pluginPull")
            .summary(
                "Fetch a component from an OCI registry, verify it and make it the active \
                 version",
            )
            .description(
                "Takes an image with one layer of type `application/wasm`, and its signature if \
                 it has a layer of type `application/vnd.minisign.signature.v1`. A registry \
                 that wants a login, or has a private address, has to be named in \
                 `plugins.yaml`.",
            ),
    ]
}

async fn pull(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Json(PullBody { reference, name }): Json<PullBody>,
) -> ApiResult<Json<PluginBody>> {
    let pulled = state
        .deps
        .plugins
        .pull(&reference, name.as_deref(), &principal.name)
        .await;
    let entry = pulled?;
    audit::note(&state, &principal, "plugin.pull", &entry.name).await;
    Ok(Json(entry.into()))
}
