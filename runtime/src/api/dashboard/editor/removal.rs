//! The question before a service is deleted: what goes with it, and what stays.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use crate::api::dashboard::layout;
use crate::api::dashboard::overview::service_url;
use crate::api::dashboard::replies::{not_shown, refused};
use crate::api::dashboard::wording::count;
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::api::resources::services::SlugPath;
use crate::api::resources::services::change::delete_one;
use crate::domain::Origin;
use crate::registry::{CatalogError, ServiceRecord};

/// What a service takes along.
struct Belongings {
    open_alerts: usize,
    /// Names of consumers of the gateway that may call it by name.
    consumers: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RemovalForm {
    #[serde(default)]
    revision: Option<i64>,
}

/// `GET /services/{slug}/delete`
pub(crate) async fn confirm(
    State(state): State<ApiState>,
    Path(SlugPath { slug }): Path<SlugPath>,
) -> Response {
    let Some(record) = state.deps.registry.record(&slug) else {
        return not_shown(ApiError::service_not_found(&slug), "/");
    };
    if record.origin == Origin::File {
        let refusal = CatalogError::OwnedByFile(slug.clone());
        return refused(refusal.into(), &service_url(&slug));
    }
    match belongings(&state, &slug).await {
        Ok(found) => page(&record, &found).into_response(),
        Err(error) => refused(error, &service_url(&slug)),
    }
}

/// `POST /services/{slug}/delete`
pub(crate) async fn remove(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(SlugPath { slug }): Path<SlugPath>,
    Form(form): Form<RemovalForm>,
) -> Response {
    match delete_one(&state, &principal, slug.clone(), form.revision).await {
        Ok(()) => Redirect::to("/").into_response(),
        Err(error) => refused(error, &service_url(&slug)),
    }
}

async fn belongings(state: &ApiState, slug: &str) -> ApiResult<Belongings> {
    let control = &state.deps.control;
    let open = control.alert_open_list().await?;
    let consumers = control.consumer_all().await?.into_iter();
    let consumers = consumers
        .map(|(_, consumer)| consumer)
        .filter(|consumer| consumer.services.iter().any(|named| named == slug));
    Ok(Belongings {
        open_alerts: open.iter().filter(|alert| alert.service == slug).count(),
        consumers: consumers
            .map(|consumer| consumer.name.to_string())
            .collect(),
    })
}

fn page(record: &ServiceRecord, found: &Belongings) -> Markup {
    let entries = |key: &str| match record.spec.get(key) {
        Some(Value::Array(items)) => items.len(),
        Some(Value::Object(members)) => members.len(),
        _ => 0,
    };
    let credentials =
        entries("credentials") + usize::from(record.spec.contains_key("authentication"));
    let address = service_url(&record.slug);
    layout::bare(
        "Delete a service",
        html! {
            h1 { "Delete " code { (record.slug) } "?" }
            p { "With it go:" }
            ul {
                li { "its checks, and " (count(entries("alerts"), "rule")) " of its own" }
                li { (count(found.open_alerts, "open alert")) ", resolved with it" }
                li { (count(credentials, "credential")) }
                @if entries("webhooks") > 0 { li { (count(entries("webhooks"), "webhook receiver")) ", whose addresses answer no more" } }
                @if record.spec.contains_key("heartbeat") { li { "the address of its heartbeat" } }
                @if !found.consumers.is_empty() { li { "the way through the gateway of " (found.consumers.join(", ")) ", whose tokens stay" } }
            }
            p.muted { "What was measured stays, and so do its incidents, calls and costs." }
            form method="post" action={ (address) "/delete" } {
                @if let Some(revision) = record.revision { input type="hidden" name="revision" value=(revision); }
                button type="submit" { "Delete it" }
            }
            p { a href=(address) { "Back" } }
        },
    )
}
