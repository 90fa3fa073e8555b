//! Badges: one figure of a service, for pages of others.

use maud::html;

use super::facts::{ServiceFacts, Span, Uptime};
use crate::api::dashboard::wording::{latency, percent};

/// Availability in percent below which a badge warns, and below which it alarms.
const FINE: f64 = 99.9;
const POOR: f64 = 99.0;
const NO_DATA: &str = "no data";

pub(super) struct Badge {
    /// Name of the service.
    service: String,
    pub(super) label: String,
    pub(super) message: String,
    /// Class of its color.
    pub(super) tone: &'static str,
}

impl Badge {
    pub(super) fn status(service: &ServiceFacts) -> Self {
        Self {
            service: service.name.clone(),
            label: "status".to_owned(),
            message: service.condition.word().to_owned(),
            tone: service.condition.tone(),
        }
    }

    pub(super) fn uptime(service: &ServiceFacts, span: Span) -> Self {
        let uptime = service.uptime(span);
        let text = percent(uptime.up, uptime.counted());
        Self {
            service: service.name.clone(),
            label: format!("uptime {}", span.as_str()),
            tone: tone(uptime),
            message: text.unwrap_or_else(|| NO_DATA.to_owned()),
        }
    }

    pub(super) fn p95(service: &ServiceFacts) -> Self {
        Self {
            service: service.name.clone(),
            label: "p95 24h".to_owned(),
            message: service.p95_us.map_or_else(|| NO_DATA.to_owned(), latency),
            tone: "waiting",
        }
    }
}

fn tone(uptime: Uptime) -> &'static str {
    match uptime.up as f64 * 100.0 / uptime.counted() as f64 {
        share if share.is_nan() => "waiting",
        share if share >= FINE => "healthy",
        share if share >= POOR => "degraded",
        _ => "error",
    }
}

/// Returns the badge as a picture, readable on any ground: white text on a dark color.
pub(super) fn svg(badge: &Badge) -> String {
    let fill = match badge.tone {
        "healthy" => "#0f6b40",
        "degraded" => "#855700",
        "error" => "#ab1a2f",
        _ => "#4b5263",
    };
    let (left, right) = (width(&badge.label), width(&badge.message));
    let whole = left + right;
    let text = |x: u32, span: u32, words: &str| {
        html! {
            text x=(x + span / 2) y="14" text-anchor="middle" textLength=(span - 12) lengthAdjust="spacingAndGlyphs" { (words) }
        }
    };
    let title = format!("{} {}: {}", badge.service, badge.label, badge.message);
    let picture = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(whole) height="20" viewBox={ "0 0 " (whole) " 20" } role="img" aria-label=(title) {
            title { (title) }
            rect width=(whole) height="20" rx="4" fill="#2b3140" {}
            path fill=(fill) d={ "M" (left) " 0h" (right - 4) "a4 4 0 0 1 4 4v12a4 4 0 0 1-4 4h-" (right - 4) "z" } {}
            g fill="#ffffff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" {
                (text(0, left, &badge.label))
                (text(left, right, &badge.message))
            }
        }
    };
    picture.into_string()
}

/// Width of words in a badge with its margins, in pixels; `textLength` makes the words fit.
fn width(words: &str) -> u32 {
    words.chars().count() as u32 * 7 + 12
}
