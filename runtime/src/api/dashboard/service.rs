//! One service: how it behaved, why it failed, and what stands behind each figure.

mod acts;
mod details;
mod parts;
mod pictures;
mod run;
mod shown;

pub(super) use acts::{check, pause, resume, silence};

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use self::details::Details;
use self::pictures::Picture;
use self::shown::{ServiceQuery, Shown, View};
use super::range::Range;
use super::replies::not_found_page;
use super::standing::Standing;
use super::wording::{prose, since};
use super::{fragments, layout};
use crate::api::http::auth::Principal;
use crate::api::http::error::ApiResult;
use crate::api::http::moment::clock;
use crate::api::http::state::ApiState;
use crate::api_types::scope::Scope;
use crate::domain::{Alert, IncidentSource, Observation, Service, Tier, UnixMillis, now_ms};
use crate::plugin_host::Recording;
use crate::store::{
    ClaimSums, HistorySlot, IncidentFilter, IncidentRow, PluginSwap, ResultError, ResultStore,
};

/// Days in the strip, each a bar.
const DAYS: usize = 90;
const DAY_MS: UnixMillis = 86_400_000;
const HOUR_MS: UnixMillis = 3_600_000;
const MAX_INCIDENTS: usize = 20;
const MAX_CLAIMS: usize = 200;
const MAX_RUNS: usize = 20;

#[derive(Debug, Deserialize)]
pub(crate) struct ServicePath {
    slug: String,
}

/// History of a service, from the results store.
struct Past {
    range: Range,
    span: (UnixMillis, UnixMillis),
    now_ms: UnixMillis,
    /// Moment before which everything that arrived is in it.
    data_to_ms: UnixMillis,
    slots: Vec<HistorySlot>,
    /// A span as long, a week or more before.
    before: Vec<HistorySlot>,
    days: Vec<HistorySlot>,
    incidents: Vec<IncidentRow>,
    /// Those of the span that our own probes found.
    outages: Vec<IncidentRow>,
    /// Incidents of the 90 days, by the vendor.
    claimed: Vec<IncidentRow>,
    claims: ClaimSums,
    swaps: Vec<PluginSwap>,
    picture: Picture,
    runs: Vec<Observation>,
    /// The run that was asked for.
    run: Option<(Observation, Option<Recording>)>,
}

impl Past {
    /// The time that the present span is compared with.
    fn before_when(&self) -> &'static str {
        match self.range {
            Range::SixHours | Range::Day | Range::Week => "a week before",
            Range::Month => "in the 30 days before",
            Range::Quarter => "in the 90 days before",
            Range::Year => "in the year before",
        }
    }
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
    let events = state.live.watch_url(Some(&slug));
    let shown = Shown::of(&query);
    let alerts = state.deps.control.alert_open_list().await?;
    let alerts: Vec<Alert> = alerts
        .into_iter()
        .filter(|alert| alert.service == slug)
        .collect();
    let (past, details) = tokio::join!(
        past(&state, &slug, shown),
        details::of(&state, &slug, now_ms())
    );
    let body = html! {
        (head(&state, &principal, &service))
        @if !alerts.is_empty() {
            section.card.panel aria-labelledby="alerts-title" {
                h2 #alerts-title { "Open alerts" }
                ul.alerts { @for alert in &alerts { (fragments::alert(alert, &service.name)) } }
            }
        }
        @match &past {
            Ok(past) => { (history(&state, &service, shown, past, &details)) }
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
        events: Some(events),
        body,
    };
    Ok(layout::room(room).into_response())
}

