//! One service: how it behaved, why it failed, and what stands behind each figure.

mod parts;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::charts::{Chart, days, latency_chart};
use super::range::Range;
use super::replies::{not_found_page, refused};
use super::standing::Standing;
use super::wording::{prose, since};
use super::{fragments, layout};
use crate::api::http::auth::Principal;
use crate::api::http::error::ApiResult;
use crate::api::http::moment::clock;
use crate::api::http::state::ApiState;
use crate::api_types::scope::Scope;
use crate::domain::{Alert, Observation, Service, Tier, UnixMillis, now_ms};
use crate::store::{HistorySlot, IncidentFilter, IncidentRow, ResultError};

/// Days in the strip, each a bar.
const DAYS: usize = 90;
const DAY_MS: UnixMillis = 86_400_000;
const MAX_INCIDENTS: usize = 20;
const MAX_RUNS: usize = 20;

#[derive(Debug, Deserialize)]
pub(crate) struct ServicePath {
    slug: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ServiceQuery {
    range: Option<String>,
}

/// History of a service, from the results store.
struct Past {
    range: Range,
    span: (UnixMillis, UnixMillis),
    now_ms: UnixMillis,
    /// Moment before which everything that arrived is in it.
    data_to_ms: UnixMillis,
    slots: Vec<HistorySlot>,
    days: Vec<HistorySlot>,
    incidents: Vec<IncidentRow>,
    runs: Vec<Observation>,
}

pub(crate) async fn page(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(ServicePath { slug }): Path<ServicePath>,
    Query(query): Query<ServiceQuery>,
) -> ApiResult<Response> {
    let Some(service) = state.deps.registry.catalog().services.get(&slug).cloned() else {
        return Ok((StatusCode::NOT_FOUND, not_found_page()).into_response());
    };
    let range = Range::parse(query.range.as_deref());
    let alerts = state.deps.control.alert_open_list().await?;
    let alerts: Vec<Alert> = alerts
        .into_iter()
        .filter(|alert| alert.service == slug)
        .collect();
    let past = past(&state, &slug, range).await;
    let body = html! {
        (head(&state, &principal, &service))
        @if !alerts.is_empty() {
            section.card.panel aria-labelledby="alerts-title" {
                h2 #alerts-title { "Open alerts" }
                ul.alerts { @for alert in &alerts { (fragments::alert(alert, &service.name)) } }
            }
        }
        @match &past {
            Ok(past) => { (history(&slug, past)) }
            Err(error) => {
                p.fault role="alert" {
                    "The history can't be read just now: " (error) ". Checks and alerts go on; load the page again."
                }
            }
        }
    };
    let room = layout::Room {
        title: &service.name,
        path: "/",
        events: None,
        body,
    };
    Ok(layout::room(room).into_response())
}

/// Runs the first probe, and returns to the page.
pub(crate) async fn check(
    State(state): State<ApiState>,
    Path(ServicePath { slug }): Path<ServicePath>,
) -> Response {
    let page = format!("/services/{slug}");
    match state.deps.monitor.check_now(&slug, None).await {
        Ok(_) => Redirect::to(&page).into_response(),
        Err(error) => refused(error.into(), &page),
    }
}

async fn past(state: &ApiState, slug: &str, range: Range) -> Result<Past, ResultError> {
    let results = &state.deps.results;
    let (now_ms, data_to_ms) = (now_ms(), results.data_to_ms());
    let span = range.span(now_ms);
    let (tier, width_ms) = range.slots();
    let today_ms = now_ms.div_euclid(DAY_MS) * DAY_MS;
    let last_days = (
        today_ms - (DAYS as UnixMillis - 1) * DAY_MS,
        today_ms + DAY_MS,
    );
    let filter = IncidentFilter {
        service: Some(slug.to_owned()),
        from_ms: Some(span.0),
        until_ms: Some(span.1),
        ..IncidentFilter::default()
    };
    let (slots, days, incidents, runs) = tokio::try_join!(
        results.service_history(slug, tier, width_ms, span),
        results.service_history(slug, Tier::Day, DAY_MS, last_days),
        results.incident_page(filter, MAX_INCIDENTS),
        results.observation_page(slug, None, MAX_RUNS),
    )?;
    Ok(Past {
        range,
        span,
        now_ms,
        data_to_ms,
        slots,
        days,
        incidents,
        runs,
    })
}

fn head(state: &ApiState, principal: &Principal, service: &Service) -> Markup {
    let status = state.deps.monitor.service_status(&service.slug);
    let standing = Standing::from(status.as_ref().and_then(|status| status.status));
    let since_ms = status.as_ref().and_then(|status| status.since_ms);
    html! {
        header.service-head {
            div {
                p.back { a href="/" { "Services" } }
                h1 { (service.name) " " (fragments::pill(standing.word(), standing.word())) }
                p.muted {
                    (fragments::address(&service.base_url)) " · " (service.kind)
                    @if let Some(owner) = &service.owner { " · " (owner) }
                    @for tag in &service.tags { " " span.tag { (tag) } }
                    @if let Some(ms) = since_ms { " · " (since(ms)) }
                }
                @if let Some(text) = &service.description { p { (prose(text)) } }
            }
            @if principal.may(Scope::Write) {
                form method="post" action={ "/services/" (service.slug) "/check" } {
                    button type="submit" { "Check now" }
                }
            }
        }
    }
}

fn history(slug: &str, past: &Past) -> Markup {
    let chart = Chart {
        slots: &past.slots,
        incidents: &past.incidents,
        width_ms: past.range.slots().1,
        span: past.span,
        now_ms: past.now_ms,
    };
    html! {
        (parts::ranges(slug, past.range))
        (parts::figures(slug, past))
        section.card.panel aria-labelledby="days-title" {
            h2 #days-title { "90 days" }
            (days(&past.days, DAYS, past.now_ms))
        }
        section.card.panel aria-labelledby="latency-title" {
            h2 #latency-title { "Latency, " (past.range.name()) }
            div.wide { (latency_chart(&chart)) }
            p.muted {
                "The band is from the middle to the 95th percentile, the thin line the 99th; marks below are runs that found it down. UTC. "
                (parts::in_sql(&parts::slots_sql(slug, past.range)))
            }
        }
        (parts::incidents(past))
        (parts::runs(slug, past))
        p.muted { "Data to " (clock(past.data_to_ms)) "." }
    }
}
