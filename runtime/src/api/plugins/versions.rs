//! The versions of a plugin that are kept, and their components.

use aide::transform::TransformOperation;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PluginPath;
use crate::api::error::{ApiError, ApiResult};
use crate::api::file::File;
use crate::api::moment::rfc3339;
use crate::api::page::{Page, PageQuery};
use crate::api::state::ApiState;
use crate::plugin_host::VersionEntry;

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct VersionBody {
    version: String,
    /// sha256 of the component, in hex.
    digest: String,
    /// `active`; `previous`, where a roll-back goes; `shadow`, the candidate; `bundled`, part of
    /// the program; or `kept`.
    state: &'static str,
    /// Part of the program.
    bundled: bool,
    /// Bytes of the component.
    size: u64,
    /// RFC 3339; of a bundled version the start of the program.
    installed: String,
    /// `bundled` for what came with the program.
    installed_by: String,
    /// The last time it became the active one; null if it never was.
    active_since: Option<String>,
    /// Null while it is active, and if it never was.
    active_until: Option<String>,
    /// Who made it the active one then.
    activated_by: Option<String>,
    /// Why the program rolled it back by itself, unless somebody has activated it since.
    #[serde(skip_serializing_if = "Option::is_none")]
    rolled_back: Option<String>,
}

impl From<VersionEntry> for VersionBody {
    fn from(entry: VersionEntry) -> Self {
        Self {
            version: entry.version,
            digest: entry.digest,
            state: entry.state,
            bundled: entry.is_bundled,
            size: entry.size,
            installed: rfc3339(entry.installed_ms),
            installed_by: entry.installed_by,
            active_since: entry.active_since_ms.map(rfc3339),
            active_until: entry.active_until_ms.map(rfc3339),
            activated_by: entry.activated_by,
            rolled_back: entry.withdrawn,
        }
    }
}

pub(in crate::api) async fn list(
    State(state): State<ApiState>,
    Path(PluginPath { name }): Path<PluginPath>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<VersionBody>>> {
    let versions = state
        .parts
        .plugins
        .versions(&name)
        .await
        .map_err(ApiError::from_plugin_host)?;
    let versions = versions.ok_or_else(|| ApiError::plugin_not_found(&name))?;
    let items = versions.into_iter().map(VersionBody::from).collect();
    Ok(Json(Page::of_listed(
        items,
        &query,
        |version: &VersionBody| version.digest.clone(),
    )?))
}

pub(in crate::api) fn list_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("pluginVersionList")
        .tag("plugins")
        .summary("The versions of a plugin that can be made active")
        .description("The active one first, then the one used last. `GET /api/v1/audit?subject=plugin:NAME` has the whole story.")
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::api) struct VersionPath {
    name: String,
    /// sha256 of the component, in hex.
    digest: String,
}

pub(in crate::api) async fn component(
    State(state): State<ApiState>,
    Path(VersionPath { name, digest }): Path<VersionPath>,
) -> ApiResult<Response> {
    let component = state
        .parts
        .plugins
        .component(&name, &digest)
        .await
        .map_err(ApiError::from_plugin_host)?;
    let component = component.ok_or_else(|| {
        let detail = format!(
            "plugin `{name}` has no version with the digest `{digest}`; `GET /api/v1/plugins/{name}/versions` lists them"
        );
        ApiError::version_not_found(detail)
    })?;
    let mut response = component.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/wasm"));
    // Both are plain words: a component with this name and digest was found.
    if let Ok(disposition) =
        HeaderValue::from_str(&format!("attachment; filename=\"{name}-{digest}.wasm\""))
    {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

pub(in crate::api) fn component_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("pluginVersionComponent")
        .tag("plugins")
        .summary("The component of a version, as it was installed")
        .response_with::<200, File, _>(|response| response.description("The WebAssembly component"))
}
