//! Credentials of one service: which there are, and forms that write one and never show it. Each is a
//! change of the description, as over the API.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::layout;
use super::overview::service_url;
use super::replies::{not_shown, refused};
use super::wording::written;
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::api::resources::credentials::of_service;
use crate::api::resources::services::SlugPath;
use crate::api::resources::services::change::replace_one;
use crate::api_types::credentials::CredentialBody;
use crate::api_types::scope::Scope;
use crate::domain::{ExpirySource, Origin};
use crate::registry::{MASK, ServiceRecord};
use crate::spec::AuthenticationSpec;

/// Name of the credential under `authentication`.
const DEFAULT: &str = "default";

/// Types that are one secret, with its key. Others are described in YAML.
const SIMPLE: [(&str, &str, &str); 3] = [
    ("api_key", "value", "API key in a header"),
    ("bearer", "token", "Bearer token"),
    ("basic", "password", "User and password"),
];

/// Fields of a form. They hold secrets.
type Fields = [(String, String)];

/// `GET /services/{slug}/credentials`
pub(crate) async fn page(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(SlugPath { slug }): Path<SlugPath>,
) -> Response {
    let Some(record) = state.deps.registry.record(&slug) else {
        return not_shown(ApiError::service_not_found(&slug), "/");
    };
    let credentials = match of_service(&state, &slug).await {
        Ok(credentials) => credentials,
        Err(error) => return not_shown(error, &service_url(&slug)),
    };
    let may_change = principal.may(Scope::Write) && record.origin == Origin::Api;
    layout::room(layout::Room {
        title: "Credentials",
        path: "/",
        events: None,
        body: html! {
            p.back { a href=(service_url(&slug)) { (slug) } }
            h1 { "Credentials" }
            p.muted { "They are put into requests by the host; no page, no answer and no plugin shows one." }
            (list(&record, &credentials, may_change))
            @if may_change { (adding(&record)) }
            @if record.origin == Origin::File { p.muted { "The service comes from " code { "services.yaml" } ", and so do its credentials: change them there." } }
        },
    })
    .into_response()
}

/// `POST /services/{slug}/credentials/set`
pub(crate) async fn set(
    state: State<ApiState>,
    principal: Extension<Principal>,
    path: Path<SlugPath>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    change(state, principal, path, &fields, put).await
}

/// `POST /services/{slug}/credentials/delete`
pub(crate) async fn delete(
    state: State<ApiState>,
    principal: Extension<Principal>,
    path: Path<SlugPath>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    change(state, principal, path, &fields, take).await
}

/// Changes a description that is at the revision of the form.
async fn change(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(SlugPath { slug }): Path<SlugPath>,
    fields: &Fields,
    edit: fn(&mut Map<String, Value>, &Fields) -> ApiResult<()>,
) -> Response {
    let back = format!("{}/credentials", service_url(&slug));
    let changing = async {
        let record = state.deps.registry.record(&slug);
        let mut spec = record
            .ok_or_else(|| ApiError::service_not_found(&slug))?
            .spec;
        let revision = filled(fields, "revision")
            .map(str::parse::<i64>)
            .transpose();
        let revision =
            revision.map_err(|_| ApiError::bad_parameter("revision", "must be a whole number"))?;
        edit(&mut spec, fields)?;
        replace_one(&state, &principal, &slug, spec, revision).await
    };
    match changing.await {
        Ok(_) => Redirect::to(&back).into_response(),
        Err(error) => refused(error, &back),
    }
}

fn filled<'a>(fields: &'a Fields, wanted: &str) -> Option<&'a str> {
    typed(fields, wanted).map(str::trim)
}

/// Returns a field with the spaces around it, which may belong to a secret.
fn typed<'a>(fields: &'a Fields, wanted: &str) -> Option<&'a str> {
    let field = fields.iter().find(|(name, _)| name == wanted);
    field
        .map(|(_, value)| value.as_str())
        .filter(|value| !value.trim().is_empty())
}

fn name_of(fields: &Fields) -> ApiResult<&str> {
    let missing = || ApiError::bad_parameter("name", "name the credential");
    filled(fields, "name").ok_or_else(missing)
}

/// With a `type` a whole credential, else secrets of one that is there.
fn put(spec: &mut Map<String, Value>, fields: &Fields) -> ApiResult<()> {
    let name = name_of(fields)?;
    if let Some(kind) = filled(fields, "type") {
        let credential = Value::Object(new_credential(kind, fields)?);
        if name == DEFAULT {
            spec.insert("authentication".to_owned(), credential);
            return Ok(());
        }
        let named = spec
            .entry("credentials")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Some(named) = named.as_object_mut() {
            named.insert(name.to_owned(), credential);
        }
        return Ok(());
    }
    let credential = credential_mut(spec, name).ok_or_else(|| not_there(name))?;
    let mut is_changed = false;
    for key in AuthenticationSpec::secret_keys() {
        if let Some(secret) = typed(fields, key) {
            // Browsers send lines with both characters.
            let secret = secret.replace("\r\n", "\n");
            credential.insert(key.clone(), Value::String(secret));
            is_changed = true;
        }
    }
    if is_changed {
        Ok(())
    } else {
        let detail = "write the new secret; what is empty stays as it is";
        Err(ApiError::bad_parameter("secret", detail))
    }
}

