//! The program itself: whether it does its work, its configuration, tokens, and who changed what.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form, Json};
use maud::{Markup, html};
use serde::Deserialize;

use super::fragments::pill;
use super::layout;
use super::replies::{not_shown, refused};
use super::wording::{prose, written};
use crate::api::http::auth::Principal;
use crate::api::http::error::ApiResult;
use crate::api::http::state::ApiState;
use crate::api::resources::configuration::AcceptQuery;
use crate::api::resources::tokens::TokenPath;
use crate::api::resources::{audit, configuration, tokens};
use crate::api_types::audit::AuditBody;
use crate::api_types::configuration::ConfigurationBody;
use crate::api_types::scope::Scope;
use crate::api_types::tokens::{TokenBody, TokenSpec};

const PAGE: &str = "/settings";

/// What administrators see besides.
struct Kept {
    tokens: Vec<TokenBody>,
    changes: Vec<AuditBody>,
}

pub(crate) async fn page(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
) -> Response {
    let mut kept = None;
    if principal.may(Scope::Admin) {
        match kept_by(&state).await {
            Ok(found) => kept = Some(found),
            Err(error) => return not_shown(error, "/"),
        }
    }
    let Json(configuration) = configuration::get(State(state.clone())).await;
    let program = &state.deps.program;
    layout::room(layout::Room {
        title: "Settings",
        path: PAGE,
        events: None,
        body: html! {
            h1 { "Settings" }
            (health(&program.unready(), &program.warnings()))
            (configuration_of(&configuration, kept.is_some()))
            @if let Some(kept) = &kept {
                (tokens_of(&kept.tokens))
                (changes(&kept.changes))
            }
            p.muted { "extrack " (env!("CARGO_PKG_VERSION")) " · " a href="/api/v1/openapi.json" { "description of the API" } " · signed in as " (principal.name) }
        },
    })
    .into_response()
}

async fn kept_by(state: &ApiState) -> ApiResult<Kept> {
    let query = Query(tokens::TokenQuery::default());
    let Json(tokens) = tokens::list(State(state.clone()), query).await?;
    let query = Query(audit::AuditQuery::default());
    let Json(changes) = audit::list(State(state.clone()), query).await?;
    Ok(Kept {
        tokens: tokens.items,
        changes: changes.items,
    })
}

fn health(reasons: &[String], warnings: &[String]) -> Markup {
    html! {
        section.card.panel aria-label="Health" {
            h2 {
                "This program "
                @if !reasons.is_empty() { (pill("error", "not ready")) }
                @else if !warnings.is_empty() { (pill("degraded", "ready, with warnings")) }
                @else { (pill("healthy", "ready")) }
            }
            @for reason in reasons { p.fault { (prose(reason)) } }
            @for warning in warnings { p { (prose(warning)) } }
            @if reasons.is_empty() && warnings.is_empty() { p.muted { "It is ready and has no warnings." } }
            p.muted { "Its figures for Prometheus: " a href="/metrics" { code { "/metrics" } } }
        }
    }
}

fn configuration_of(configuration: &ConfigurationBody, may_accept: bool) -> Markup {
    let is_used = configuration.status == "in use";
    html! {
        section.card.panel aria-label="Configuration" {
            h2 { "Configuration files " (pill(if is_used { "healthy" } else { "degraded" }, &configuration.status)) }
            p.muted { "since " (written(&configuration.since)) " · " code { (configuration.digest) } }
            @for reason in &configuration.reasons { p.fault { (prose(reason)) } }
            @if may_accept && configuration.status == "held" {
                form.acts method="post" action="/settings/configuration" {
                    input type="hidden" name="digest" value=(configuration.digest);
                    button type="submit" { "Use them, whatever they remove" }
                }
            }
        }
    }
}

