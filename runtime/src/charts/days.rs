//! Days in a row, one bar each.

use maud::{Markup, html};

use super::Zone;
use super::ranks::{self, HEIGHT};
use super::words::percent;
use crate::domain::UnixMillis;
use crate::store::{HistorySlot, IncidentRow};

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
            path.none d=(ranks::path("none", STEP, empty)) {}
            @for (place, slot) in &shown {
                path class=(word(slot)) d=(ranks::path(word(slot), STEP, [*place])) { title { (title(slot)) } }
            }
        }
    }
}

/// Claims of a vendor, by the last `count` days of UTC up to the one that `now_ms` lies in, oldest
/// first. Planned work is no outage.
pub(crate) fn claimed_days(incidents: &[IncidentRow], count: usize, now_ms: UnixMillis) -> Markup {
    let first = now_ms.div_euclid(DAY_MS) + 1 - count as UnixMillis;
    let of_day = |place: usize| {
        let from_ms = (first + place as UnixMillis) * DAY_MS;
        let within = incidents.iter().filter(move |incident| {
            let ended_ms = incident.ended_ms.unwrap_or(now_ms);
            // One that ends at midnight is none of the next day's.
            let is_open = ended_ms > from_ms || incident.started_ms >= from_ms;
            incident.started_ms < from_ms + DAY_MS && is_open
        });
        let claims = within.filter(|incident| incident.kind != "maintenance");
        claims.max_by_key(|incident| incident.kind == "outage")
    };
    let claims = (0..count).filter_map(|place| Some((place, of_day(place)?)));
    let claims: Vec<(usize, &IncidentRow)> = claims.collect();
    let quiet = (0..count).filter(|place| !claims.iter().any(|(other, _)| other == place));
    html! {
        svg.days viewBox={ "0 0 " (count * STEP) " " (HEIGHT) } preserveAspectRatio="none" role="img"
            aria-label={ "last " (count) " days: the vendor claims trouble on " (claims.len()) } {
            path.healthy d=(ranks::path("healthy", STEP, quiet)) {}
            @for (place, incident) in &claims {
                @let word = if incident.kind == "outage" { "error" } else { "degraded" };
                path class=(word) d=(ranks::path(word, STEP, [*place])) {
                    title { (Zone::utc().day((first + *place as UnixMillis) * DAY_MS)) " · " (incident.kind) " · " (incident.cause) }
                }
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
    let mut parts = vec![Zone::utc().day(slot.from_ms)];
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
    fn a_claim_covers_its_days_and_planned_work_none() {
        let incident = |kind: &str, began_days_ago: UnixMillis, days: UnixMillis| IncidentRow {
            id: 1,
            service: "shop".to_owned(),
            started_ms: NOW_MS - began_days_ago * DAY_MS,
            ended_ms: Some(NOW_MS - (began_days_ago - days) * DAY_MS),
            seconds: days * 86_400,
            kind: kind.to_owned(),
            source: "vendor".to_owned(),
            cause: "slow <b>".to_owned(),
            error_kind: None,
            probe: None,
            outcome: None,
            runs: 1,
            reopened: 0,
            alert_id: None,
            fired_ms: None,
            acknowledged_ms: None,
            acknowledged_by: None,
        };
        let incidents = [
            incident("degradation", 10, 1),
            incident("outage", 9, 0),
            incident("maintenance", 5, 1),
        ];
        let svg = claimed_days(&incidents, 90, NOW_MS).into_string();
        assert!(svg.contains("the vendor claims trouble on 2"), "{svg}");
        assert_eq!(svg.matches(r#"class="degraded""#).count(), 1, "{svg}");
        assert_eq!(svg.matches(r#"class="error""#).count(), 1, "{svg}");
        assert!(svg.contains("14 Nov · outage · slow &lt;b&gt;"), "{svg}");
        let today_ms = NOW_MS.div_euclid(DAY_MS) * DAY_MS;
        let to_midnight = IncidentRow {
            started_ms: today_ms - DAY_MS / 2,
            ended_ms: Some(today_ms),
            ..incident("outage", 1, 0)
        };
        let at_midnight = IncidentRow {
            started_ms: today_ms,
            ended_ms: Some(today_ms),
            ..incident("outage", 0, 0)
        };
        for (row, day) in [
            (to_midnight, "22 Nov · outage"),
            (at_midnight, "23 Nov · outage"),
        ] {
            let svg = claimed_days(&[row], 90, NOW_MS).into_string();
            assert!(svg.contains("trouble on 1") && svg.contains(day), "{svg}");
        }
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
