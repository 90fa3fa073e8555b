//! Consumers of the gateway, for administrators: who they are, a form that adds one, and revoking.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form, Json};
use maud::{Markup, html};
use serde::Deserialize;

use super::{PAGE, unreadable};
use crate::api::dashboard::layout;
use crate::api::dashboard::replies::refused;
use crate::api::dashboard::wording::written;
use crate::api::http::auth::Principal;
use crate::api::http::state::ApiState;
use crate::api::resources::consumers::{self, ConsumerPath, ConsumerQuery};
use crate::api_types::consumers::{ConsumerBody, ConsumerSpec};
use crate::api_types::scope::Scope;

/// None for others than administrators.
pub(super) async fn section(state: State<ApiState>, principal: &Principal) -> Option<Markup> {
    if !principal.may(Scope::Admin) {
        return None;
    }
    let found = consumers::list(state, Query(ConsumerQuery::default())).await;
    Some(match found {
        Ok(Json(page)) => markup(&page.items, page.next.is_some()),
        Err(_) => unreadable("The consumers of the gateway"),
    })
}

fn markup(consumers: &[ConsumerBody], has_more: bool) -> Markup {
    html! {
        section.card.panel aria-label="Consumers of the gateway" {
            h2 { "Consumers of the gateway " span.count { (consumers.len()) @if has_more { "+" } } }
            @if consumers.is_empty() { p.empty { "There is none: no program has a token for the gateway." } }
            @else {
                div.wide { table.list {
                    thead { tr {
                        th scope="col" { "Name" } th scope="col" { "May call" } th scope="col" { "Added" } th scope="col" { "By" } th scope="col" { "Act" }
                    } }
                    tbody { @for consumer in consumers {
                        tr {
                            td { (consumer.name) } td { (consumer.services.join(", ")) } td { (written(&consumer.created_at)) } td { (consumer.created_by) }
                            td { form method="post" action={ "/usage/consumers/" (consumer.id) "/revoke" } { button.quiet type="submit" { "Revoke" } } }
                        }
                    } }
                } }
                @if has_more { p.muted { "All of them: " code { "GET /api/v1/consumers" } } }
            }
            h3 { "Add one" }
            form.acts method="post" action="/usage/consumers" {
                label { "Name " input name="name" required maxlength="64" autocomplete="off"; }
                label { "Services " input name="services" required placeholder="stripe, twilio, or * for all" autocomplete="off"; }
                button type="submit" { "Add" }
            }
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct ConsumerForm {
    name: String,
    /// Slugs with commas or spaces between them.
    services: String,
}

/// `POST /usage/consumers`
pub(crate) async fn add(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Form(form): Form<ConsumerForm>,
) -> Response {
    let services = form.services.split([',', ' ', '\n', '\r']);
    let spec = ConsumerSpec {
        name: form.name.trim().to_owned(),
        services: services
            .filter(|service| !service.is_empty())
            .map(str::to_owned)
            .collect(),
    };
    match consumers::make(&state, principal, spec).await {
        Err(error) => refused(error, PAGE),
        Ok(made) => layout::bare(
            "New consumer",
            html! {
                h1 { "Consumer " (made.body.name) }
                p { "Its token is shown now and never again." }
                p { code { (made.token) } }
                p { a.button href=(PAGE) { "Back" } }
            },
        )
        .into_response(),
    }
}

/// `POST /usage/consumers/{id}/revoke`
pub(crate) async fn revoke(
    state: State<ApiState>,
    principal: Extension<Principal>,
    path: Path<ConsumerPath>,
) -> Response {
    match consumers::revoke(state, principal, path).await {
        Ok(_) => Redirect::to(PAGE).into_response(),
        Err(error) => refused(error, PAGE),
    }
}