fn tokens_of(tokens: &[TokenBody]) -> Markup {
    html! {
        section.card.panel aria-label="Tokens" {
            h2 { "Tokens " span.count { (tokens.len()) } }
            div.wide { table.list {
                thead { tr {
                    th scope="col" { "Name" } th scope="col" { "Scopes" } th scope="col" { "From" } th scope="col" { "Last used" }
                    th scope="col" { "Expires" } th scope="col" { "Act" }
                } }
                tbody { @for token in tokens {
                    tr {
                        td { (token.name) } td { (token.scopes.join(", ")) } td { (token.origin) }
                        td { @match &token.last_used_at { Some(at) => { (written(at)) } None => { "–" } } }
                        td { @match &token.expires_at { Some(at) => { (written(at)) @if token.is_expired { " expired" } } None => { "never" } } }
                        td { form method="post" action={ "/settings/tokens/" (token.id) "/revoke" } { button.quiet type="submit" { "Revoke" } } }
                    }
                } }
            } }
            h3 { "Make one" }
            form.acts method="post" action="/settings/tokens" {
                label { "Name " input name="name" required maxlength="64" autocomplete="off"; }
                @for scope in Scope::ALL {
                    label { input type="checkbox" name=(scope.as_str()) value="yes" checked[scope == Scope::Read]; " " (scope.as_str()) }
                }
                label { "Expires in " input name="expires" size="6" placeholder="90d" autocomplete="off"; }
                button type="submit" { "Make" }
            }
        }
    }
}

fn changes(changes: &[AuditBody]) -> Markup {
    html! {
        section.card.panel aria-label="Changes" {
            h2 { "Who changed what" }
            @if changes.is_empty() { p.empty { "Nothing was changed yet." } }
            @else {
                div.wide { table.list {
                    thead { tr { th scope="col" { "At" } th scope="col" { "By" } th scope="col" { "Change" } th scope="col" { "Of" } th scope="col" { "From" } } }
                    tbody { @for change in changes {
                        tr {
                            td { (written(&change.ts)) } td { (change.actor) } td { (change.action) } td { (change.subject) }
                            td { (change.address.as_deref().unwrap_or("–")) }
                        }
                    } }
                } }
                p.muted { "All of them: " code { "GET /api/v1/audit" } }
            }
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct AcceptForm {
    digest: String,
}

pub(crate) async fn accept_configuration(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Form(form): Form<AcceptForm>,
) -> Response {
    let query = Query(AcceptQuery {
        digest: Some(form.digest),
    });
    match configuration::accept(state, principal, query).await {
        Ok(_) => Redirect::to(PAGE).into_response(),
        Err(error) => refused(error, PAGE),
    }
}

/// A name, perhaps a lifetime, and a field for each scope that is wanted.
pub(crate) async fn create_token(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let value = |wanted: &str| {
        let field = fields.iter().find(|(name, _)| name == wanted);
        field.map(|(_, value)| value.trim().to_owned())
    };
    let scopes = Scope::ALL.into_iter().map(Scope::as_str);
    let spec = TokenSpec {
        name: value("name").unwrap_or_default(),
        scopes: scopes
            .filter(|scope| value(scope).is_some())
            .map(str::to_owned)
            .collect(),
        expires_in: value("expires").filter(|text| !text.is_empty()),
        expires_at: None,
    };
    match tokens::make(&state, principal, spec).await {
        Err(error) => refused(error, PAGE),
        Ok(made) => layout::bare(
            "New token",
            html! {
                h1 { "Token " (made.body.name) }
                p { "It is shown now and never again." }
                p { code { (made.token) } }
                p { a.button href=(PAGE) { "Back" } }
            },
        )
        .into_response(),
    }
}

pub(crate) async fn revoke_token(
    state: State<ApiState>,
    principal: Extension<Principal>,
    path: Path<TokenPath>,
) -> Response {
    match tokens::revoke(state, principal, path).await {
        Ok(_) => Redirect::to(PAGE).into_response(),
        Err(error) => refused(error, PAGE),
    }
}
