//! A plugin from an OCI registry, fetched by the server.

use aide::transform::TransformOperation;
use axum::extract::State;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;

use super::PluginBody;
use crate::api::audit;
use crate::api::auth::Principal;
use crate::api::error::{ApiError, ApiResult};
use crate::api::state::ApiState;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::api) struct PullBody {
    /// `oci://REGISTRY/REPOSITORY:TAG` or `oci://REGISTRY/REPOSITORY@sha256:DIGEST`.
    reference: String,
    /// The plugin it has to be. Default: whatever it calls itself.
    name: Option<String>,
}

pub(in crate::api) async fn pull(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Json(PullBody { reference, name }): Json<PullBody>,
) -> ApiResult<Json<PluginBody>> {
    let pulled = state
        .parts
        .plugins
        .pull(&reference, name.as_deref(), &principal.name)
        .await;
    let entry = pulled.map_err(ApiError::from_plugin_host)?;
    // A service that lacked this plugin may run now.
    state.parts.services.recheck().await;
    audit::note(&state, &principal, "plugin.pull", &entry.name).await;
    Ok(Json(entry.into()))
}

pub(in crate::api) fn pull_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("pluginPull")
        .tag("plugins")
        .summary("Fetch a component from an OCI registry, verify it and make it the active version")
        .description(
            "Takes an image with one layer of type `application/wasm`, and its signature if it has a layer of type \
             `application/vnd.minisign.signature.v1`. A registry that wants a login, or has a private address, has to be \
             named in `plugins.yaml`.",
        )
}
