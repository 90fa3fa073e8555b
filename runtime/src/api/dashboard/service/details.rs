//! What else is known of a service: its probes, certificate, rate limits, cost and events. Each part
//! stands alone: one that can't be read leaves the others.

use axum::Json;
use axum::extract::{Path, Query, State};
use maud::{Markup, html};

use super::parts::in_sql;
use super::run::metric_text;
use super::{DAY_MS, Past};
use crate::api::dashboard::fragments::pill;
use crate::api::dashboard::standing::Standing;
use crate::api::dashboard::wording::{ago, count, latency, prose, written};
use crate::api::http::error::ApiResult;
use crate::api::http::moment::{day_and_clock, rfc3339};
use crate::api::http::state::ApiState;
use crate::api::resources::services::SlugPath;
use crate::api::resources::{costs, rate_limits};
use crate::api_types::costs::{CostRowBody, CostsBody, UsageBody};
use crate::api_types::rate_limits::{RateLimitBody, RateLimitsBody};
use crate::charts::{Bars, Column, Unit, Zone, bars, budget};
use crate::domain::duration::format_duration;
use crate::domain::{Event, MetricValue, Observation, Service, UnixMillis};
use crate::monitoring::ServiceStatus;
use crate::store::{EventFilter, ResultError};

const MAX_EVENTS: usize = 10;
const USAGE_DAYS: UnixMillis = 30;
/// Name under which probes report how long a certificate is valid.
const CERTIFICATE: &str = "certificate_days_left";

pub(super) struct Details {
    limits: ApiResult<RateLimitsBody>,
    costs: ApiResult<CostsBody>,
    usage: ApiResult<UsageBody>,
    events: Result<Vec<Event>, ResultError>,
}

pub(super) async fn of(state: &ApiState, slug: &str, now_ms: UnixMillis) -> Details {
    let shared = || State(state.clone());
    let path = Path(SlugPath {
        slug: slug.to_owned(),
    });
    let since_ms = (now_ms.div_euclid(DAY_MS) + 1 - USAGE_DAYS) * DAY_MS;
    let filter = EventFilter {
        service: Some(slug.to_owned()),
        ..EventFilter::default()
    };
    let by_day = costs::CostQuery::of_service(slug, "day", Some(since_ms));
    let in_cycle = costs::CostQuery::of_service(slug, "service", None);
    let (limits, costs, usage, events) = tokio::join!(
        rate_limits::get(shared(), path),
        costs::costs(shared(), Query(in_cycle)),
        costs::usage(shared(), Query(by_day)),
        state.deps.results.event_page(filter, None, MAX_EVENTS),
    );
    Details {
        limits: limits.map(|Json(body)| body),
        costs: costs.map(|Json(body)| body),
        usage: usage.map(|Json(body)| body),
        events,
    }
}

pub(super) fn sections(service: &Service, details: &Details, past: &Past) -> Markup {
    html! {
        (limits(details))
        (cost(&service.slug, details, past.now_ms))
        (events(service, details))
    }
}

fn unreadable() -> Markup {
    html! { p.fault role="alert" { "This part could not be read; load the page again." } }
}

