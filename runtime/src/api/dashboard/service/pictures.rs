//! Pictures of a service: its days, the claims of its vendor, and its latency in three views.

use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::parts::{slots_sql, sources};
use super::shown::{Shown, View};
use super::{DAY_MS, DAYS, Past};
use crate::api::dashboard::wording::{count, seconds};
use crate::api::http::moment::{self, day_and_clock, rfc3339};
use crate::api::http::viewer::viewer;
use crate::charts::{
    Heat, LatencyChart, Mark, Phases, Zone, claimed_days, days, heat, latency, phases, words,
};
use crate::domain::{LATENCY_BASE, latency_bin_estimate_us};
use crate::store::{ClaimSums, HistorySlot, PhaseSlot};

const HOUR_MS: i64 = 3_600_000;
const HOURS: usize = 24;
/// Upper ends of the rows of the heat map; above the last one is one row more.
const BOUNDS_US: [u64; 15] = [
    1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000, 20_000_000, 50_000_000,
];

/// What a view of the latency needs beyond the history.
pub(super) enum Picture {
    Quantiles,
    Phases(Vec<PhaseSlot>),
    /// History by the hour.
    Heat(Vec<HistorySlot>),
}

pub(super) fn ninety_days(slug: &str, past: &Past, has_claims: bool) -> Markup {
    let sql = format!(
        "SELECT ts, probe, runs, healthy, degraded, unhealthy, error, missed, broken FROM roll_1d\n\
         WHERE service = '{slug}' AND location <> 'webhook' AND ts >= utc_now() - INTERVAL 90 DAY ORDER BY ts"
    );
    let claims = format!(
        "SELECT * FROM vendor_claims WHERE service = '{slug}' ORDER BY coalesce(started, claimed) DESC"
    );
    html! {
        section.card.panel aria-labelledby="days-title" {
            h2 #days-title { "90 days" }
            (days(&past.days, DAYS, past.now_ms))
            p.muted { (sources(&sql)) }
            @if has_claims || !past.claimed.is_empty() {
                h3 { "What the vendor claims" }
                (claimed_days(&past.claimed, DAYS, past.now_ms))
                p.muted { (claims_in_words(&past.claims)) " " (sources(&claims)) }
            }
        }
    }
}

/// Sentence about who knew first.
fn claims_in_words(sums: &ClaimSums) -> String {
    if sums.both + sums.only_us + sums.only_vendor == 0 {
        return "Neither we nor the vendor saw an outage.".to_owned();
    }
    let outages = |number: i64| count(usize::try_from(number).unwrap_or(0), "outage");
    let mut parts = Vec::new();
    if sums.both > 0 {
        let mut part = format!(
            "both saw {}, we first in {} of them",
            outages(sums.both),
            sums.us_first
        );
        if let Some(lag_s) = sums.lag_s {
            let length = seconds(lag_s.unsigned_abs());
            let word = if lag_s >= 0 { "behind" } else { "ahead of" };
            part.push_str(&format!(" (the median claim came {length} {word} us)"));
        }
        parts.push(part);
    }
    if sums.only_us > 0 {
        parts.push(format!(
            "the vendor never claimed {}",
            outages(sums.only_us)
        ));
    }
    if sums.only_vendor > 0 {
        parts.push(format!("we did not see {}", outages(sums.only_vendor)));
    }
    format!("In 90 days: {}.", parts.join("; "))
}

pub(super) fn latencies(slug: &str, shown: Shown, past: &Past) -> Markup {
    let tab = |view: View| {
        Shown {
            view,
            run: None,
            ..shown
        }
        .url(slug)
    };
    html! {
        section.card.panel aria-labelledby="latency-title" {
            h2 #latency-title { "Latency, " (shown.range.name()) }
            nav.ranges aria-label="Picture of the latency" {
                @for view in View::ALL {
                    a href=(tab(view)) aria-current=[(view == shown.view).then_some("true")] { (view.word()) }
                }
            }
            @match &past.picture {
                Picture::Quantiles => { (quantiles(slug, shown, past)) }
                Picture::Phases(slots) => { (phases_of(slug, shown, past, slots)) }
                Picture::Heat(slots) => { (heat_of(slug, past, slots)) }
            }
            @if !past.swaps.is_empty() { (swaps(past)) }
        }
    }
}

fn swap_texts(past: &Past) -> Vec<String> {
    let text = past.swaps.iter();
    text.map(|swap| format!("{} {} → {}", swap.plugin, swap.from, swap.to))
        .collect()
}

fn quantiles(slug: &str, shown: Shown, past: &Past) -> Markup {
    let (zone, texts) = (Zone(moment::zone()), swap_texts(past));
    let marks = past.swaps.iter().zip(&texts);
    let marks: Vec<Mark<'_>> = marks
        .map(|(swap, text)| Mark {
            at_ms: swap.at_ms,
            text,
        })
        .collect();
    let chart = LatencyChart {
        slots: &past.slots,
        incidents: &past.incidents,
        width_ms: shown.range.slots().1,
        span: past.span,
        now_ms: past.now_ms,
        marks: &marks,
        zone: &zone,
    };
    html! {
        div.wide tabindex="0" { (latency(&chart)) }
        p.muted {
            "The band is from the middle to the 95th percentile, the thin line the 99th; marks below are runs that found it down. "
            (sources(&slots_sql(slug, shown.range)))
        }
    }
}

