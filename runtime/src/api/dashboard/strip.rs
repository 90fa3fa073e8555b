//! The strip of a service's last 24 hours, a bar each half hour: inline SVG, light enough for a
//! hundred rows. Good half hours share one path; each of the others is a bar of its own with a title.
//! The worse a half hour, the higher its bar, so that colour is never needed.

use maud::{Markup, html};

use crate::api::http::moment::hour_of_utc;
use crate::charts::ranks::{self, HEIGHT};
use crate::store::{HALF_HOUR_MS, HALF_HOURS, HalfHour, ServiceSummary};

const STEP: usize = 4;
/// Share of the runs that count: where more of them found the service down, the half hour was lost.
const LOST: f64 = 0.1;

/// Oldest first; the half hour that is under way stands at the right edge.
pub(super) fn strip(summary: Option<&ServiceSummary>) -> Markup {
    let half_hours = summary.map_or(&[][..], |summary| &summary.half_hours);
    let from_ms = summary.map_or(0, |summary| summary.from_ms);
    let words = half_hours.iter().map(word).chain(std::iter::repeat("none"));
    let words: Vec<&str> = words.take(HALF_HOURS).collect();
    let places = |wanted: &'static str| {
        let places = words.iter().enumerate();
        places
            .filter(move |(_, word)| **word == wanted)
            .map(|(place, _)| place)
    };
    html! {
        svg.strip viewBox={ "0 0 " (HALF_HOURS * STEP) " " (HEIGHT) } role="img" aria-label=(label(&words)) {
            @for word in ["none", "healthy"] {
                @if words.contains(&word) { path class=(word) d=(ranks::path(word, STEP, places(word))) {} }
            }
            @for (place, half_hour) in half_hours.iter().enumerate().filter(|(place, _)| !is_plain(words[*place])) {
                path class=(words[place]) d=(ranks::path(words[place], STEP, [place])) {
                    title { (hour_of_utc(from_ms + place as i64 * HALF_HOUR_MS)) " · " (found(half_hour)) }
                }
            }
        }
    }
}

fn is_plain(word: &str) -> bool {
    matches!(word, "none" | "healthy")
}

/// Returns how bad it was, as a day in the row of days.
fn word(half_hour: &HalfHour) -> &'static str {
    let up = half_hour.healthy + half_hour.degraded;
    match half_hour.down as f64 / (up + half_hour.down) as f64 {
        share if share.is_nan() && half_hour.uncounted == 0 => "none",
        share if share.is_nan() => "unknown",
        share if share >= LOST => "error",
        share if share > 0.0 => "unhealthy",
        _ if half_hour.degraded > 0 => "degraded",
        _ => "healthy",
    }
}

fn found(half_hour: &HalfHour) -> String {
    let counted = half_hour.healthy + half_hour.degraded + half_hour.down;
    match (half_hour.down, half_hour.degraded) {
        _ if counted == 0 => format!("none of {} runs counts", half_hour.uncounted),
        (0, degraded) => format!("{degraded} of {counted} runs degraded"),
        (down, _) => format!("{down} of {counted} runs down"),
    }
}

fn label(words: &[&str]) -> String {
    let count = |wanted: &[&str]| words.iter().filter(|word| wanted.contains(word)).count();
    let parts = [
        (count(&["healthy"]), "healthy"),
        (count(&["degraded"]), "degraded"),
        (count(&["unhealthy", "error"]), "with an outage"),
        (count(&["none", "unknown"]), "without measurements"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    format!("last 48 half hours: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half_hour(healthy: u64, degraded: u64, down: u64, uncounted: u64) -> HalfHour {
        HalfHour {
            healthy,
            degraded,
            down,
            uncounted,
            latency_us: None,
        }
    }

    fn summary(half_hours: Vec<HalfHour>) -> ServiceSummary {
        ServiceSummary {
            // 2026-11-22T08:00:00Z
            from_ms: 1_795_334_400_000,
            half_hours,
            ..ServiceSummary::default()
        }
    }

    #[test]
    fn half_hours_are_as_bad_as_their_share_of_failed_runs() {
        for (half_hour, wanted) in [
            (half_hour(30, 0, 0, 0), "healthy"),
            (half_hour(28, 2, 0, 0), "degraded"),
            (half_hour(28, 0, 2, 0), "unhealthy"),
            (half_hour(27, 0, 3, 0), "error"),
            (half_hour(0, 0, 0, 30), "unknown"),
            (half_hour(0, 0, 0, 0), "none"),
        ] {
            assert_eq!(word(&half_hour), wanted, "{half_hour:?}");
        }
    }

    #[test]
    fn bars_stand_at_their_time_and_bad_ones_explain_themselves() {
        let mut half_hours = vec![half_hour(30, 0, 0, 0); HALF_HOURS];
        half_hours[1] = half_hour(28, 0, 2, 0);
        half_hours[2] = half_hour(0, 0, 0, 0);
        let svg = strip(Some(&summary(half_hours))).into_string();
        assert_eq!(svg.matches("<path").count(), 3, "{svg}");
        assert!(
            svg.contains(r#"<path class="unhealthy" d="M6.5 24v-20"><title>08:30 UTC · 2 of 30 runs down</title>"#),
            "{svg}"
        );
        assert!(
            svg.contains(r#"<path class="none" d="M10.5 24v-2">"#),
            "{svg}"
        );
        assert!(
            svg.contains(
                "last 48 half hours: 46 healthy, 1 with an outage, 1 without measurements"
            ),
            "{svg}"
        );
    }

    #[test]
    fn without_measurements_the_strip_is_a_line() {
        for nothing in [None, Some(&summary(Vec::new()))] {
            let svg = strip(nothing).into_string();
            assert_eq!(svg.matches("<path").count(), 1, "{svg}");
            assert!(svg.contains("48 without measurements"), "{svg}");
        }
    }

    #[test]
    fn a_healthy_strip_is_light() {
        let svg = strip(Some(&summary(vec![half_hour(30, 0, 0, 0); HALF_HOURS]))).into_string();
        assert!(svg.len() < 800, "{} bytes", svg.len());
    }
}
