//! Figures, incidents and runs of a service.

use maud::{Markup, html};

use super::{DAY_MS, MAX_INCIDENTS, MAX_RUNS, Past};
use crate::api::dashboard::fragments::pill;
use crate::api::dashboard::range::Range;
use crate::api::dashboard::standing::Standing;
use crate::api::dashboard::wording::{count, latency, percent, prose, seconds};
use crate::api::http::moment::{clock, day_and_clock, rfc3339};
use crate::domain::Observation;
use crate::store::HistorySlot;

pub(super) fn ranges(slug: &str, shown: Range) -> Markup {
    html! {
        nav.ranges aria-label="Span of time" {
            @for range in Range::ALL {
                a href={ "/services/" (slug) "?range=" (range.word()) } aria-current=[(range == shown).then_some("true")] { (range.word()) }
            }
        }
    }
}

/// Opens the console with a question.
pub(super) fn in_sql(query: &str) -> Markup {
    let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    html! { a href={ "/sql?q=" (query) } { "SQL" } }
}

/// The slots that the chart is drawn from. A slug has no quotes.
pub(super) fn slots_sql(slug: &str, range: Range) -> String {
    let (tier, _) = range.slots();
    format!(
        "SELECT ts, probe, location, runs, healthy, degraded, unhealthy, error, missed, broken, \
         round(lat_sum_us / nullif(lat_n, 0) / 1000, 1) AS mean_ms, lat_max_us / 1000 AS max_ms\n\
         FROM roll_{}\nWHERE service = '{slug}' AND ts >= utc_now() - INTERVAL {}\nORDER BY ts",
        tier.as_str(),
        range.interval()
    )
}

fn sum_of(slots: &[HistorySlot]) -> HistorySlot {
    let mut sum = HistorySlot::default();
    slots.iter().for_each(|slot| sum.add(slot));
    sum
}

pub(super) fn figures(slug: &str, past: &Past) -> Markup {
    let sum = sum_of(&past.slots);
    let counted = sum.up() + sum.down();
    let quantile = |quantile| sum.latencies.quantile_us(quantile).map(latency);
    let lasted: i64 = past.incidents.iter().map(|incident| incident.seconds).sum();
    let interval = past.range.interval();
    html! {
        dl.figures {
            (figure("Available", percent(sum.up(), counted)))
            (figure("p50", quantile(0.5)))
            (figure("p95", quantile(0.95)))
            (figure("p99", quantile(0.99)))
            (figure("Incidents", Some(match past.incidents.len() {
                0 => "none".to_owned(),
                MAX_INCIDENTS => format!("{MAX_INCIDENTS} or more"),
                found => format!("{found}, {}", seconds(lasted.unsigned_abs())),
            })))
        }
        details.counted {
            summary { "How counted" }
            p {
                "Of " (count_of(counted, "run")) " that count, " (sum.up()) " found the service up, " (sum.degraded) " of them degraded, and "
                (sum.down()) " found it down. Not counted: " (sum.missed) " missed, " (sum.broken) " that broke in the plugin, "
                (sum.excluded) " paused or in maintenance. Coverage: "
                (percent(counted, counted + sum.missed + sum.broken).unwrap_or_else(|| "none".to_owned()))
                ". Percentages are rounded down; quantiles are of runs that found it up, within 2.5 %. "
                (in_sql(&format!("SELECT * FROM availability('{slug}', INTERVAL {interval})")))
                " " (in_sql(&format!("SELECT * FROM latency('{slug}', INTERVAL {interval})")))
            }
        }
    }
}

fn count_of(number: u64, noun: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), noun)
}

/// Renders a figure; one that was not measured is a dash, not a zero.
fn figure(name: &str, value: Option<String>) -> Markup {
    html! { div { dt { (name) } dd { (value.as_deref().unwrap_or("–")) } } }
}

pub(super) fn incidents(past: &Past) -> Markup {
    html! {
        section.card.panel aria-labelledby="incidents-title" {
            h2 #incidents-title { "Incidents, " (past.range.name()) }
            @if past.incidents.is_empty() { p.empty { "None." } }
            @else {
                div.wide { table.list {
                    thead { tr { th scope="col" { "Began" } th scope="col" { "Lasted" } th scope="col" { "Seen by" } th scope="col" { "Cause" } th scope="col" { "Acknowledged" } } }
                    tbody {
                        @for incident in &past.incidents {
                            tr {
                                td { a href={ "/incidents/" (incident.id) } { (day_and_clock(incident.started_ms)) } }
                                td { (seconds(incident.seconds.unsigned_abs())) @if incident.ended_ms.is_none() { ", still open" } }
                                td { (incident.source) }
                                td { (prose(&incident.cause)) }
                                td { (incident.acknowledged_by.as_deref().unwrap_or("–")) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

pub(super) fn runs(slug: &str, past: &Past) -> Markup {
    let query =
        format!("SELECT * FROM observations WHERE service = '{slug}' ORDER BY ts DESC LIMIT 500");
    html! {
        section.card.panel aria-labelledby="runs-title" {
            h2 #runs-title { "Last runs" }
            @if past.runs.is_empty() { p.empty { "No run yet." } }
            @else {
                div.wide { table.list {
                    thead { tr {
                        th scope="col" { "At" } th scope="col" { "Probe" } th scope="col" { "Status" } th.number scope="col" { "Latency" }
                        th.number scope="col" { "HTTP" } th scope="col" { "What was wrong" }
                    } }
                    tbody { @for run in past.runs.iter().take(MAX_RUNS) { (row(run, past.now_ms)) } }
                } }
            }
            p.muted { (in_sql(&query)) }
        }
    }
}

fn row(run: &Observation, now_ms: i64) -> Markup {
    let word = if run.missed {
        "missed"
    } else {
        Standing::from(run.status).word()
    };
    let is_of_today = run.ts_ms.div_euclid(DAY_MS) == now_ms.div_euclid(DAY_MS);
    html! {
        tr {
            td { time datetime=(rfc3339(run.ts_ms)) { @if is_of_today { (clock(run.ts_ms)) } @else { (day_and_clock(run.ts_ms)) } } }
            td { (run.probe) }
            td { (pill(word, word)) }
            td.number { @match run.latency_us { Some(us) => { (latency(us)) } None => { "–" } } }
            td.number { @match run.http_status { Some(status) => { (status) } None => { "–" } } }
            td { @if let Some(failure) = &run.failure { b { (failure.kind.as_str()) } " " (prose(&failure.message)) } }
        }
    }
}