fn swaps(past: &Past) -> Markup {
    let texts = swap_texts(past);
    html! {
        p.muted {
            "Versions of plugins swapped: "
            @for (index, (swap, text)) in past.swaps.iter().zip(&texts).enumerate() {
                @if index > 0 { "; " }
                a href={ "/plugins/" (swap.plugin) } { (text) } " "
                (day_and_clock(swap.at_ms))
            }
            "."
        }
    }
}

fn phases_of(slug: &str, shown: Shown, past: &Past, slots: &[PhaseSlot]) -> Markup {
    let points: Vec<_> = slots
        .iter()
        .map(|slot| (slot.from_ms, slot.phases))
        .collect();
    let zone = Zone(moment::zone());
    let picture = phases(&Phases {
        span: past.span,
        points: &points,
        zone: &zone,
    });
    let sql = format!(
        "SELECT time_bucket(INTERVAL {} MINUTE, ts) AS slot, avg(coalesce(dns_ms, 0)) AS dns_ms, avg(coalesce(connect_ms, 0)) AS connect_ms,\n\
         avg(coalesce(tls_ms, 0)) AS tls_ms, avg(coalesce(first_byte_ms, 0)) AS first_byte_ms, avg(coalesce(body_ms, 0)) AS body_ms, count(*) AS runs\n\
         FROM observations\nWHERE service = '{slug}' AND location <> 'webhook' AND status IN ('healthy', 'degraded') AND excluded IS NULL AND NOT missed\n\
         AND coalesce(dns_ms, connect_ms, tls_ms, first_byte_ms, body_ms) IS NOT NULL AND ts >= utc_now() - INTERVAL {}\n\
         GROUP BY ALL ORDER BY slot",
        shown.range.slots().1 / 60_000,
        shown.range.interval()
    );
    html! {
        @if slots.is_empty() { p.empty { "No run of this time has phases: they are measured over HTTP, and kept as long as runs are." } }
        @else { div.wide tabindex="0" { (picture) } }
        p.muted { "Means of runs that found it up; a phase that did not take place counts as none. " (sources(&sql)) }
    }
}

fn heat_of(slug: &str, past: &Past, slots: &[HistorySlot]) -> Markup {
    let (rows, counts) = by_hour(slots, &moment::zone());
    let columns: Vec<String> = (0..HOURS).map(|hour| format!("{hour:02}:00")).collect();
    let picture = heat(&Heat {
        name: "runs by hour of the day and latency",
        rows: &rows,
        columns: &columns,
        counts: &counts,
    });
    let sql = heat_sql(slug, heat_span(past.span));
    html! {
        @if rows.is_empty() { p.empty { "No latency was measured." } }
        @else { div.wide tabindex="0" { (picture) } }
        p.muted { "Runs that found it up, of a week at least and 30 days at most; the more, the darker and higher. Hours are those of "
            (viewer().zone.name()) ", of the table those of UTC. " (sources(&sql)) }
    }
}

/// Runs of the span of a heat map. A slug has no quotes.
fn heat_sql(slug: &str, (since_ms, until_ms): (i64, i64)) -> String {
    let (since, until) = (rfc3339(since_ms), rfc3339(until_ms));
    format!(
        "SELECT hour(ts) AS hour_of_day_utc, bin, round(pow({LATENCY_BASE}, bin) / 1000, 1) AS up_to_ms, sum(n)::BIGINT AS runs\n\
         FROM hist_1h\nWHERE service = '{slug}' AND location <> 'webhook' AND ts >= '{}' AND ts < '{}'\nGROUP BY ALL ORDER BY ALL",
        since.trim_end_matches('Z'),
        until.trim_end_matches('Z')
    )
}

/// Returns rows, the slowest first, and the runs of each by hour of the zone's day.
fn by_hour(slots: &[HistorySlot], zone: &TimeZone) -> (Vec<String>, Vec<Vec<u64>>) {
    let mut counts = vec![vec![0; HOURS]; BOUNDS_US.len() + 1];
    for slot in slots {
        let moment = jiff::Timestamp::from_millisecond(slot.from_ms).unwrap_or_default();
        let hour = usize::from(moment.to_zoned(zone.clone()).hour().unsigned_abs());
        for (bin, runs) in slot.latencies.bins() {
            let us = latency_bin_estimate_us(bin);
            let row = BOUNDS_US.partition_point(|bound_us| (*bound_us as f64) < us);
            counts[row][hour] += runs;
        }
    }
    let name = |row: usize| match BOUNDS_US.get(row) {
        Some(bound_us) => format!("≤ {}", words::latency(*bound_us)),
        None => "slower".to_owned(),
    };
    let is_used = |row: &Vec<u64>| row.iter().any(|runs| *runs > 0);
    let Some(first) = counts.iter().position(is_used) else {
        return (Vec::new(), Vec::new());
    };
    let last = counts.iter().rposition(is_used).unwrap_or(first);
    let rows = (first..=last).rev();
    (
        rows.clone().map(name).collect(),
        rows.map(|row| counts[row].clone()).collect(),
    )
}

