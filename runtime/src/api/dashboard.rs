//! The pages: rendered here, readable without JavaScript, kept fresh by server-sent fragments. A
//! page is one file beside `overview`; what several pages show is a fragment; `layout` is the
//! frame.

mod alerts;
mod assets;
mod incident;
mod live;
mod login;
mod overview;
mod service;
mod sql;
mod usage;

mod bars;
mod changes;
mod charts;
mod fragments;
mod layout;
mod range;
mod replies;
mod standing;
mod strip;
mod wording;

pub use changes::Changes;
pub use live::Live;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::http::endpoint::ANYONE;
use super::http::error::ApiError;
use super::http::negotiation::wants_html;
use super::http::route_builder::Routes;
use crate::api_types::scope::Scope::{Read, Sql, Write};

/// Adds the pages to the routes.
pub(super) fn pages(routes: Routes) -> Routes {
    routes
        .page(ANYONE, "/login", get(login::page).post(login::submit))
        .page(ANYONE, "/assets/{file}", get(assets::get))
        .page(Read, "/", get(overview::page))
        .page(Read, "/services/{slug}", get(service::page))
        .page(Write, "/services/{slug}/check", post(service::check))
        .page(Read, "/alerts", get(alerts::page))
        .page(Read, "/alerts/{id}", get(alerts::one_page))
        .page(Write, "/alerts/{id}/acknowledge", post(alerts::acknowledge))
        .page(
            Write,
            "/alerts/{id}/unacknowledge",
            post(alerts::unacknowledge),
        )
        .page(Write, "/alerts/{id}/silence", post(alerts::silence))
        .page(Write, "/alerts/{id}/resolve", post(alerts::resolve))
        .page(Read, "/incidents/{id}", get(incident::page))
        .page(Read, "/usage", get(usage::page))
        .page(Sql, "/sql", get(sql::page))
        .page(Sql, "/sql/download", get(sql::download))
        .page(Read, "/events", get(live::events::stream))
        .page(Read, "/logout", post(login::logout))
}

/// Answers requests for unknown paths: with a page for a browser, else with a problem.
pub(super) async fn not_found(request: Request) -> Response {
    if wants_html(request.headers()) && !request.uri().path().starts_with("/api/") {
        return (StatusCode::NOT_FOUND, replies::not_found_page()).into_response();
    }
    ApiError::path_not_found(request.uri().path()).into_response()
}
