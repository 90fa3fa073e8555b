//! Every route, as one flat list of resources and pages, and the layers around them.

use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;

use super::dashboard;
use super::http::route_builder::Routes;
use super::http::state::ApiState;
use super::http::{auth, compression, guard, openapi, viewer};
use super::resources::{
    alert_routes, alerts, analytics, archive, audit, backtest, backups, budgets, calls, channels,
    configuration, consumers, costs, credentials, deliveries, events, health, heartbeats,
    incidents, invoices, maintenance, metrics, notifications, observations, plugins, queries,
    rate_limits, recordings, reports, rules, services, silences, sql, tokens, webhooks,
};

pub(super) fn routes() -> Routes {
    dashboard::pages(Routes::new())
        .resource("program", health::endpoints())
        .resource("webhooks", webhooks::endpoints())
        .resource("program", metrics::endpoints())
        .resource("program", openapi::endpoints())
        .resource("program", audit::endpoints())
        .resource("program", tokens::endpoints())
        .resource("program", configuration::endpoints())
        .resource("program", backups::endpoints())
        .resource("program", archive::endpoints())
        .resource("program", dashboard::status::endpoints())
        .resource("services", services::endpoints())
        .resource("services", services::change::endpoints())
        .resource("services", services::batch::endpoints())
        .resource("services", services::pause::endpoints())
        .resource("services", observations::endpoints())
        .resource("services", credentials::endpoints())
        .resource("gateway", consumers::endpoints())
        .resource("services", rate_limits::endpoints())
        .resource("heartbeats", heartbeats::endpoints())
        .resource("webhooks", events::endpoints())
        .resource("webhooks", deliveries::endpoints())
        .resource("alerts", alerts::endpoints())
        .resource("alerts", alerts::act::endpoints())
        .resource("alerts", incidents::endpoints())
        .resource("analytics", analytics::endpoints())
        .resource("rules", rules::endpoints())
        .resource("alerts", notifications::endpoints())
        .resource("alerts", backtest::endpoints())
        .resource("channels", channels::endpoints())
        .resource("alerts", alert_routes::endpoints())
        .resource("silences", silences::endpoints())
        .resource("silences", maintenance::endpoints())
        .resource("plugins", plugins::endpoints())
        .resource("plugins", plugins::pull::endpoints())
        .resource("plugins", plugins::grants::endpoints())
        .resource("plugins", plugins::check::endpoints())
        .resource("plugins", plugins::versions::endpoints())
        .resource("plugins", plugins::shadow::endpoints())
        .resource("plugins", recordings::endpoints())
        .resource("costs", costs::endpoints())
        .resource("costs", budgets::endpoints())
        .resource("costs", invoices::endpoints())
        .resource("reports", reports::endpoints())
        .resource("sql", sql::endpoints())
        .resource("sql", queries::endpoints())
        .resource("calls", calls::endpoints())
        .resource("calls", calls::traces::endpoints())
}

/// The whole face. Requests carry `ConnectInfo<SocketAddr>`, so that limits are counted by client.
pub fn router(state: ApiState) -> Router {
    let mut api = openapi::start();
    let Routes { open, closed, .. } = routes();
    let router = closed
        .fallback(dashboard::not_found)
        .layer(from_fn_with_state(
            state.clone(),
            dashboard::count_open_alerts,
        ))
        .layer(from_fn_with_state(state.clone(), auth::authenticate))
        .merge(open)
        .finish_api_with(&mut api, openapi::finish);
    router
        .layer(Extension(openapi::Document::new(&api)))
        .layer(DefaultBodyLimit::max(guard::MAX_BODY_BYTES))
        .layer(from_fn_with_state(state.clone(), guard::bound_in_flight))
        .layer(CatchPanicLayer::custom(guard::on_panic))
        .layer(from_fn(guard::one_error_shape))
        .layer(from_fn(dashboard::problems_as_pages))
        .layer(from_fn(guard::measure))
        .layer(from_fn(viewer::recognise))
        .layer(from_fn(compression::choose))
        .layer(compression::layer())
        .layer(from_fn_with_state(state.clone(), guard::security_headers))
        .layer(from_fn_with_state(state.clone(), auth::identify))
        .with_state(state)
}