/// The span of a heat map: that of the page, but a week at least and 30 days at most.
pub(super) fn heat_span((since_ms, until_ms): (i64, i64)) -> (i64, i64) {
    let until_ms = until_ms.div_euclid(HOUR_MS) * HOUR_MS + HOUR_MS;
    let length_ms = (until_ms - since_ms).clamp(7 * DAY_MS, 30 * DAY_MS);
    (until_ms - length_ms.div_euclid(HOUR_MS) * HOUR_MS, until_ms)
}

/// How the 95th percentile is beside that of an earlier time. Two of them are each within 2.5 %.
pub(super) fn comparison(
    now_us: Option<u64>,
    before_us: Option<u64>,
    when: &str,
) -> Option<String> {
    let (now_us, before_us) = (now_us?, before_us?);
    let change = (now_us as f64 / before_us.max(1) as f64 - 1.0) * 100.0;
    let (now, before) = (words::latency(now_us), words::latency(before_us));
    Some(if change.abs() < 5.0 {
        format!("p95 {now} is as it was {when} ({before}).")
    } else {
        let word = if change > 0.0 { "more" } else { "less" };
        format!(
            "p95 {now} is {:.0} % {word} than {when} ({before}).",
            change.abs()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::dashboard::range::Range;
    use crate::domain::time_zone;
    use crate::store::Latencies;

    #[test]
    fn runs_fall_into_their_hour_and_row_and_the_slowest_row_is_the_first() {
        let slot = |hour: i64, latency_us: u64| HistorySlot {
            from_ms: 3 * DAY_MS + hour * HOUR_MS,
            latencies: Latencies::of([latency_us; 4]),
            ..HistorySlot::default()
        };
        let slots = [slot(0, 80_000), slot(23, 300_000), slot(24, 80_000)];
        let (rows, counts) = by_hour(&slots, &TimeZone::UTC);
        assert_eq!(rows, ["≤ 500 ms", "≤ 200 ms", "≤ 100 ms"]);
        assert_eq!((counts[0][23], counts[2][0], counts[1][0]), (4, 8, 0));
        let (_, counts) = by_hour(&slots, &time_zone(chrono_tz::Asia::Tokyo));
        assert_eq!((counts[0][8], counts[2][9]), (4, 8), "nine hours ahead");
        assert!(by_hour(&[], &TimeZone::UTC).0.is_empty());
        let (slow, _) = by_hour(&[slot(1, 90_000_000)], &TimeZone::UTC);
        assert_eq!(slow, ["slower"]);
    }

    #[test]
    fn the_query_of_a_heat_map_is_of_its_span_and_of_runs_alone() {
        let sql = heat_sql("shop", heat_span((1_794_787_200_000, 1_795_392_000_000)));
        let wanted = "location <> 'webhook' AND ts >= '2026-11-16T00:00:00.000' AND ts < '2026-11-23T01:00:00.000'";
        assert!(sql.contains(wanted), "{sql}");
        let sql = slots_sql("shop", Range::Day);
        assert!(sql.contains("location <> 'webhook'"), "{sql}");
    }

    #[test]
    fn a_heat_map_has_a_week_at_least_and_thirty_days_at_most() {
        for (length_ms, wanted_ms) in [(6 * HOUR_MS, 7 * DAY_MS), (365 * DAY_MS, 30 * DAY_MS)] {
            let (since_ms, until_ms) = heat_span((500 * DAY_MS - length_ms, 500 * DAY_MS));
            assert_eq!(until_ms - since_ms, wanted_ms);
            assert!(until_ms > 500 * DAY_MS && since_ms % HOUR_MS == 0);
        }
    }

    #[test]
    fn a_change_within_the_error_of_quantiles_is_none() {
        let text = |now, before| comparison(now, before, "a week before");
        assert_eq!(
            text(Some(240_000), Some(200_000)).as_deref(),
            Some("p95 240 ms is 20 % more than a week before (200 ms).")
        );
        assert_eq!(
            text(Some(202_000), Some(200_000)).as_deref(),
            Some("p95 202 ms is as it was a week before (200 ms).")
        );
        assert_eq!(text(None, Some(1)), None);
        assert_eq!(text(Some(1), None), None);
    }

    #[test]
    fn claims_are_said_in_words() {
        let sums = ClaimSums {
            both: 2,
            only_us: 1,
            only_vendor: 0,
            us_first: 1,
            lag_s: Some(540),
        };
        assert_eq!(
            claims_in_words(&sums),
            "In 90 days: both saw 2 outages, we first in 1 of them (the median claim came 9 min behind us); \
             the vendor never claimed 1 outage."
        );
        assert!(claims_in_words(&ClaimSums::default()).contains("Neither"));
    }
}
