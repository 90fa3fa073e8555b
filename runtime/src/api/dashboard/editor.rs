//! A service as YAML: written anew or changed, previewed and saved as over the API; and its removal.

mod removal;
mod view;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use maud::Markup;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::view::{Editor, Outcome};
use super::overview::service_url;
use super::replies::not_shown;
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::api::resources::services::SlugPath;
use crate::api::resources::services::change::{create_one, preview_one, replace_one};
use crate::api_types::services::ServiceOperationBody;
use crate::config::{Faults, ServicesDocument};
use crate::domain::Origin;
use crate::registry::ServiceRecord;
use crate::vendors::{escape_variables, service_yaml, stored_service, yaml_of};

pub(super) use removal::{confirm, remove};

/// Name of the text in faults.
const TEXT: &str = "text";

/// Shown while nothing is written.
const EXAMPLE: &str = "\
services:
- name: Example API
  type: API
  baseUrl: https://api.example.com
  healthEndpoint: /health
  monitoring:
    probe: http
    interval: 1m
  tags: []
";

/// Fields of the form. The text may hold secrets.
#[derive(Deserialize)]
pub(crate) struct EditForm {
    #[serde(default)]
    text: String,
    /// Revision of the service that was read.
    #[serde(default)]
    revision: Option<i64>,
    /// Set: the text is only compared.
    #[serde(default)]
    preview: Option<String>,
}

/// `GET /new/yaml`
pub(crate) async fn new() -> Markup {
    Editor::new(None, EXAMPLE).page()
}

/// `POST /new/yaml`
pub(crate) async fn create(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Form(form): Form<EditForm>,
) -> Response {
    submitted(&state, &principal, None, form).await
}

/// `GET /services/{slug}/edit`
pub(crate) async fn page(
    State(state): State<ApiState>,
    Path(SlugPath { slug }): Path<SlugPath>,
) -> Response {
    let Some(record) = state.deps.registry.record(&slug) else {
        return not_shown(ApiError::service_not_found(&slug), "/");
    };
    let (revision, is_of_file) = (record.revision, record.origin == Origin::File);
    let text = yaml(record);
    let editor = Editor {
        revision,
        is_of_file,
        ..Editor::new(Some(&slug), &text)
    };
    editor.page().into_response()
}

/// `POST /services/{slug}/edit`
pub(crate) async fn save(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(SlugPath { slug }): Path<SlugPath>,
    Form(form): Form<EditForm>,
) -> Response {
    submitted(&state, &principal, Some(&slug), form).await
}

/// Writes a service as `extrack export` does. One that this version can't read is shown as it is
/// stored, to be mended.
fn yaml(record: ServiceRecord) -> String {
    let ServiceRecord { slug, spec, .. } = record;
    match stored_service(&slug, spec.clone()) {
        Ok(described) => service_yaml(&described),
        Err(_) => {
            let mut list = Value::Array(vec![Value::Object(spec)]);
            escape_variables(&mut list);
            yaml_of(&Map::from_iter([("services".to_owned(), list)]))
        }
    }
}

/// What came of a text.
enum Done {
    Previewed(ServiceOperationBody),
    Saved(ServiceRecord),
}

async fn submitted(
    state: &ApiState,
    principal: &Principal,
    slug: Option<&str>,
    form: EditForm,
) -> Response {
    // Browsers send lines with both characters.
    let text = form.text.replace("\r\n", "\n");
    let editor = Editor {
        revision: form.revision,
        ..Editor::new(slug, &text)
    };
    let document = match ServicesDocument::parse_one(TEXT, &text) {
        Ok(document) => document,
        Err(faults) => {
            let page = editor.with(Outcome::Faults(faults)).page();
            return (StatusCode::UNPROCESSABLE_ENTITY, page).into_response();
        }
    };
    let is_preview = form.preview.is_some();
    match done(state, principal, slug, &document, form.revision, is_preview).await {
        Ok(Done::Previewed(found)) => editor.with(Outcome::Preview(found)).page().into_response(),
        Ok(Done::Saved(record)) => Redirect::to(&service_url(&record.slug)).into_response(),
        Err(error) => refusal(state, editor, &document, &error),
    }
}

async fn done(
    state: &ApiState,
    principal: &Principal,
    slug: Option<&str>,
    document: &ServicesDocument,
    revision: Option<i64>,
    is_preview: bool,
) -> ApiResult<Done> {
    let spec = document.services().next().map(serde_json::to_value);
    let spec = spec
        .transpose()
        .map_err(|error| ApiError::internal(error.into()))?;
    let Some(Value::Object(spec)) = spec else {
        let cause = anyhow::anyhow!("a service that was read is no mapping");
        return Err(ApiError::internal(cause));
    };
    if is_preview {
        let found = preview_one(state, principal, slug, spec, revision).await;
        return found.map(Done::Previewed);
    }
    let saved = match slug {
        Some(slug) => replace_one(state, principal, slug, spec, revision).await,
        None => create_one(state, principal, spec).await,
    };
    saved.map(Done::Saved)
}

/// Renders the text again with what is wrong, or beside the one that somebody else saved.
fn refusal(
    state: &ApiState,
    editor: Editor<'_>,
    document: &ServicesDocument,
    error: &ApiError,
) -> Response {
    let page = match error.status() {
        StatusCode::PRECONDITION_FAILED | StatusCode::NOT_FOUND => changed_meanwhile(state, editor),
        _ if error.faults().is_empty() => editor.with(Outcome::Refused(error.detail())).page(),
        _ => {
            let faults = error.faults().iter().cloned();
            let faults: Faults = document.placed(faults.map(|fault| (Some(0), fault)));
            editor.with(Outcome::Faults(faults)).page()
        }
    };
    (error.status(), page).into_response()
}

/// Both texts: who saves once more has seen the other one. Where the service is gone, saving adds it
/// again.
fn changed_meanwhile(state: &ApiState, editor: Editor<'_>) -> Markup {
    let slug = editor.slug;
    match slug.and_then(|slug| state.deps.registry.record(slug)) {
        Some(record) => {
            let revision = record.revision;
            let outcome = Outcome::Changed(yaml(record));
            let editor = editor.with(outcome);
            Editor { revision, ..editor }.page()
        }
        None => {
            let detail = "The service was deleted meanwhile; saving this text adds it again.";
            let editor = editor.with(Outcome::Refused(detail.to_owned()));
            Editor {
                slug: None,
                revision: None,
                ..editor
            }
            .page()
        }
    }
}
