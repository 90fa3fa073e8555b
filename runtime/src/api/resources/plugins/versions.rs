//! The versions of a plugin that are kept, and their components.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;

use super::PluginPath;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::file::File;
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{Page, PageQuery};
use crate::api::http::state::ApiState;
use crate::api_types::plugins::VersionBody;
use crate::api_types::scope::Scope::{Deploy, Read};
use crate::plugin_host::VersionEntry;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/plugins/{name}/versions", list)
            .id("pluginVersionList")
            .summary("The versions of a plugin that can be made active")
            .description(
                "The active one first, then the one used last. `GET \
                 /api/v1/audit?subject=plugin:NAME` has the whole story.",
            ),
        Endpoint::get(
            Deploy,
            "/api/v1/plugins/{name}/versions/{digest}/component",
            component,
        )
        .id("pluginVersionComponent")
        .summary("The component of a version, as it was installed")
        .documented(|operation| {
            operation.response_with::<200, File, _>(|response| {
                response.description("The WebAssembly component")
            })
        }),
    ]
}

impl From<VersionEntry> for VersionBody {
    fn from(entry: VersionEntry) -> Self {
        Self {
            version: entry.version,
            digest: entry.digest,
            state: entry.state.as_str().to_owned(),
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

pub(crate) async fn list(
    State(state): State<ApiState>,
    Path(PluginPath { name }): Path<PluginPath>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<VersionBody>>> {
    let versions = state.deps.plugins.versions(&name).await?;
    let versions = versions.ok_or_else(|| ApiError::plugin_not_found(&name))?;
    let items = versions.into_iter().map(VersionBody::from).collect();
    Ok(Json(Page::of_listed(
        items,
        &query,
        |version: &VersionBody| version.digest.clone(),
    )?))
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct VersionPath {
    name: String,
    /// sha256 of the component, in hex.
    digest: String,
}

async fn component(
    State(state): State<ApiState>,
    Path(VersionPath { name, digest }): Path<VersionPath>,
) -> ApiResult<Response> {
    let component = state.deps.plugins.component(&name, &digest).await?;
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

impl ApiError {
    pub(crate) fn version_not_found(detail: impl Into<Box<str>>) -> Self {
        Self::not_found("version-not-found", "Version not found", detail)
    }
}
