//! Trends: sentences of many services, pictures of one.

use axum::Json;
use axum::extract::{Query, State};
use maud::{Markup, html};

use super::parts::or_dash;
use super::parts::{
    AnalyticsQuery, View, is_of, links, milliseconds, more, ms_of, percent, span_form, to_service,
};
use crate::api::dashboard::wording::written;
use crate::api::http::error::ApiResult;
use crate::api::http::state::ApiState;
use crate::api::resources::analytics as resource;
use crate::api_types::analytics::{
    AnalyticsBody, ChangeBody, PointBody, SeriesTrendBody, TrendBody, WeekBody,
};
use crate::charts::{self, Heat, Line, Mark, Unit, Zone};
use crate::domain::{UnixMillis, time_zone};

/// Points of a chart.
const MAX_POINTS: usize = 360;

const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

pub(super) async fn body(
    state: &ApiState,
    query: &AnalyticsQuery,
    zone: String,
) -> ApiResult<Markup> {
    let asked = resource::TrendQuery {
        cursor: query.cursor.clone(),
        service: query.service.clone(),
        from: query.from.clone(),
        to: query.to.clone(),
        zone: Some(zone),
        series: query.service.is_some(),
        ..resource::TrendQuery::default()
    };
    let Json(found) = resource::trends(State(state.clone()), Query(asked)).await?;
    let field = html! {
        label { "Service " input name="service" value=(query.service.as_deref().unwrap_or("")) placeholder="all" size="16"; }
    };
    Ok(html! {
        (span_form(query, View::Trends, &field))
        @if found.items.is_empty() { p.empty { "No service is watched yet." } }
        @if query.service.is_some() {
            @for trend in &found.items { (pictures(&found, trend)) }
        } @else if !found.items.is_empty() { (table(query, &found)) }
        (more(query, View::Trends, found.next.as_deref()))
        p.muted { "Times are in " (found.zone) ". Latency is the 95th percentile of each hour, within 2.5 %. "
            "A change is shown from p < 0.001 and 10 % of the latency on, once the seasons are taken out." }
    })
}

fn table(query: &AnalyticsQuery, found: &AnalyticsBody<TrendBody>) -> Markup {
    html! {
        section.card.panel aria-label="Services" {
            div.wide { table.list {
                thead { tr {
                    th scope="col" { "Service" } th scope="col" { "What changed" } th scope="col" { "Season" }
                    th.number scope="col" { "p95, week" } th.number scope="col" { "before" } th scope="col" { "Slowest phase" }
                } }
                tbody { @for trend in &found.items { (row(query, trend)) } }
            } }
            p.muted { "Hours of these services: " (links(&hours_sql(found))) }
        }
    }
}

/// The hours of the page's services and span.
fn hours_sql(found: &AnalyticsBody<TrendBody>) -> String {
    let slugs: Vec<&str> = found
        .items
        .iter()
        .map(|trend| trend.service.as_str())
        .collect();
    format!(
        "SELECT service, ts, probe, healthy + degraded AS up, unhealthy + error AS down, \
         round(lat_sum_us / nullif(lat_n, 0) / 1000, 1) AS mean_ms\n\
         FROM roll_1h\nWHERE {} AND ts >= '{}' AND ts < '{}'\nORDER BY service, ts",
        is_of(&slugs),
        found.from.trim_end_matches('Z'),
        found.to.trim_end_matches('Z')
    )
}

fn row(query: &AnalyticsQuery, trend: &TrendBody) -> Markup {
    let slug = trend.service.as_str();
    html! {
        tr {
            td { a href=(query.address(View::Trends, &[("service", slug)])) { (slug) } }
            td {
                @let changes: Vec<&ChangeBody> = changes(trend);
                @if changes.is_empty() { @if trend.p95.hours == 0 { "–" } @else { "nothing" } }
                @else { ul.analytics-list { @for change in changes.iter().rev().take(3) { li { (change.text) } } } }
            }
            td { (season(&trend.p95)) }
            td.number { (milliseconds(trend.week.as_ref().and_then(|week| week.last.p95_ms))) }
            td.number { (milliseconds(trend.week.as_ref().and_then(|week| week.before.p95_ms))) }
            td { @match &trend.slowest_phase { Some(phase) => { (phase_name(&phase.phase)) ", " (format!("{:.0} %", phase.share)) } None => { "–" } } }
        }
    }
}

/// Changes of both series, oldest first.
fn changes(trend: &TrendBody) -> Vec<&ChangeBody> {
    let mut changes: Vec<&ChangeBody> = trend.p95.changes.iter().collect();
    changes.extend(&trend.availability.changes);
    changes.sort_by(|left, right| left.at.cmp(&right.at));
    changes
}

fn phase_name(phase: &str) -> &str {
    match phase {
        "dns" => "name resolution",
        "firstByte" => "first byte",
        other => other,
    }
}

fn season(trend: &SeriesTrendBody) -> Markup {
    let word = |strength: f64| match strength {
        ..0.4 => "none",
        0.4..0.64 => "weak",
        _ => "strong",
    };
    html! {
        @match trend.daily_season { Some(strength) => { "daily: " (word(strength)) } None => { "–" } }
        @if let Some(strength) = trend.weekly_season { ", weekly: " (word(strength)) }
    }
}

