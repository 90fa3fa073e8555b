//! Plugins: what is loaded, putting in a new version, going back to an earlier one, taking it away.

mod health;
pub(crate) mod pull;
pub(crate) mod shadow;
pub(crate) mod versions;

pub(crate) mod check;
pub(crate) mod grants;

use std::sync::Arc;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, RequestBody};
use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{Page, PageQuery};
use crate::api::http::state::ApiState;
use crate::api_types::plugins::{CandidateBody, PluginBody, RolledBackBody};
use crate::api_types::scope::Scope::{Deploy, Read};
use crate::plugin_host::{self, InstallStep, PluginEntry, RolledBack, ShadowEntry};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/plugins", list)
            .id("pluginList")
            .summary("All plugins with their active versions"),
        Endpoint::get(Read, "/api/v1/plugins/{name}", get)
            .id("pluginGet")
            .summary("One plugin"),
        Endpoint::put(Deploy, "/api/v1/plugins/{name}", install)
            .takes_component()
            .id("pluginInstall")
            .summary("Verify a component and make it the active version")
            .description(
                "A component that fails any step is refused with the reason, and the version \
                 before stays. A signature of minisign comes in the header \
                 `x-extrack-signature`: the text of the `.minisig` file in base64.",
            ),
        Endpoint::delete(Deploy, "/api/v1/plugins/{name}", remove)
            .slow()
            .id("pluginRemove")
            .summary("Take away an installed plugin")
            .description(
                "The version that came with the program takes its place and is answered; \
                 without one the answer is null, and nothing may use the plugin any more.",
            ),
        Endpoint::post(Deploy, "/api/v1/plugins/{name}/rollback", rollback)
            .slow()
            .id("pluginRollback")
            .summary("Go back to the version before, or to another one that is kept")
            .description("Verified like an installation. Twice without `to` is forth again."),
    ]
}

/// Header with a component's signature.
const SIGNATURE: &str = "x-extrack-signature";

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
            state: state.as_str().to_owned(),
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
            state: state.as_str().to_owned(),
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
pub(crate) struct PluginPath {
    pub(crate) name: String,
}

/// The bytes of a component, as `application/wasm` or without a type.
pub(crate) struct Component(Bytes);

impl<S: Send + Sync> FromRequest<S> for Component {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        use axum::response::IntoResponse;
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(IntoResponse::into_response)?;
        if bytes.is_empty() {
            return Err(ApiError::body_missing("a WebAssembly component").into_response());
        }
        Ok(Self(bytes))
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

async fn list(
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<PluginBody>>> {
    let mut items: Vec<PluginBody> = state
        .deps
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

pub(crate) async fn get(
    State(state): State<ApiState>,
    Path(PluginPath { name }): Path<PluginPath>,
) -> ApiResult<Json<PluginBody>> {
    let entry = state
        .deps
        .plugins
        .get(&name)
        .ok_or_else(|| ApiError::plugin_not_found(&name))?;
    Ok(Json(entry.into()))
}

async fn install(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
    headers: HeaderMap,
    Component(component): Component,
) -> ApiResult<Json<PluginBody>> {
    let signature = signature(&headers)?;
    let installed = state
        .deps
        .plugins
        .install(&name, component, signature, &principal.name)
        .await;
    let entry = installed?;
    Ok(Json(entry.into()))
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
pub(crate) struct RollbackQuery {
    /// A version, or the first 8 or more digits of a digest; the version that was active before
    /// this one if not given.
    pub(crate) to: Option<String>,
}

pub(crate) async fn rollback(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
    Query(RollbackQuery { to }): Query<RollbackQuery>,
) -> ApiResult<Json<PluginBody>> {
    state
        .deps
        .plugins
        .get(&name)
        .ok_or_else(|| ApiError::plugin_not_found(&name))?;
    let rolled_back = state
        .deps
        .plugins
        .rollback(&name, to.as_deref(), &principal.name)
        .await;
    let rolled_back = rolled_back?;
    let entry = rolled_back.ok_or_else(|| ApiError::no_previous_version(&name))?;
    Ok(Json(entry.into()))
}

pub(crate) async fn remove(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
) -> ApiResult<Json<Option<PluginBody>>> {
    state
        .deps
        .plugins
        .get(&name)
        .ok_or_else(|| ApiError::plugin_not_found(&name))?;
    let removed = state.deps.plugins.remove(&name, &principal.name).await;
    let successor = removed?;
    Ok(Json(successor.map(PluginBody::from)))
}

impl ApiError {
    pub(crate) fn plugin_not_found(name: &str) -> Self {
        let detail = format!("there is no plugin `{name}`; `GET /api/v1/plugins` lists them");
        Self::not_found("plugin-not-found", "Plugin not found", detail)
    }

    pub(crate) fn no_previous_version(name: &str) -> Self {
        let detail = format!("plugin `{name}` has no earlier version to go back to");
        Self::conflict("no-previous-version", "No previous version", detail)
    }
}

impl From<plugin_host::InstallError> for ApiError {
    fn from(refusal: plugin_host::InstallError) -> Self {
        match refusal.step {
            // The only steps that are ours: keeping the component and its version.
            InstallStep::Store => return Self::internal(refusal.into()),
            InstallStep::Room => {
                return Self::no_room().with_source(refusal);
            }
            InstallStep::Version => return Self::version_not_found(refusal.reason),
            InstallStep::Bundled
            | InstallStep::InUse
            | InstallStep::Shadow
            | InstallStep::Withdrawn => {
                return Self::conflict(
                    "plugin-conflict",
                    "Plugin can't be changed so",
                    refusal.reason,
                );
            }
            _ => {}
        }
        let detail = format!(
            "{} (at step `{}`; the version that was active stays)",
            refusal.reason, refusal.step
        );
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "plugin-refused",
            "Plugin refused",
            detail,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_version_for_which_the_store_has_no_room_is_answered_with_507() {
        let refusal = |step| plugin_host::InstallError {
            step,
            reason: "the disk is full".to_owned(),
        };
        assert_eq!(
            ApiError::from(refusal(InstallStep::Room)).status(),
            StatusCode::INSUFFICIENT_STORAGE
        );
        assert_eq!(
            ApiError::from(refusal(InstallStep::Store)).status(),
            StatusCode::INTERNAL_SERVER_ERROR
        );
    }
}
