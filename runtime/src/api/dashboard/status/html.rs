//! A status page as HTML: complete without a script, and with one style sheet.

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, html};

use super::facts::{
    Condition, DAY_MS, DAYS, IncidentFacts, LISTED_DAYS, PageFacts, PlannedFacts, ServiceFacts,
    Span, Uptime, first_day_ms,
};
use crate::api::dashboard::wording::{percent, seconds};
use crate::api::dashboard::{assets, fragments};
use crate::api::http::moment::{day, day_and_clock, rfc3339};
use crate::charts::{claimed_days, days};
use crate::domain::UnixMillis;

/// Where the files of a page are.
pub(super) struct Links {
    style: String,
    feed: String,
    json: String,
}

impl Links {
    pub(super) fn served(name: &str) -> Self {
        Self {
            style: assets::url("app.css"),
            feed: format!("/status/{name}/feed.atom"),
            json: format!("/status/{name}.json"),
        }
    }

    /// Files that lie beside each other.
    pub(super) fn exported(name: &str) -> Self {
        Self {
            style: "app.css".to_owned(),
            feed: format!("{name}.atom"),
            json: format!("{name}.json"),
        }
    }
}

pub(super) fn page(page: &PageFacts, links: &Links) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (page.title) }
                // No icon: a browser would ask for one.
                link rel="icon" href="data:,";
                link rel="stylesheet" href=(links.style);
                link rel="alternate" type="application/atom+xml" title=(page.title) href=(links.feed);
            }
            body.public {
                main #main {
                    header {
                        h1 { (page.title) }
                        p class={ "sentence " (page.condition().tone()) } { span.mark aria-hidden="true" {} (page.sentence()) }
                        p.muted { "As of " (moment(page.now_ms)) (history(page)) }
                    }
                    (open(page))
                    (planned(page))
                    @for (title, services) in &page.groups {
                        section.card.panel {
                            h2 { (title) }
                            ul.services { @for service in services { (row(service, page.now_ms)) } }
                        }
                    }
                    (past(page))
                    (foot(page, links))
                }
            }
        }
    }
}

/// Shows how far the history reaches.
fn history(page: &PageFacts) -> Markup {
    html! {
        @match page.history_to_ms {
            None => { ". The history can't be read just now; the status is current." }
            Some(to_ms) => { ". History up to " (moment(to_ms)) "." }
        }
    }
}

fn moment(ms: UnixMillis) -> Markup {
    html! { time datetime=(rfc3339(ms)) { (day_and_clock(ms)) } }
}

fn row(service: &ServiceFacts, now_ms: UnixMillis) -> Markup {
    let condition = service.condition;
    html! {
        li {
            div.head {
                b { (service.name) }
                (fragments::pill(condition.tone(), condition.word()))
                @if let (Condition::Down | Condition::Degraded, Some(since_ms)) = (condition, service.since_ms) {
                    span.muted { "since " (moment(since_ms)) }
                }
            }
            (days(&service.days, DAYS, now_ms))
            @if !service.claims.is_empty() {
                p.muted { "What the vendor claims:" }
                (claimed_days(&service.claims, DAYS, now_ms))
            }
            p.muted { (availability(service.uptime(Span::Quarter))) }
        }
    }
}

/// `99.95 % available in 90 days, by 98.70 % of the checks`
fn availability(uptime: Uptime) -> String {
    match percent(uptime.up, uptime.counted()) {
        None => format!("not checked in {DAYS} days"),
        Some(share) => {
            let coverage = percent(uptime.counted(), uptime.due()).unwrap_or_default();
            format!("{share} available in {DAYS} days, by {coverage} of the checks that were due")
        }
    }
}

fn open(page: &PageFacts) -> Markup {
    html! {
        @if !page.open.is_empty() {
            section.card.panel {
                h2 { "Open incidents" }
                ul.incidents { @for incident in &page.open {
                    li { b { (incident.service) } ": " (incident.what) ", since " (moment(incident.started_ms)) (notes(incident)) }
                } }
            }
        }
    }
}

fn planned(page: &PageFacts) -> Markup {
    let line = |window: &PlannedFacts| {
        let names: Vec<&str> = window
            .services
            .iter()
            .map(|(_, name)| name.as_str())
            .collect();
        html! {
            li {
                b { (names.join(", ")) } ": "
                @if window.starts_ms <= page.now_ms { "under way, " }
                (moment(window.starts_ms)) " to " (moment(window.ends_ms))
            }
        }
    };
    html! {
        @if !page.planned.is_empty() {
            section.card.panel {
                h2 { "Scheduled maintenance" }
                ul.incidents { @for window in &page.planned { (line(window)) } }
            }
        }
    }
}

/// The last days, each with the incidents that began on it, or before them.
fn past(page: &PageFacts) -> Markup {
    let first_ms = first_day_ms(page.now_ms, LISTED_DAYS);
    let mut by_day: BTreeMap<UnixMillis, Vec<&IncidentFacts>> = BTreeMap::new();
    for incident in &page.over {
        let day_ms = incident.started_ms.div_euclid(DAY_MS) * DAY_MS;
        by_day
            .entry(day_ms.max(first_ms))
            .or_default()
            .push(incident);
    }
    html! {
        section.card.panel {
            h2 { "The last " (LISTED_DAYS) " days" }
            @if page.history_to_ms.is_none() { p.empty { "The history can't be read just now." } }
            @else if by_day.is_empty() { p.empty { "No incident that is over." } }
            @for (day_ms, incidents) in by_day.iter().rev() {
                h3 { (day(*day_ms)) }
                ul.incidents { @for incident in incidents { (over(incident)) } }
            }
        }
    }
}

fn over(incident: &IncidentFacts) -> Markup {
    let ended_ms = incident.ended_ms.unwrap_or(incident.started_ms);
    let lasted = (ended_ms - incident.started_ms).max(0).unsigned_abs() / 1_000;
    html! {
        li {
            b { (incident.service) } ": " (incident.what) ", " (moment(incident.started_ms))
            " to " (moment(ended_ms)) ", " (seconds(lasted))
            (notes(incident))
        }
    }
}

fn notes(incident: &IncidentFacts) -> Markup {
    html! {
        @if !incident.notes.is_empty() {
            ul.notes { @for note in &incident.notes { li { (moment(note.at_ms)) " " (note.text) } } }
        }
    }
}

fn foot(page: &PageFacts, links: &Links) -> Markup {
    html! {
        footer.muted {
            @for (text, url) in &page.links { a href=(url) rel="noopener" { (text) } " " }
            a href=(links.feed) { "Atom feed" } " "
            a href=(links.json) { "JSON" }
            p { "Times are UTC, days begin at 00:00 UTC. Availability is counted by checks and rounded down; checks that were missed or broken, and those of pauses and maintenance, count neither for nor against a service." }
        }
    }
}