/// Renders the probes with their last runs, and the certificate that ends first.
pub(super) fn probes(service: &Service, status: Option<&ServiceStatus>) -> Markup {
    html! {
        section.card.panel aria-labelledby="probes-title" {
            h2 #probes-title { "Probes" }
            @if service.probes.is_empty() { p.empty { "None: nothing is checked." } }
            @else {
                div.wide { table.list {
                    thead { tr {
                        th scope="col" { "Probe" } th scope="col" { "Plugin" } th scope="col" { "Every" } th scope="col" { "Status" }
                        th.number scope="col" { "Latency" } th scope="col" { "Last run" }
                    } }
                    tbody { @for probe in &service.probes {
                        @let run = latest(status, &probe.name);
                        @let word = run.map_or("unknown", |run| Standing::from(run.status).word());
                        tr {
                            td { (probe.name) }
                            td { a href={ "/plugins/" (probe.plugin) } { (probe.plugin) } @if let Some(run) = run { " " (run.plugin_version) } }
                            td { (format_duration(probe.interval)) }
                            td { (pill(word, word)) }
                            td.number { @match run.and_then(|run| run.latency_us) { Some(us) => { (latency(us)) } None => { "–" } } }
                            td { @match run { Some(run) => { (ago(run.ts_ms)) } None => { span.muted { "none yet" } } } }
                        }
                    } }
                } }
            }
            @if let Some((probe, days)) = status.and_then(certificate) {
                p { "Certificate: " b { (metric_text(&days)) " days left" } ", measured by " (probe) "." }
            }
        }
    }
}

fn latest<'a>(status: Option<&'a ServiceStatus>, probe: &str) -> Option<&'a Observation> {
    let mut probes = status?.probes.iter();
    probes.find(|found| found.name == probe)?.latest.as_deref()
}

/// The certificate with the fewest days left, with the probe that saw it.
fn certificate(status: &ServiceStatus) -> Option<(&str, MetricValue)> {
    let days = |value: &MetricValue| match value {
        MetricValue::Integer(days) => Some(*days as f64),
        MetricValue::Number(days) => Some(*days),
        MetricValue::Boolean(_) | MetricValue::Text(_) => None,
    };
    let measured = status.probes.iter().filter_map(|probe| {
        let metrics = &probe.latest.as_deref()?.metrics;
        let metric = metrics.iter().find(|metric| metric.name == CERTIFICATE)?;
        Some((probe.name.as_str(), days(&metric.value)?, &metric.value))
    });
    let first = measured.min_by(|one, other| one.1.total_cmp(&other.1));
    first.map(|(probe, _, value)| (probe, value.clone()))
}

fn limits(details: &Details) -> Markup {
    html! {
        section.card.panel aria-labelledby="limits-title" {
            h2 #limits-title { "Rate limits" }
            @match &details.limits {
                Err(_) => { (unreadable()) }
                Ok(body) if body.limits.is_empty() => { p.empty { "No answer of the last day named a limit." } }
                Ok(body) => {
                    div.wide { table.list {
                        thead { tr { th scope="col" { "Limit" } th scope="col" { "Left" } th.number scope="col" { "Of" } th scope="col" { "Starts anew" } th scope="col" { "Outlook" } } }
                        tbody { @for limit in &body.limits { (limit_row(limit)) } }
                    } }
                }
            }
        }
    }
}

fn limit_row(limit: &RateLimitBody) -> Markup {
    let text = limit.remaining.map_or_else(
        || limit.forecast.summary.clone(),
        |remaining| format!("{remaining} left, {}", limit.forecast.summary),
    );
    html! {
        tr {
            td { (limit.name) " " span.muted { (limit.host) @if let Some(credential) = &limit.credential { ", " (credential) } } }
            td {
                @if let Some(percent) = limit.remaining_percent { (budget(&limit.name, percent / 100.0, &text)) }
                @match limit.remaining { Some(remaining) => { (remaining) } None => { "–" } }
            }
            td.number { @match limit.quota { Some(quota) => { (quota) " " (limit.unit.as_deref().unwrap_or("requests")) } None => { "–" } } }
            td { @match &limit.reset_at { Some(at) => { (written(at)) } None => { "–" } } }
            td {
                (prose(&limit.forecast.summary))
                @if let Some(likely) = &limit.forecast.likely { ": likely " (written(likely)) }
            }
        }
    }
}

