//! A component from a form: made the active version, or run beside it as a candidate.

use axum::Extension;
use axum::extract::{Multipart, Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use maud::{Markup, html};

use crate::api::dashboard::replies::refused;
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::api::resources::plugins::PluginPath;

/// Fields of the form. What was not filled in is empty.
#[derive(Default)]
struct Upload {
    name: String,
    component: Bytes,
    signature: String,
    is_candidate: bool,
}

/// `name`: the plugin that a version is for; none where the form asks for it.
pub(super) fn form(name: Option<&str>) -> Markup {
    let action = match name {
        Some(name) => format!("/plugins/{name}/upload"),
        None => "/plugins/install".to_owned(),
    };
    html! {
        section.card.panel.acts aria-label="Install" {
            h2 { @if name.is_some() { "Install another version" } @else { "Install a plugin" } }
            form method="post" action=(action) enctype="multipart/form-data" {
                @if name.is_none() {
                    label { "Name " input name="name" required maxlength="64" autocomplete="off" spellcheck="false"; }
                }
                label { "Component " input type="file" name="component" accept=".wasm,application/wasm" required; }
                label { "Signature, if there is one " input type="file" name="signature" accept=".minisig"; }
                label { input type="checkbox" name="candidate" value="yes"; " run it beside the active version first, and compare" }
                button type="submit" { "Install" }
            }
            p.muted { "It is verified before it is used; one that fails is refused with the reason, and the version before stays." }
        }
    }
}

pub(crate) async fn upload(
    state: State<ApiState>,
    principal: Extension<Principal>,
    fields: Multipart,
) -> Response {
    done(state, principal, None, fields).await
}

pub(crate) async fn upload_one(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(PluginPath { name }): Path<PluginPath>,
    fields: Multipart,
) -> Response {
    done(state, principal, Some(name), fields).await
}

async fn done(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    name: Option<String>,
    fields: Multipart,
) -> Response {
    let back = match &name {
        Some(name) => format!("/plugins/{name}"),
        None => "/plugins".to_owned(),
    };
    match installed(&state, &principal, name, fields).await {
        Ok(name) => Redirect::to(&format!("/plugins/{name}")).into_response(),
        Err(error) => refused(error, &back),
    }
}

/// Returns the name of the plugin.
async fn installed(
    state: &ApiState,
    principal: &Principal,
    name: Option<String>,
    fields: Multipart,
) -> ApiResult<String> {
    let upload = read(fields).await?;
    let name = name.unwrap_or_else(|| upload.name.trim().to_owned());
    if upload.component.is_empty() {
        return Err(ApiError::body_missing("a WebAssembly component"));
    }
    let signature = Some(upload.signature).filter(|text| !text.trim().is_empty());
    let plugins = &state.deps.plugins;
    if upload.is_candidate {
        plugins
            .shadow_start(&name, upload.component, signature, &principal.name)
            .await?;
    } else {
        plugins
            .install(&name, upload.component, signature, &principal.name)
            .await?;
    }
    Ok(name)
}

async fn read(mut fields: Multipart) -> ApiResult<Upload> {
    let fault = |error: axum::extract::multipart::MultipartError| {
        ApiError::bad_parameter("form", error.body_text())
    };
    let mut upload = Upload::default();
    while let Some(field) = fields.next_field().await.map_err(fault)? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "name" => upload.name = field.text().await.map_err(fault)?,
            "component" => upload.component = field.bytes().await.map_err(fault)?,
            "signature" => upload.signature = field.text().await.map_err(fault)?,
            "candidate" => upload.is_candidate = true,
            _ => {}
        }
    }
    Ok(upload)
}
