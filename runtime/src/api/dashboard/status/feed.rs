//! The Atom feed of a page (RFC 4287): an entry for each incident.

use maud::{PreEscaped, html};
use sha2::{Digest, Sha256};

use super::facts::{IncidentFacts, LISTED_DAYS, PageFacts, first_day_ms};
use crate::api::dashboard::wording::seconds;
use crate::api::http::moment::{day_and_clock, rfc3339};
use crate::domain::UnixMillis;

const DECLARATION: PreEscaped<&str> = PreEscaped("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");

/// Returns the feed; `page_url` leads to the page, relative to the feed.
pub(super) fn of(page: &PageFacts, page_url: &str) -> String {
    let incidents = || page.open.iter().chain(&page.over);
    let empty_ms = first_day_ms(page.now_ms, LISTED_DAYS);
    let updated_ms = incidents().map(changed_ms).max().unwrap_or(empty_ms);
    let feed = html! {
        (DECLARATION)
        feed xmlns="http://www.w3.org/2005/Atom" {
            id { (id(&page.name, None)) }
            title { (page.title) }
            updated { (rfc3339(updated_ms)) }
            author { name { (page.title) } }
            link rel="alternate" type="text/html" href=(page_url) {}
            @for incident in incidents() {
                entry {
                    id { (id(&page.name, Some(incident))) }
                    title { (incident.service) ": " (incident.what) }
                    published { (rfc3339(incident.started_ms)) }
                    updated { (rfc3339(changed_ms(incident))) }
                    link rel="alternate" type="text/html" href=(page_url) {}
                    content type="text" { (text(incident)) }
                }
            }
        }
    };
    feed.into_string()
}

fn changed_ms(incident: &IncidentFacts) -> UnixMillis {
    let notes = incident.notes.iter().map(|note| note.at_ms);
    let moments = notes.chain(incident.ended_ms);
    moments.fold(incident.started_ms, UnixMillis::max)
}

fn text(incident: &IncidentFacts) -> String {
    let began = day_and_clock(incident.started_ms);
    let mut text = match incident.ended_ms {
        None => format!("{}: {}, since {began}.", incident.service, incident.what),
        Some(ended_ms) => {
            let lasted = (ended_ms - incident.started_ms).max(0).unsigned_abs() / 1_000;
            format!(
                "{}: {}, from {began} on, for {}. It is over.",
                incident.service,
                incident.what,
                seconds(lasted)
            )
        }
    };
    for note in &incident.notes {
        text.push_str(&format!("\n{}: {}", day_and_clock(note.at_ms), note.text));
    }
    text
}

/// Returns an id that stays the same, and has no number of ours: UUIDs of version 8 (RFC 9562).
fn id(page: &str, incident: Option<&IncidentFacts>) -> String {
    let mut digest = Sha256::new();
    digest.update(format!("status page {page}"));
    if let Some(incident) = incident {
        let source = if incident.is_vendors {
            "vendor"
        } else {
            "ours"
        };
        digest.update(format!(
            "\n{} {source} {}",
            incident.slug, incident.started_ms
        ));
    }
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest.finalize()[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let digits = hex::encode(bytes);
    format!(
        "urn:uuid:{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    )
}
