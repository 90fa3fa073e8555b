//! The pages: rendered here, readable without JavaScript, kept fresh by server-sent fragments. A
//! page is one file beside `overview`; what several pages show is a fragment; `layout` is the
//! frame.

mod alerts;
mod analytics;
mod assets;
mod credentials;
mod editor;
mod help;
mod incident;
mod live;
mod login;
mod overview;
mod plugins;
mod preferences;
mod reports;
mod routing;
mod service;
mod settings;
mod sql;
pub(super) mod status;
mod usage;

mod changes;
mod fragments;
mod layout;
mod open_alerts;
mod preferences_form;
mod range;
mod replies;
mod rooms;
mod standing;
mod strip;
mod wording;

pub use changes::Changes;
pub use live::Live;
pub(super) use open_alerts::count as count_open_alerts;
pub(super) use replies::problems_as_pages;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::http::endpoint::ANYONE;
use super::http::error::ApiError;
use super::http::guard;
use super::http::negotiation::wants_html;
use super::http::route_builder::Routes;
use crate::api_types::scope::Scope::{Admin, Deploy, Read, Sql, Write};

/// Adds the pages to the routes.
pub(super) fn pages(routes: Routes) -> Routes {
    status::routes(routes)
        .page(ANYONE, "/login", get(login::page).post(login::submit))
        .page(ANYONE, "/assets/{file}", get(assets::get))
        .page(Read, "/", get(overview::page))
        .page(Write, "/new", get(overview::new).post(overview::watch))
        .page(
            Write,
            "/attention/{id}/acknowledge",
            post(overview::acknowledge),
        )
        .page(Write, "/attention/{id}/silence", post(overview::silence))
        .form_page(
            Write,
            "/new/yaml",
            guard::TEXT_FORM,
            get(editor::new).post(editor::create),
        )
        .page(Read, "/services/{slug}", get(service::page))
        .form_page(
            Write,
            "/services/{slug}/edit",
            guard::TEXT_FORM,
            get(editor::page).post(editor::save),
        )
        .page(Read, "/services/{slug}/credentials", get(credentials::page))
        .form_page(
            Write,
            "/services/{slug}/credentials/set",
            guard::TEXT_FORM,
            post(credentials::set),
        )
        .page(
            Write,
            "/services/{slug}/credentials/delete",
            post(credentials::delete),
        )
        .page(
            Write,
            "/services/{slug}/delete",
            get(editor::confirm).post(editor::remove),
        )
        .page(Write, "/services/{slug}/check", post(service::check))
        .page(Write, "/services/{slug}/pause", post(service::pause))
        .page(Write, "/services/{slug}/resume", post(service::resume))
        .page(Write, "/services/{slug}/silence", post(service::silence))
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
        .form_page(
            Write,
            "/incidents/{id}/notes",
            guard::LONG_FORM,
            post(incident::note),
        )
        .page(
            Write,
            "/incidents/{id}/notes/{note}/delete",
            post(incident::delete_note),
        )
        .page(Read, "/usage", get(usage::page))
        .form_page(
            Write,
            "/usage/invoices",
            usage::INVOICE_FORM,
            post(usage::import_invoice),
        )
        .page(Admin, "/usage/consumers", post(usage::add_consumer))
        .page(
            Admin,
            "/usage/consumers/{id}/revoke",
            post(usage::revoke_consumer),
        )
        .page(Read, "/reports", get(reports::list))
        .page(Read, "/reports/{name}", get(reports::one))
        .slow_page(Read, "/reports/{name}/preview", get(reports::preview))
        .page(Read, "/reports/{name}/runs/{run}", get(reports::run))
        .page(Write, "/reports/{name}/make", post(reports::make))
        .page(Write, "/reports/{name}/delete", post(reports::delete))
        .page(
            Write,
            "/reports/{name}/runs/{run}/resend",
            post(reports::resend),
        )
        .form_page(
            Write,
            "/report-builder",
            guard::LONG_FORM,
            get(reports::builder).post(reports::build),
        )
        .slow_page(Read, "/analytics", get(analytics::page))
        .page(Write, "/analytics/noise/adopt", post(analytics::adopt))
        .page(Sql, "/sql", get(sql::page))
        .page(Sql, "/sql/download", get(sql::download))
        .page(Write, "/sql/save", post(sql::save_query))
        .page(Write, "/sql/delete", post(sql::delete_query))
        .page(Read, "/plugins", get(plugins::page))
        .upload_page(Deploy, "/plugins/install", post(plugins::upload))
        .page(Read, "/plugins/{name}", get(plugins::one_page))
        .upload_page(Deploy, "/plugins/{name}/upload", post(plugins::upload_one))
        .slow_page(Deploy, "/plugins/{name}/rollback", post(plugins::roll_back))
        .slow_page(Deploy, "/plugins/{name}/promote", post(plugins::promote))
        .slow_page(Deploy, "/plugins/{name}/discard", post(plugins::discard))
        .slow_page(Deploy, "/plugins/{name}/remove", post(plugins::remove))
        .page(Read, "/routing", get(routing::page))
        .slow_page(Write, "/routing/test", post(routing::test_channel))
        .page(Write, "/routing/silences", post(routing::create_silence))
        .page(
            Write,
            "/routing/silences/{id}/end",
            post(routing::end_silence),
        )
        .page(
            Write,
            "/routing/maintenance",
            post(routing::create_maintenance),
        )
        .page(
            Write,
            "/routing/maintenance/remove",
            post(routing::remove_maintenance),
        )
        .page(Read, "/settings", get(settings::page))
        .slow_page(
            Admin,
            "/settings/configuration",
            post(settings::accept_configuration),
        )
        .page(Admin, "/settings/tokens", post(settings::create_token))
        .page(
            Admin,
            "/settings/tokens/{id}/revoke",
            post(settings::revoke_token),
        )
        .page(Read, "/events", get(live::events::stream))
        .page(Read, "/help", get(help::page))
        .page(Read, "/preferences", post(preferences::submit))
        .page(Read, "/logout", post(login::logout))
}

/// Answers requests for unknown paths: with a page for a browser, else with a problem.
pub(super) async fn not_found(request: Request) -> Response {
    if wants_html(request.headers()) && !request.uri().path().starts_with("/api/") {
        return (StatusCode::NOT_FOUND, replies::not_found_page()).into_response();
    }
    ApiError::path_not_found(request.uri().path()).into_response()
}
