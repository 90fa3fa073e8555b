//! Days in a row, one bar each.

use maud::{Markup, html};

use crate::api::dashboard::bars::{self, HEIGHT};
use crate::api::dashboard::wording::percent;
use crate::api::http::moment::day;
use crate::domain::UnixMillis;
use crate::store::HistorySlot;

const STEP: usize = 8;
const DAY_MS: UnixMillis = 86_400_000;
/// Share of the runs of a day that count: where more of them found the service down, the day was lost.
const LOST: f64 = 0.1;

/// The last `count` days of UTC up to the one that `now_ms` lies in, oldest first.
pub(crate) fn days(slots: &[HistorySlot], count: usize, now_ms: UnixMillis) -> Markup {
    let today = now_ms.div_euclid(DAY_MS);
    let first = today + 1 - count as UnixMillis;
    let place = |slot: &HistorySlot| usize::try_from(slot.from_ms.div_euclid(DAY_MS) - first).ok();
    let shown = slots.iter().filter_map(|slot| Some((place(slot)?, slot)));
    let shown: Vec<_> = shown.filter(|(place, _)| *place < count).collect();
    let empty = (0..count).filter(|place| !shown.iter().any(|(other, _)| other == place));
    html! {
        svg.days viewBox={ "0 0 " (count * STEP) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(sentence(&shown, count)) {
            path.none d=(bars::path("none", STEP, empty)) {}
            @for (place, slot) in &shown {
                path class=(word(slot)) d=(bars::path(word(slot), STEP, [*place])) { title { (title(slot)) } }
            }
        }
    }
}

fn word(slot: &HistorySlot) -> &'static str {
    let (up, down) = (slot.up(), slot.down());
    match down as f64 / (up + down) as f64 {
        // Nothing that counts.
        share if share.is_nan() => "unknown",
        share if share >= LOST => "error",
        share if share > 0.0 => "unhealthy",
        _ if slot.degraded > 0 => "degraded",
        _ => "healthy",
    }
}

/// `21 Nov · 99.86 % available · 2 of 1440 runs down · 3 missed`
fn title(slot: &HistorySlot) -> String {
    let counted = slot.up() + slot.down();
    let mut parts = vec![day(slot.from_ms)];
    if let Some(share) = percent(slot.up(), counted) {
        parts.push(format!("{share} available"));
        parts.push(format!("{} of {counted} runs down", slot.down()));
    }
    for (count, word) in [
        (slot.degraded, "degraded"),
        (slot.missed, "missed"),
        (slot.broken, "broken"),
        (slot.excluded, "paused or in maintenance"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    parts.join(" · ")
}

fn sentence(shown: &[(usize, &HistorySlot)], count: usize) -> String {
    let with = |wanted: &[&str]| {
        shown
            .iter()
            .filter(|(_, slot)| wanted.contains(&word(slot)))
            .count()
    };
    format!(
        "last {count} days: {} without an outage, {} with one, {} without measurements",
        with(&["healthy", "degraded"]),
        with(&["unhealthy", "error"]),
        count - shown.len() + with(&["unknown"])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: UnixMillis = 1_795_419_803_120;

    fn slot(days_ago: UnixMillis, healthy: u64, error: u64) -> HistorySlot {
        HistorySlot {
            from_ms: (NOW_MS.div_euclid(DAY_MS) - days_ago) * DAY_MS,
            healthy,
            error,
            ..HistorySlot::default()
        }
    }

    #[test]
    fn days_stand_where_they_belong_and_gaps_are_gaps() {
        let slots = [slot(2, 1_438, 2), slot(0, 100, 0), slot(95, 1, 0)];
        let svg = days(&slots, 90, NOW_MS).into_string();
        assert!(
            svg.contains(r#"<path class="unhealthy" d="M700.5 24v-20"><title>21 Nov · 99.86 % available · 2 of 1440 runs down</title>"#),
            "{svg}"
        );
        assert!(
            svg.contains(r#"class="healthy" d="M716.5 24v-10""#),
            "{svg}"
        );
        assert!(
            svg.contains("last 90 days: 1 without an outage, 1 with one, 88 without measurements"),
            "{svg}"
        );
        assert_eq!(svg.matches('M').count(), 90, "a bar or a gap for each day");
    }

    #[test]
    fn a_lost_day_is_higher_and_one_without_evidence_is_no_outage() {
        assert_eq!(word(&slot(0, 9, 1)), "error");
        assert_eq!(word(&slot(0, 0, 0)), "unknown");
        let degraded = HistorySlot {
            degraded: 1,
            ..slot(0, 5, 0)
        };
        assert_eq!(word(&degraded), "degraded");
    }
}
