//! Figures, incidents and runs of a service.

use maud::{Markup, html};

use super::pictures::comparison;
use super::shown::Shown;
use super::{DAY_MS, MAX_INCIDENTS, MAX_RUNS, Past};
use crate::api::dashboard::fragments::pill;
use crate::api::dashboard::range::Range;
use crate::api::dashboard::standing::Standing;
use crate::api::dashboard::wording::{count, latency, percent, prose, seconds};
use crate::api::http::moment::{clock, day_and_clock, rfc3339};
use crate::domain::Observation;
use crate::store::{HistorySlot, IncidentRow};

pub(super) fn ranges(slug: &str, shown: Shown) -> Markup {
    let of = |range: Range| Shown { range, ..shown }.url(slug);
    html! {
        nav.ranges aria-label="Span of time" {
            @for range in Range::ALL {
                a href=(of(range)) aria-current=[(range == shown.range).then_some("true")] { (range.word()) }
            }
        }
    }
}

/// Opens the console with a question.
pub(super) fn in_sql(query: &str) -> Markup {
    let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    html! { a href={ "/sql?q=" (query) } { "SQL" } }
}

/// Links to what a picture is drawn from: its rows, all of them as a file, and the question.
pub(super) fn sources(query: &str) -> Markup {
    let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    html! {
        a href={ "/sql?q=" (encoded) "#main" } { "Table" } " · "
        a href={ "/sql/download?format=csv&q=" (encoded) } { "CSV" } " · " (in_sql(query))
    }
}

/// The slots that the chart is drawn from. A slug has no quotes.
pub(super) fn slots_sql(slug: &str, range: Range) -> String {
    let (tier, _) = range.slots();
    format!(
        "SELECT ts, probe, location, runs, healthy, degraded, unhealthy, error, missed, broken, \
         round(lat_sum_us / nullif(lat_n, 0) / 1000, 1) AS mean_ms, lat_max_us / 1000 AS max_ms\n\
         FROM roll_{}\nWHERE service = '{slug}' AND location <> 'webhook' AND ts >= utc_now() - INTERVAL {}\nORDER BY ts",
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
    let interval = past.range.interval();
    let before = sum_of(&past.before).latencies.quantile_us(0.95);
    let compared = comparison(sum.latencies.quantile_us(0.95), before, past.before_when());
    html! {
        dl.figures {
            (figure("Available", percent(sum.up(), counted)))
            (figure("p50", quantile(0.5)))
            (figure("p95", quantile(0.95)))
            (figure("p99", quantile(0.99)))
            (figure("Outages", Some(outages(&past.outages))))
        }
        @if let Some(compared) = compared { p.compared { (compared) } }
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

/// Incidents of our own probes, with how long they lasted.
fn outages(found: &[IncidentRow]) -> String {
    let lasted: i64 = found.iter().map(|incident| incident.seconds).sum();
    match found.len() {
        0 => "none".to_owned(),
        MAX_INCIDENTS.. => format!("{MAX_INCIDENTS} or more"),
        count => format!("{count}, {}", seconds(lasted.unsigned_abs())),
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

pub(super) fn runs(slug: &str, shown: Shown, past: &Past) -> Markup {
    let condition = if shown.is_failed_only {
        " AND status IN ('unhealthy', 'error')"
    } else {
        ""
    };
    let query = format!(
        "SELECT * FROM observations WHERE service = '{slug}'{condition} ORDER BY ts DESC LIMIT 500"
    );
    let of = |is_failed_only: bool| {
        let shown = Shown {
            is_failed_only,
            run: None,
            ..shown
        };
        shown.url(slug)
    };
    html! {
        section.card.panel aria-labelledby="runs-title" {
            h2 #runs-title { "Last runs" }
            nav.ranges aria-label="Runs" {
                a href={ (of(false)) "#runs-title" } aria-current=[(!shown.is_failed_only).then_some("true")] { "all" }
                a href={ (of(true)) "#runs-title" } aria-current=[shown.is_failed_only.then_some("true")] { "failed" }
            }
            @if past.runs.is_empty() { p.empty { @if shown.is_failed_only { "None failed." } @else { "No run yet." } } }
            @else {
                div.wide { table.list {
                    thead { tr {
                        th scope="col" { "At" } th scope="col" { "Probe" } th scope="col" { "Status" } th.number scope="col" { "Latency" }
                        th.number scope="col" { "HTTP" } th scope="col" { "What was wrong" }
                    } }
                    tbody { @for run in past.runs.iter().take(MAX_RUNS) { (row(slug, shown, run, past.now_ms)) } }
                } }
            }
            p.muted { (sources(&query)) }
        }
    }
}

fn row(slug: &str, shown: Shown, run: &Observation, now_ms: i64) -> Markup {
    let of = Shown {
        run: Some(run.run_id),
        ..shown
    };
    let word = if run.missed {
        "missed"
    } else {
        Standing::from(run.status).word()
    };
    let is_of_today = run.ts_ms.div_euclid(DAY_MS) == now_ms.div_euclid(DAY_MS);
    html! {
        tr {
            td { a href={ (of.url(slug)) "#run" } {
                time datetime=(rfc3339(run.ts_ms)) { @if is_of_today { (clock(run.ts_ms)) } @else { (day_and_clock(run.ts_ms)) } }
            } }
            td { (run.probe) }
            td { (pill(word, word)) }
            td.number { @match run.latency_us { Some(us) => { (latency(us)) } None => { "–" } } }
            td.number { @match run.http_status { Some(status) => { (status) } None => { "–" } } }
            td { @if let Some(failure) = &run.failure { b { (failure.kind.as_str()) } " " (prose(&failure.message)) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outage(seconds: i64) -> IncidentRow {
        IncidentRow {
            id: 1,
            service: "shop".to_owned(),
            started_ms: 0,
            ended_ms: Some(seconds * 1_000),
            seconds,
            kind: "outage".to_owned(),
            source: "ours".to_owned(),
            cause: String::new(),
            error_kind: None,
            probe: None,
            outcome: None,
            runs: 1,
            reopened: 0,
            alert_id: None,
            fired_ms: None,
            acknowledged_ms: None,
            acknowledged_by: None,
        }
    }

    #[test]
    fn outages_are_counted_with_their_time_as_long_as_all_are_known() {
        assert_eq!(outages(&[]), "none");
        assert_eq!(outages(&[outage(60), outage(1)]), "2, 1 min");
        let many: Vec<_> = (0..MAX_INCIDENTS).map(|_| outage(60)).collect();
        assert_eq!(outages(&many), format!("{MAX_INCIDENTS} or more"));
    }
}