fn pictures(found: &AnalyticsBody<TrendBody>, trend: &TrendBody) -> Markup {
    let slug = &trend.service;
    let span = (ms_of(&found.from), ms_of(&found.to));
    let zone = Zone(time_zone(found.zone.parse().unwrap_or(chrono_tz::Tz::UTC)));
    let sql = hours_sql(found);
    html! {
        h2 { (to_service(slug)) }
        @if let Some(week) = &trend.week { (weeks(week)) }
        section.card.panel aria-label="Latency" {
            h2 { "Latency, 95th percentile" }
            (sentences(&trend.p95, "ms"))
            (picture("p95", Unit::Micros, 1_000.0, &trend.p95, span, &zone))
            p.muted { (links(&sql)) }
        }
        section.card.panel aria-label="Availability" {
            h2 { "Availability" }
            (sentences(&trend.availability, "percentage points"))
            (picture("availability", Unit::Percent, 0.01, &trend.availability, span, &zone))
            p.muted { (links(&sql)) }
        }
        @if !trend.usage.is_empty() { (usage(trend)) }
    }
}

fn weeks(week: &WeekBody) -> Markup {
    html! {
        div.wide { table.list {
            thead { tr { th scope="col" { "Week" } th.number scope="col" { "Available" } th.number scope="col" { "p50" } th.number scope="col" { "p95" } } }
            tbody {
                @for (name, figures) in [("last 7 days", &week.last), ("7 days before", &week.before)] {
                    tr {
                        td { (name) } td.number { (percent(figures.availability)) }
                        td.number { (milliseconds(figures.p50_ms)) } td.number { (milliseconds(figures.p95_ms)) }
                    }
                }
            }
        } }
    }
}

fn sentences(trend: &SeriesTrendBody, unit: &str) -> Markup {
    html! {
        @if trend.changes.is_empty() { p { "No change of the level." } }
        @else { ul.analytics-list { @for change in &trend.changes { li { (change.text) } } } }
        p.muted {
            (trend.hours) " hours were measured. Season " (season(trend)) "."
            @if let Some(slope) = &trend.slope {
                " Slope " (format!("{:+.3}", slope.per_day)) " " (unit) " a day over " (slope.days) " days (" (slope.p) ")."
            }
        }
    }
}

/// Draws a series whose values are multiplied into the unit of the chart.
fn picture(
    name: &str,
    unit: Unit<'_>,
    factor: f64,
    trend: &SeriesTrendBody,
    span: (UnixMillis, UnixMillis),
    zone: &Zone,
) -> Markup {
    let points = points(trend.series.as_deref().unwrap_or_default(), factor);
    let marks: Vec<Mark<'_>> = trend
        .changes
        .iter()
        .map(|change| Mark {
            at_ms: ms_of(&change.at),
            text: &change.text,
        })
        .collect();
    let line = Line {
        name,
        unit,
        span,
        points: &points,
        threshold: None,
        marks: &marks,
        zone,
    };
    html! {
        @if trend.hours == 0 { p.empty { "Nothing was measured in this span." } }
        @else {
            div.wide tabindex="0" { (charts::line(&line)) }
            details { summary { "Table" } (hours(trend.series.as_deref().unwrap_or_default())) }
        }
    }
}

/// The last hours as a table; all of them are in the download.
fn hours(series: &[PointBody]) -> Markup {
    html! {
        table.list {
            thead { tr { th scope="col" { "Hour" } th.number scope="col" { "Value" } } }
            tbody {
                @for point in series.iter().rev().take(48) {
                    tr { td { (written(&point.at)) } td.number { (or_dash(point.value.map(|value| format!("{value:.1}")))) } }
                }
            }
        }
    }
}

/// Joins hours by their mean until few enough are left.
fn points(series: &[PointBody], factor: f64) -> Vec<(UnixMillis, Option<f64>)> {
    let width = series.len().div_ceil(MAX_POINTS).max(1);
    let joined = series.chunks(width).map(|hours| {
        let known: Vec<f64> = hours.iter().filter_map(|hour| hour.value).collect();
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        let value = (!known.is_empty()).then_some(mean * factor);
        (hours.first().map_or(0, |hour| ms_of(&hour.at)), value)
    });
    joined.collect()
}

fn usage(trend: &TrendBody) -> Markup {
    let rows: Vec<String> = WEEKDAYS.iter().map(|day| (*day).to_owned()).collect();
    let columns: Vec<String> = (0..24).map(|hour| format!("{hour:02}")).collect();
    let heat = Heat {
        name: "calls by weekday and hour",
        rows: &rows,
        columns: &columns,
        counts: &trend.usage,
    };
    let slug = &trend.service;
    let sql = format!(
        "SELECT weekday, hour, sum(calls)::BIGINT AS calls FROM usage_by_hour\n\
         WHERE service = '{slug}' AND ts >= utc_now() - INTERVAL 30 DAY\nGROUP BY weekday, hour ORDER BY weekday, hour"
    );
    html! {
        section.card.panel aria-label="Calls" {
            h2 { "Calls by weekday and hour" }
            div.wide tabindex="0" { (charts::heat(&heat)) }
            p.muted { (links(&sql)) ", in UTC" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_have_few_points_and_keep_gaps() {
        let point = |hour: usize| PointBody {
            at: format!("2026-11-{:02}T{:02}:00:00Z", hour / 24 + 1, hour % 24),
            value: (hour < 100).then_some(2.0),
        };
        let series: Vec<PointBody> = (0..720).map(point).collect();
        let found = points(&series, 1_000.0);
        assert_eq!(found.len(), 360);
        assert_eq!(
            (found[0].1, found[49].1, found[50].1),
            (Some(2_000.0), Some(2_000.0), None)
        );
        assert_eq!(found[1].0 - found[0].0, 2 * 3_600_000);
        assert!(points(&[], 1.0).is_empty());
    }
}