async fn past(state: &ApiState, slug: &str, shown: Shown) -> Result<Past, ResultError> {
    let results = &state.deps.results;
    let (now_ms, data_to_ms) = (now_ms(), results.data_to_ms());
    let range = shown.range;
    let span = range.span(now_ms);
    let (tier, width_ms) = range.slots();
    let earlier_ms = (span.1 - span.0).max(7 * DAY_MS);
    let before = (span.0 - earlier_ms, span.1 - earlier_ms);
    let today_ms = now_ms.div_euclid(DAY_MS) * DAY_MS;
    let last_days = (
        today_ms - (DAYS as UnixMillis - 1) * DAY_MS,
        today_ms + DAY_MS,
    );
    let filter = |source, (from_ms, until_ms)| IncidentFilter {
        service: Some(slug.to_owned()),
        source,
        from_ms: Some(from_ms),
        until_ms: Some(until_ms),
        ..IncidentFilter::default()
    };
    let vendors = filter(Some(IncidentSource::Vendor), last_days);
    let ours = filter(Some(IncidentSource::Ours), span);
    let (slots, before, days, incidents, outages, claimed, claims, swaps, picture, runs, run) = tokio::try_join!(
        results.service_history(slug, tier, width_ms, span),
        results.service_history(slug, tier, width_ms, before),
        results.service_history(slug, Tier::Day, DAY_MS, last_days),
        results.incident_page(filter(None, span), MAX_INCIDENTS),
        results.incident_page(ours, MAX_INCIDENTS),
        results.incident_page(vendors, MAX_CLAIMS),
        results.service_claims(slug, last_days.0),
        results.service_swaps(slug, span),
        picture(results, slug, shown, span),
        runs(results, slug, shown),
        run_of(state, slug, shown.run),
    )?;
    Ok(Past {
        range,
        span,
        now_ms,
        data_to_ms,
        slots,
        before,
        days,
        incidents,
        outages,
        claimed,
        claims,
        swaps,
        picture,
        runs,
        run,
    })
}

async fn picture(
    results: &ResultStore,
    slug: &str,
    shown: Shown,
    span: (UnixMillis, UnixMillis),
) -> Result<Picture, ResultError> {
    let (_, width_ms) = shown.range.slots();
    match shown.view {
        View::Quantiles => Ok(Picture::Quantiles),
        View::Phases => results
            .service_phases(slug, width_ms, span)
            .await
            .map(Picture::Phases),
        View::Heat => results
            .service_history(slug, Tier::Hour, HOUR_MS, pictures::heat_span(span))
            .await
            .map(Picture::Heat),
    }
}

async fn runs(
    results: &ResultStore,
    slug: &str,
    shown: Shown,
) -> Result<Vec<Observation>, ResultError> {
    if shown.is_failed_only {
        results.observation_failed_page(slug, MAX_RUNS).await
    } else {
        results.observation_page(slug, None, MAX_RUNS).await
    }
}

async fn run_of(
    state: &ApiState,
    slug: &str,
    run: Option<i64>,
) -> Result<Option<(Observation, Option<Recording>)>, ResultError> {
    let Some(run_id) = run else {
        return Ok(None);
    };
    let Some(found) = state.deps.results.observation_get(slug, run_id).await? else {
        return Ok(None);
    };
    let recording = run::recording(state, run_id).await;
    Ok(Some((found, recording)))
}

fn head(state: &ApiState, principal: &Principal, service: &Service) -> Markup {
    let status = state.deps.monitor.service_status(&service.slug);
    let standing = Standing::from(status.as_ref().and_then(|status| status.status));
    let since_ms = status.as_ref().and_then(|status| status.since_ms);
    let catalog = state.deps.registry.catalog();
    let pause = catalog.paused.get(&service.slug);
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
                    " · " a href={ "/services/" (service.slug) "/credentials" } { "Credentials" }
                }
                @if let Some(text) = &service.description { p { (prose(text)) } }
                @if let Some(pause) = pause { (acts::paused(pause)) }
            }
            @if principal.may(Scope::Write) { (acts::forms(&service.slug, pause)) }
        }
    }
}

fn history(
    state: &ApiState,
    service: &Service,
    shown: Shown,
    past: &Past,
    details: &Details,
) -> Markup {
    let slug = service.slug.as_str();
    let status = state.deps.monitor.service_status(slug);
    html! {
        (parts::ranges(slug, shown))
        (parts::figures(slug, past))
        (pictures::ninety_days(slug, past, !service.webhooks.is_empty()))
        (pictures::latencies(slug, shown, past))
        (parts::incidents(past))
        (details::probes(service, status.as_ref()))
        (parts::runs(slug, shown, past))
        @match (&past.run, shown.run) {
            (Some((run, recording)), _) => { (run::section(run, recording.as_ref())) }
            (None, Some(run_id)) => { p #run.empty { "Run " (run_id) " is not kept, or is of another service." } }
            (None, None) => {}
        }
        (details::sections(service, details, past))
        p.muted { "Data to " (clock(past.data_to_ms)) "." }
    }
}
