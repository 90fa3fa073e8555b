//! Plugins: what is loaded, putting in a new version, going back to an earlier one, taking it away.

mod health;
mod pull;
pub(super) mod shadow;
pub(super) mod versions;

pub(super) mod check;
pub(super) mod grants;

use std::sync::Arc;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, RequestBody};
use aide::transform::TransformOperation;
use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::auth::Principal;
use super::error::{ApiError, ApiResult};
use super::moment::rfc3339;
use super::page::{Page, PageQuery};
use super::state::ApiState;
use crate::domain::{PluginKind, Want};
use crate::plugin_host::{PluginEntry, RolledBack, ShadowEntry};
use health::HealthBody;

pub(super) use pull::{pull, pull_docs};

/// Header with a component's signature.
const SIGNATURE: &str = "x-extrack-signature";

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PluginBody {
    name: String,
    kind: PluginKind,
    version: String,
    /// sha256 of the component, in hex.
    digest: String,
    /// `active`, or `failing`: its last runs broke; `health` says why.
    state: &'static str,
    /// Since when this version is the active one, RFC 3339.
    since: String,
    /// `bundled` for what came with the program.
    installed_by: String,
    /// Bytes of the component.
    size: usize,
    /// Id of the minisign key that signed it, if the server knows the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<String>,
    /// Interfaces of the host that it calls.
    imports: Vec<String>,
    summary: String,
    /// What it asks for.
    wants: Vec<Want>,
    /// JSON Schema.
    settings_schema: Value,
    health: HealthBody,
    /// The candidate that runs beside it, null without one.
    shadow: Option<CandidateBody>,
    /// The version before, if the program went back to this one by itself because all first runs
    /// of that one broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    rolled_back: Option<RolledBackBody>,
    /// What is odd about an installation that went well.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

/// A version that the program rolled back by itself.
#[derive(Debug, Serialize, JsonSchema)]
struct RolledBackBody {
    version: String,
    /// sha256 of the component, in hex.
    digest: String,
    /// RFC 3339.
    since: String,
    reason: String,
}

impl From<RolledBack> for RolledBackBody {
    fn from(
        RolledBack {
            version,
            digest,
            since_ms,
            reason,
        }: RolledBack,
    ) -> Self {
        Self {
            version,
            digest,
            since: rfc3339(since_ms),
            reason,
        }
    }
}

/// A candidate version that runs beside the active one.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CandidateBody {
    version: String,
    /// sha256 of the component, in hex.
    digest: String,
    /// `comparing`, or `failing` when its last runs all broke.
    state: &'static str,
    /// RFC 3339.
    since: String,
    started_by: String,
    /// Calls of the active version that it did not get because it was too slow, since the program
    /// started.
    skipped: u64,
    /// Why it broke last, since the program started.
    last_error: Option<String>,
}

impl From<ShadowEntry> for CandidateBody {
    fn from(entry: ShadowEntry) -> Self {
        let ShadowEntry {
            version,
            digest,
            state,
            since_ms,
            by,
            skipped,
            last_error,
        } = entry;
        Self {
            version,
            digest,
            state,
            since: rfc3339(since_ms),
            started_by: by,
            skipped,
            last_error,
        }
    }
}

impl From<PluginEntry> for PluginBody {
    fn from(entry: PluginEntry) -> Self {
        let PluginEntry {
            name,
            kind,
            version,
            digest,
            state,
            since_ms,
            by,
            size,
            signed_by,
            imports,
            info,
            health,
            shadow,
            rolled_back,
            warning,
        } = entry;
        let info = Arc::unwrap_or_clone(info);
        Self {
            name,
            kind,
            version,
            digest,
            state,
            since: rfc3339(since_ms),
            installed_by: by,
            size,
            signed_by,
            imports,
            summary: info.summary,
            wants: info.wants,
            settings_schema: info.settings_schema,
            health: health.into(),
            shadow: shadow.map(CandidateBody::from),
            rolled_back: rolled_back.map(RolledBackBody::from),
            warning,
        }
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
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(IntoResponse::into_response)?;
        match bytes.is_empty() {
            true => Err(ApiError::body_missing("a WebAssembly component").into_response()),
            false => Ok(Self(bytes)),
        }
    }
}

