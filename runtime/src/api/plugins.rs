//! Plugins: what is loaded, putting in a new version, going back to the one before.

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, RequestBody};
use aide::transform::TransformOperation;
use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::response::Response;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::Principal;
use super::error::{ApiError, ApiResult};
use super::moment::rfc3339;
use super::page::Page;
use super::parts::PluginRecord;
use super::state::ApiState;
use crate::domain::PluginKind;

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PluginBody {
    name: String,
    kind: PluginKind,
    version: String,
    /// sha256 of the component, in hex.
    digest: String,
    /// `active`, or what is wrong with it.
    state: String,
    /// Since when this version is the active one, RFC 3339.
    since: String,
    summary: String,
    /// Came with the program.
    bundled: bool,
}

impl From<PluginRecord> for PluginBody {
    fn from(record: PluginRecord) -> Self {
        let PluginRecord { name, kind, version, digest, state, since_ms, summary, bundled } = record;
        Self { name, kind, version, digest, state, since: rfc3339(since_ms), summary, bundled }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PluginPath {
    name: String,
}

/// The bytes of a component, as `application/wasm` or without a type.
pub(super) struct Component(Bytes);

impl<S: Send + Sync> FromRequest<S> for Component {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        use axum::response::IntoResponse;
        Bytes::from_request(request, state).await.map(Self).map_err(IntoResponse::into_response)
    }
}

impl OperationInput for Component {
    fn operation_input(_context: &mut GenContext, operation: &mut Operation) {
        let body = RequestBody {
            description: Some("The WebAssembly component, at most 64 MiB".to_owned()),
            content: [("application/wasm".to_owned(), MediaType::default())].into_iter().collect(),
            required: true,
            ..RequestBody::default()
        };
        operation.request_body = Some(aide::openapi::ReferenceOr::Item(body));
    }
}

pub(super) async fn list(State(state): State<ApiState>) -> Json<Page<PluginBody>> {
    Json(Page::whole(state.parts.plugins.list().into_iter().map(PluginBody::from).collect()))
}

pub(super) fn list_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation.id("pluginList").tag("plugins").summary("All plugins with their active versions")
}

pub(super) async fn get(
    State(state): State<ApiState>,
    Path(PluginPath { name }): Path<PluginPath>,
) -> ApiResult<Json<PluginBody>> {
    let record = state.parts.plugins.list().into_iter().find(|record| record.name == name);
    record.map(|record| Json(record.into())).ok_or_else(|| ApiError::plugin_not_found(&name))
}

pub(super) fn get_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation.id("pluginGet").tag("plugins").summary("One plugin")
}

pub(super) async fn install(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
    Component(component): Component,
) -> ApiResult<Json<PluginBody>> {
    let installed = state.parts.plugins.install(&name, component, &principal.name).await;
    let record = installed.map_err(|error| ApiError::from_plugin_change(&name, error))?;
    state.live.changes().plugins();
    Ok(Json(record.into()))
}

pub(super) fn install_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("pluginInstall")
        .tag("plugins")
        .summary("Verify a component and make it the active version")
        .description("A component that fails any step is refused with the reason, and the version before stays.")
}

pub(super) async fn rollback(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
) -> ApiResult<Json<PluginBody>> {
    let rolled_back = state.parts.plugins.rollback(&name, &principal.name).await;
    let record = rolled_back.map_err(|error| ApiError::from_plugin_change(&name, error))?;
    state.live.changes().plugins();
    Ok(Json(record.into()))
}

pub(super) fn rollback_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation.id("pluginRollback").tag("plugins").summary("Go back to the version before")
}