fn cost(slug: &str, details: &Details, now_ms: UnixMillis) -> Markup {
    let query = format!(
        "SELECT * FROM usage_totals WHERE service = '{slug}' AND ts >= utc_now() - INTERVAL 30 DAY ORDER BY ts DESC LIMIT 500"
    );
    html! {
        section.card.panel aria-labelledby="cost-title" {
            h2 #cost-title { "Usage and cost" }
            @match &details.usage {
                Err(_) => { (unreadable()) }
                Ok(body) if body.rows.is_empty() => { p.empty { "No call was counted in 30 days." } }
                Ok(body) => { div.wide tabindex="0" { (calls_by_day(body, now_ms)) } p.muted { "Calls of each day, UTC. " (in_sql(&query)) } }
            }
            @match &details.costs {
                Err(_) => { (unreadable()) }
                Ok(body) => { @for row in &body.rows { (cost_row(row)) } }
            }
            p { a href="/usage" { "All services" } }
        }
    }
}

fn calls_by_day(body: &UsageBody, now_ms: UnixMillis) -> Markup {
    let today = now_ms.div_euclid(DAY_MS);
    let columns = (today + 1 - USAGE_DAYS..=today).map(|number| {
        let written = rfc3339(number * DAY_MS);
        let of_day = body
            .rows
            .iter()
            .filter(|row| row.group.day.as_deref() == written.get(..10));
        Column {
            // In another zone a day of UTC would have the name of its neighbour.
            label: Zone::utc().day(number * DAY_MS),
            values: vec![of_day.map(|row| row.calls as f64).sum()],
            is_forecast: false,
        }
    });
    bars(&Bars {
        name: "calls a day",
        unit: Unit::Count,
        series: &["calls"],
        columns: &columns.collect::<Vec<_>>(),
    })
}

fn cost_row(row: &CostRowBody) -> Markup {
    let currency = row.currency.as_deref().unwrap_or("");
    html! {
        p {
            @match &row.cycle { Some(cycle) => { "Cycle " (cycle.name) ": " } None => {} }
            (count(usize::try_from(row.calls).unwrap_or(0), "call"))
            @if let Some(used) = &row.used { ", used " (used) " " (currency) }
            @if let Some(owed) = &row.owed { ", owed " b { (owed) " " (currency) } }
            @match (&row.forecast, &row.forecast_missing) {
                (Some(forecast), _) => { ", forecast " (forecast.likely) " " (currency) " (" (forecast.low) " to " (forecast.high) ")" }
                (None, Some(reason)) => { span.muted { ", no forecast: " (reason) } }
                (None, None) => {}
            }
            "."
        }
    }
}

fn events(service: &Service, details: &Details) -> Markup {
    html! {
        @if !service.webhooks.is_empty() {
            section.card.panel aria-labelledby="events-title" {
                h2 #events-title { "Events" }
                @match &details.events {
                    Err(_) => { (unreadable()) }
                    Ok(events) if events.is_empty() => { p.empty { "Nothing arrived at its webhooks." } }
                    Ok(events) => {
                        div.wide { table.list {
                            thead { tr { th scope="col" { "At" } th scope="col" { "Webhook" } th scope="col" { "Kind" } th scope="col" { "What" } } }
                            tbody { @for event in events {
                                tr { td { (day_and_clock(event.ts_ms)) } td { (event.webhook) } td { (event.kind) } td { (prose(&event.summary)) } }
                            } }
                        } }
                    }
                }
                p.muted { (in_sql(&format!("SELECT * FROM events WHERE service = '{}' ORDER BY ts DESC LIMIT 500", service.slug))) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::http::viewer::seen_from;

    #[test]
    fn days_of_calls_are_named_as_those_of_utc_wherever_the_viewer_is() {
        let body = UsageBody {
            from: None,
            to: None,
            rows: Vec::new(),
        };
        // 23 November 2026, 07:43 UTC.
        let drawn = seen_from(chrono_tz::America::New_York, || {
            calls_by_day(&body, 1_795_419_803_120).into_string()
        });
        assert!(drawn.contains("23 Nov"), "{drawn}");
        assert!(!drawn.contains("24 Oct"), "30 days: {drawn}");
    }
}