impl OperationInput for Component {
    fn operation_input(_context: &mut GenContext, operation: &mut Operation) {
        let body = RequestBody {
            description: Some("The WebAssembly component, at most 64 MiB".to_owned()),
            content: [("application/wasm".to_owned(), MediaType::default())]
                .into_iter()
                .collect(),
            required: true,
            ..RequestBody::default()
        };
        operation.request_body = Some(aide::openapi::ReferenceOr::Item(body));
    }
}

pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<PluginBody>>> {
    let mut items: Vec<PluginBody> = state
        .parts
        .plugins
        .list()
        .into_iter()
        .map(PluginBody::from)
        .collect();
    items.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(Json(Page::of_sorted(items, &query, |item| {
        item.name.clone()
    })?))
}

pub(super) fn list_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("pluginList")
        .tag("plugins")
        .summary("All plugins with their active versions")
}

pub(super) async fn get(
    State(state): State<ApiState>,
    Path(PluginPath { name }): Path<PluginPath>,
) -> ApiResult<Json<PluginBody>> {
    let entry = state
        .parts
        .plugins
        .get(&name)
        .ok_or_else(|| ApiError::plugin_not_found(&name))?;
    Ok(Json(entry.into()))
}

pub(super) fn get_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("pluginGet")
        .tag("plugins")
        .summary("One plugin")
}

pub(super) async fn install(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
    headers: HeaderMap,
    Component(component): Component,
) -> ApiResult<Json<PluginBody>> {
    let signature = signature(&headers)?;
    let installed = state
        .parts
        .plugins
        .install(&name, component, signature, &principal.name)
        .await;
    let entry = installed.map_err(ApiError::from_plugin_host)?;
    // A service that lacked this plugin may run now.
    state.parts.services.recheck().await;
    Ok(Json(entry.into()))
}

pub(super) fn install_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("pluginInstall")
        .tag("plugins")
        .summary("Verify a component and make it the active version")
        .description(
            "A component that fails any step is refused with the reason, and the version before stays. A signature of \
             minisign comes in the header `x-extrack-signature`: the text of the `.minisig` file in base64.",
        )
}

/// The text of a `.minisig` file, which has several lines and therefore comes in base64.
fn signature(headers: &HeaderMap) -> ApiResult<Option<String>> {
    let Some(value) = headers.get(SIGNATURE) else {
        return Ok(None);
    };
    let text = STANDARD
        .decode(value)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let detail = "is not the text of a `.minisig` file in base64";
    text.map(Some)
        .ok_or_else(|| ApiError::bad_parameter(SIGNATURE, detail))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackQuery {
    /// A version, or the first 8 or more digits of a digest; the version that was active before
    /// this one if not given.
    to: Option<String>,
}

pub(super) async fn rollback(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
    Query(RollbackQuery { to }): Query<RollbackQuery>,
) -> ApiResult<Json<PluginBody>> {
    state
        .parts
        .plugins
        .get(&name)
        .ok_or_else(|| ApiError::plugin_not_found(&name))?;
    let rolled_back = state
        .parts
        .plugins
        .rollback(&name, to.as_deref(), &principal.name)
        .await;
    let rolled_back = rolled_back.map_err(ApiError::from_plugin_host)?;
    let entry = rolled_back.ok_or_else(|| ApiError::no_previous_version(&name))?;
    Ok(Json(entry.into()))
}

pub(super) fn rollback_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("pluginRollback")
        .tag("plugins")
        .summary("Go back to the version before, or to another one that is kept")
        .description("Verified like an installation. Twice without `to` is forth again.")
}

pub(super) async fn remove(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
) -> ApiResult<Json<Option<PluginBody>>> {
    state
        .parts
        .plugins
        .get(&name)
        .ok_or_else(|| ApiError::plugin_not_found(&name))?;
    let removed = state.parts.plugins.remove(&name, &principal.name).await;
    let successor = removed.map_err(ApiError::from_plugin_host)?;
    state.parts.services.recheck().await;
    Ok(Json(successor.map(PluginBody::from)))
}

pub(super) fn remove_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation.id("pluginRemove").tag("plugins").summary("Take away an installed plugin").description(
        "The version that came with the program takes its place and is answered; without one the answer is null, and \
             nothing may use the plugin any more.",
    )
}