fn new_credential(kind: &str, fields: &Fields) -> ApiResult<Map<String, Value>> {
    let Some((kind, key, _)) = SIMPLE.into_iter().find(|(simple, ..)| *simple == kind) else {
        let detail = "is none that this form makes; describe it in YAML";
        return Err(ApiError::bad_parameter("type", detail));
    };
    let mut credential = Map::from_iter([("type".to_owned(), Value::from(kind))]);
    let missing = || ApiError::bad_parameter("secret", "write the secret; it must not be empty");
    let secret = typed(fields, "secret").ok_or_else(missing)?;
    credential.insert(key.to_owned(), Value::from(secret));
    let beside: &[&str] = match kind {
        "api_key" => &["header", "expires"],
        "basic" => &["username", "expires"],
        _ => &["expires"],
    };
    for key in beside {
        if let Some(value) = filled(fields, key) {
            credential.insert((*key).to_owned(), Value::from(value));
        }
    }
    Ok(credential)
}

fn take(spec: &mut Map<String, Value>, fields: &Fields) -> ApiResult<()> {
    let name = name_of(fields)?;
    let taken = if name == DEFAULT {
        spec.remove("authentication")
    } else {
        let named = spec.get_mut("credentials").and_then(Value::as_object_mut);
        named.and_then(|named| named.remove(name))
    };
    taken.map(drop).ok_or_else(|| not_there(name))
}

fn not_there(name: &str) -> ApiError {
    let detail = format!("the service has no credential `{name}`");
    ApiError::not_found("credential-not-found", "Credential not found", detail)
}

fn credential_mut<'a>(
    spec: &'a mut Map<String, Value>,
    name: &str,
) -> Option<&'a mut Map<String, Value>> {
    let credential = if name == DEFAULT {
        spec.get_mut("authentication")
    } else {
        spec.get_mut("credentials")?.get_mut(name)
    };
    credential?.as_object_mut()
}

/// Keys of the secrets that a credential has.
fn secrets_of(spec: &Map<String, Value>, name: &str) -> Vec<&'static str> {
    let credential = if name == DEFAULT {
        spec.get("authentication")
    } else {
        spec.get("credentials").and_then(|named| named.get(name))
    };
    let is_masked = |key: &&str| {
        let value = credential.and_then(|credential| credential.get(*key));
        value.and_then(Value::as_str) == Some(MASK)
    };
    let keys = AuthenticationSpec::secret_keys().iter();
    keys.map(String::as_str).filter(is_masked).collect()
}

fn list(record: &ServiceRecord, credentials: &[CredentialBody], may_change: bool) -> Markup {
    html! {
        section.card.panel aria-label="Credentials" {
            @if credentials.is_empty() { p.empty { "The service has none." } }
            @else {
                div.wide { table.list {
                    thead { tr {
                        th scope="col" { "Name" } th scope="col" { "Kind" } th scope="col" { "Last used" } th scope="col" { "Expires" }
                        @if may_change { th scope="col" { "Act" } }
                    } }
                    tbody { @for credential in credentials {
                        tr {
                            td { (credential.name) } td { code { (credential.kind) } }
                            td { @match &credential.last_used_at { Some(at) => { (written(at)) } None => { "never" } } }
                            td { (expiry(credential)) }
                            @if may_change { td { (acts(record, &credential.name)) } }
                        }
                    } }
                } }
            }
        }
    }
}

fn expiry(credential: &CredentialBody) -> Markup {
    let from = credential.expires_from.map(|from| match from {
        ExpirySource::Written => "as described",
        ExpirySource::Certificate => "by its certificate",
        ExpirySource::Token => "by the token",
    });
    html! {
        @match &credential.expires_at { Some(at) => { (written(at)) } None => { "not known" } }
        @if let Some(from) = from { " " span.muted { (from) } }
    }
}

fn acts(record: &ServiceRecord, name: &str) -> Markup {
    let address = format!("{}/credentials", service_url(&record.slug));
    html! {
        details.act {
            summary.button { "Replace" }
            form method="post" action={ (address) "/set" } {
                (revision(record))
                input type="hidden" name="name" value=(name);
                @for key in secrets_of(&record.spec, name) {
                    label {
                        code { (key) } " "
                        @if key == "key" { textarea name=(key) rows="3" autocomplete="off" spellcheck="false" {} }
                        @else { input type="password" name=(key) autocomplete="new-password"; }
                    }
                }
                button type="submit" { "Replace" }
            }
        }
        details.act {
            summary.button { "Delete" }
            form method="post" action={ (address) "/delete" } {
                (revision(record))
                input type="hidden" name="name" value=(name);
                button type="submit" { "Delete it" }
            }
        }
    }
}

fn adding(record: &ServiceRecord) -> Markup {
    html! {
        section.card.panel.acts aria-labelledby="add-title" {
            h2 #add-title { "Add one" }
            form method="post" action={ (service_url(&record.slug)) "/credentials/set" } {
                (revision(record))
                label { "Name " input name="name" value=(DEFAULT) required maxlength="64" autocomplete="off"; }
                label { "Type " select name="type" { @for (kind, _, text) in SIMPLE { option value=(kind) { (text) } } } }
                label { "Header, of an API key " input name="header" placeholder="X-API-Key" autocomplete="off"; }
                label { "User, with a password " input name="username" autocomplete="off"; }
                label { "Secret " input type="password" name="secret" required autocomplete="new-password"; }
                label { "Expires " input name="expires" placeholder="2027-01-31" size="10" autocomplete="off"; }
                button type="submit" { "Set" }
            }
            p.muted { code { (DEFAULT) } " is the one that every request to the service gets. One of the same name is replaced. Other types: " a href={ (service_url(&record.slug)) "/edit" } { "in YAML" } "." }
        }
    }
}

fn revision(record: &ServiceRecord) -> Markup {
    html! { @if let Some(revision) = record.revision { input type="hidden" name="revision" value=(revision); } }
}
