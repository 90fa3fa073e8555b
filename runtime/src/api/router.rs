//! Every route, as one flat list, and the layers around them.

use aide::axum::routing::{ApiMethodRouter, delete_with, get_with, post_with, put_with};
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;

use super::auth::Scope::{Admin, Deploy, Read, Sql, Write};
use super::plugins::{shadow, versions};
use super::routes::Routes;
use super::state::ApiState;
use super::{
    alerts, audit, auth, backtest, channels, configuration, dashboard, events, guard, health,
    maintenance, metrics, notifications, observations, openapi, plugins, recordings, routing,
    rules, services, silences, sql, tokens, webhooks,
};

pub(super) fn routes() -> Routes {
    Routes::new()
        // anyone
        .open("/healthz", get_with(health::live, health::live_docs))
        .open("/readyz", get_with(health::ready, health::ready_docs))
        .open_form(
            "/login",
            get(dashboard::login::page).post(dashboard::login::submit),
        )
        .open_page("/assets/{file}", get(dashboard::assets::get))
        .open("/webhooks/{service}/{webhook}", webhook())
        .open_page("/webhooks/{service}/{webhook}/{*rest}", webhook().into())
        // pages
        .closed_page(Read, "/", get(dashboard::overview::page))
        .closed_page(Read, "/events", get(dashboard::live::stream))
        .closed_page(Read, "/logout", post(dashboard::login::logout))
        // the program
        .closed(Read, "/metrics", get_with(metrics::get, metrics::get_docs))
        .closed(
            Read,
            "/api/v1/openapi.json",
            get_with(openapi::get, openapi::get_docs),
        )
        .closed(
            Admin,
            "/api/v1/audit",
            get_with(audit::list, audit::list_docs),
        )
        .closed(
            Admin,
            "/api/v1/tokens",
            get_with(tokens::list, tokens::list_docs),
        )
        .closed(
            Admin,
            "/api/v1/tokens",
            post_with(tokens::create, tokens::create_docs),
        )
        .closed(
            Admin,
            "/api/v1/tokens/{id}",
            delete_with(tokens::revoke, tokens::revoke_docs),
        )
        .closed(
            Read,
            "/api/v1/config",
            get_with(configuration::get, configuration::get_docs),
        )
        .closed_slow(
            Admin,
            "/api/v1/config/accept",
            post_with(configuration::accept, configuration::accept_docs),
        )
        // services
        .closed(
            Read,
            "/api/v1/services",
            get_with(services::list, services::list_docs),
        )
        .closed(
            Write,
            "/api/v1/services",
            post_with(services::create, services::create_docs),
        )
        .closed(
            Read,
            "/api/v1/services/{slug}",
            get_with(services::get, services::get_docs),
        )
        .closed(
            Write,
            "/api/v1/services/{slug}",
            put_with(services::replace, services::replace_docs),
        )
        .closed(
            Write,
            "/api/v1/services/{slug}",
            delete_with(services::delete, services::delete_docs),
        )
        .closed_slow(
            Write,
            "/api/v1/services/{slug}/check",
            post_with(services::check, services::check_docs),
        )
        .closed(
            Read,
            "/api/v1/services/{slug}/observations",
            get_with(observations::list, observations::list_docs),
        )
        .closed(
            Read,
            "/api/v1/services/{slug}/events",
            get_with(events::of_service, events::of_service_docs),
        )
        // events
        .closed(
            Read,
            "/api/v1/events",
            get_with(events::list, events::list_docs),
        )
        // alerts
        .closed(
            Read,
            "/api/v1/alerts",
            get_with(alerts::list, alerts::list_docs),
        )
        .closed(
            Read,
            "/api/v1/alerts/{id}",
            get_with(alerts::get, alerts::get_docs),
        )
        .closed(
            Write,
            "/api/v1/alerts/{id}/acknowledge",
            post_with(alerts::act::acknowledge, alerts::act::acknowledge_docs),
        )
        .closed(
            Write,
            "/api/v1/alerts/{id}/unacknowledge",
            post_with(alerts::act::unacknowledge, alerts::act::unacknowledge_docs),
        )
        .closed(
            Write,
            "/api/v1/alerts/{id}/resolve",
            post_with(alerts::act::resolve, alerts::act::resolve_docs),
        )
        .closed(
            Read,
            "/api/v1/rules",
            get_with(rules::list, rules::list_docs),
        )
        .closed(
            Read,
            "/api/v1/escalations",
            get_with(rules::escalations, rules::escalations_docs),
        )
        .closed(
            Read,
            "/api/v1/notifications",
            get_with(notifications::list, notifications::list_docs),
        )
        .closed(
            Read,
            "/api/v1/notifications/{id}",
            get_with(notifications::get, notifications::get_docs),
        )
        .closed(
            Write,
            "/api/v1/notifications/{id}/resend",
            post_with(notifications::resend, notifications::resend_docs),
        )
        .closed_upload(
            Write,
            "/api/v1/rules/backtest",
            post_with(backtest::backtest, backtest::backtest_docs),
        )
        // channels
        .closed(
            Read,
            "/api/v1/channels",
            get_with(channels::list, channels::list_docs),
        )
        // Not for those who may only read: a template of their own is rendered.
        .closed(
            Write,
            "/api/v1/channels/{name}/preview",
            post_with(channels::preview, channels::preview_docs),
        )
        .closed_slow(
            Write,
            "/api/v1/channels/{name}/test",
            post_with(channels::test, channels::test_docs),
        )
        .closed(
            Read,
            "/api/v1/routes",
            get_with(routing::get, routing::get_docs),
        )
        .closed(
            Read,
            "/api/v1/routes/preview",
            post_with(routing::preview, routing::preview_docs),
        )
        // silences and maintenance
        .closed(
            Read,
            "/api/v1/silences",
            get_with(silences::list, silences::list_docs),
        )
        .closed(
            Write,
            "/api/v1/silences",
            post_with(silences::create, silences::create_docs),
        )
        .closed(
            Read,
            "/api/v1/silences/preview",
            post_with(silences::preview, silences::preview_docs),
        )
        .closed(
            Read,
            "/api/v1/silences/{id}",
            get_with(silences::get, silences::get_docs),
        )
        .closed(
            Write,
            "/api/v1/silences/{id}",
            delete_with(silences::expire, silences::expire_docs),
        )
        .closed(
            Read,
            "/api/v1/maintenance",
            get_with(maintenance::list, maintenance::list_docs),
        )
        .closed(
            Write,
            "/api/v1/maintenance",
            post_with(maintenance::create, maintenance::create_docs),
        )
        .closed(
            Write,
            "/api/v1/maintenance/{name}",
            delete_with(maintenance::delete, maintenance::delete_docs),
        )
        // plugins
        .closed(
            Read,
            "/api/v1/plugins",
            get_with(plugins::list, plugins::list_docs),
        )
        .closed(
            Read,
            "/api/v1/plugins/{name}",
            get_with(plugins::get, plugins::get_docs),
        )
        .closed_upload(
            Deploy,
            "/api/v1/plugins/{name}",
            put_with(plugins::install, plugins::install_docs),
        )
        .closed_slow(
            Deploy,
            "/api/v1/plugins/pull",
            post_with(plugins::pull, plugins::pull_docs),
        )
        .closed(
            Read,
            "/api/v1/plugins/{name}/grants",
            get_with(plugins::grants::get, plugins::grants::get_docs),
        )
        .closed(
            Admin,
            "/api/v1/plugins/{name}/grants",
            put_with(plugins::grants::put, plugins::grants::put_docs),
        )
        .closed(
            Admin,
            "/api/v1/plugins/{name}/grants",
            delete_with(plugins::grants::delete, plugins::grants::delete_docs),
        )
        .closed_upload(
            Deploy,
            "/api/v1/plugins/check",
            post_with(plugins::check::check, plugins::check::check_docs),
        )
        .closed_slow(
            Deploy,
            "/api/v1/plugins/{name}",
            delete_with(plugins::remove, plugins::remove_docs),
        )
        .closed_slow(
            Deploy,
            "/api/v1/plugins/{name}/rollback",
            post_with(plugins::rollback, plugins::rollback_docs),
        )
        .closed(
            Read,
            "/api/v1/plugins/{name}/versions",
            get_with(versions::list, versions::list_docs),
        )
        .closed(
            Deploy,
            "/api/v1/plugins/{name}/versions/{digest}/component",
            get_with(versions::component, versions::component_docs),
        )
        .closed(
            Read,
            "/api/v1/plugins/{name}/shadow",
            get_with(shadow::get, shadow::get_docs),
        )
        .closed_upload(
            Deploy,
            "/api/v1/plugins/{name}/shadow",
            put_with(shadow::start, shadow::start_docs),
        )
        .closed_slow(
            Deploy,
            "/api/v1/plugins/{name}/promote",
            post_with(shadow::promote, shadow::promote_docs),
        )
        .closed_slow(
            Deploy,
            "/api/v1/plugins/{name}/discard",
            post_with(shadow::discard, shadow::discard_docs),
        )
        // recordings
        .closed(
            Read,
            "/api/v1/recordings",
            get_with(recordings::list, recordings::list_docs),
        )
        .closed(
            Read,
            "/api/v1/recordings/{runId}",
            get_with(recordings::get, recordings::get_docs),
        )
        // sql
        .closed_slow(Sql, "/api/v1/sql", post_with(sql::query, sql::query_docs))
}

/// The methods that senders use: some ask for a challenge by `GET` first.
fn webhook() -> ApiMethodRouter<ApiState> {
    post_with(webhooks::receive, webhooks::post_docs)
        .put_with(webhooks::receive, webhooks::put_docs)
        .get_with(webhooks::receive, webhooks::get_docs)
}

/// The whole face. Requests carry `ConnectInfo<SocketAddr>`, so that limits are counted by client.
pub fn router(state: ApiState) -> Router {
    let mut api = openapi::start();
    let Routes { open, closed, .. } = routes();
    let router = closed
        .fallback(guard::not_found)
        .layer(from_fn_with_state(state.clone(), auth::authenticate))
        .merge(open)
        .finish_api_with(&mut api, openapi::finish);
    router
        .layer(Extension(openapi::Document::new(&api)))
        .layer(DefaultBodyLimit::max(guard::MAX_BODY_BYTES))
        .layer(from_fn_with_state(state.clone(), guard::bound_in_flight))
        .layer(CatchPanicLayer::custom(guard::on_panic))
        .layer(from_fn(guard::one_error_shape))
        .layer(from_fn(guard::measure))
        .layer(from_fn_with_state(state.clone(), guard::security_headers))
        .layer(from_fn_with_state(state.clone(), auth::identify))
        .with_state(state)
}
