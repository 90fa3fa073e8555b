//! Latency over time: the middle to the 95th percentile as a band, the 99th as a line, outages below.

use std::borrow::Cow;
use std::fmt::Write as _;

use maud::{Markup, html};

use super::frame::{BOTTOM, HEIGHT, Plane, TOP, WIDTH};
use super::scale::Scale;
use super::words::{latency as text, percent};
use super::{MAX_POINTS, Mark, Unit, Zone, figure};
use crate::domain::UnixMillis;
use crate::store::{HistorySlot, IncidentRow};

/// Where outages stand, from the line down.
const OUTAGES: f64 = 200.0;

/// Content of a chart, oldest first.
pub(crate) struct LatencyChart<'a> {
    pub(crate) slots: &'a [HistorySlot],
    pub(crate) incidents: &'a [IncidentRow],
    pub(crate) width_ms: UnixMillis,
    pub(crate) span: (UnixMillis, UnixMillis),
    pub(crate) now_ms: UnixMillis,
    pub(crate) marks: &'a [Mark<'a>],
    pub(crate) zone: &'a Zone,
}

/// Quantiles of one slot in µs.
struct Point {
    from_ms: UnixMillis,
    p50: u64,
    p95: u64,
    p99: u64,
}

pub(crate) fn latency(chart: &LatencyChart<'_>) -> Markup {
    let (slots, width_ms) = bounded(chart);
    let points = points(&slots);
    let plane = Plane {
        span: chart.span,
        right: WIDTH,
        scale: Scale::of(
            points.iter().map(|point| point.p99 as f64),
            Unit::Micros.least(),
        ),
        zone: chart.zone,
    };
    let width = plane.width(width_ms);
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(sentence(&points, chart)) {
            (plane.values(Unit::Micros))
            (plane.times())
            @for incident in chart.incidents { (outage(chart, &plane, incident)) }
            @for run in unbroken(&points, width_ms) {
                path.band d=(band(&plane, run)) {}
                path.line d=(line(&plane, run, |point| point.p95)) {}
                path.line.far d=(line(&plane, run, |point| point.p99)) {}
            }
            @for slot in slots.iter().filter(|slot| slot.down() > 0) {
                rect.down x=(figure(plane.x(slot.from_ms))) y=(OUTAGES - 14.0) height="14" width=(figure(width.max(2.0))) {
                    title { (chart.zone.moment(slot.from_ms)) " · " (slot.down()) " of " (slot.up() + slot.down()) " runs down" }
                }
            }
            @for point in &points {
                rect.touch x=(figure(plane.x(point.from_ms))) y=(TOP) width=(figure(width)) height=(BOTTOM - TOP) {
                    title { (chart.zone.moment(point.from_ms)) " · p50 " (text(point.p50)) " · p95 " (text(point.p95)) " · p99 " (text(point.p99)) }
                }
            }
            (plane.marks(chart.marks))
        }
    }
}

/// Adds neighbours together where there are more slots than a picture shows.
fn bounded<'a>(chart: &LatencyChart<'a>) -> (Cow<'a, [HistorySlot]>, UnixMillis) {
    let factor = chart.slots.len().div_ceil(MAX_POINTS).max(1) as UnixMillis;
    if factor == 1 {
        return (Cow::Borrowed(chart.slots), chart.width_ms);
    }
    let width_ms = (chart.width_ms * factor).max(1);
    let mut wider: Vec<HistorySlot> = Vec::new();
    for slot in chart.slots {
        let from_ms = slot.from_ms.div_euclid(width_ms) * width_ms;
        match wider.last_mut() {
            Some(last) if last.from_ms == from_ms => last.add(slot),
            _ => wider.push(HistorySlot {
                from_ms,
                ..slot.clone()
            }),
        }
    }
    wider.drain(..wider.len().saturating_sub(MAX_POINTS));
    (Cow::Owned(wider), width_ms)
}

fn points(slots: &[HistorySlot]) -> Vec<Point> {
    let points = slots.iter().filter_map(|slot| {
        Some(Point {
            from_ms: slot.from_ms,
            p50: slot.latencies.quantile_us(0.5)?,
            p95: slot.latencies.quantile_us(0.95)?,
            p99: slot.latencies.quantile_us(0.99)?,
        })
    });
    points.collect()
}

/// Points without a gap between them.
fn unbroken(points: &[Point], width_ms: UnixMillis) -> impl Iterator<Item = &[Point]> {
    points.chunk_by(move |one, next| next.from_ms - one.from_ms <= width_ms)
}

fn line(plane: &Plane<'_>, points: &[Point], value: impl Fn(&Point) -> u64) -> String {
    let mut path = String::new();
    for (index, point) in points.iter().enumerate() {
        let letter = if index == 0 { 'M' } else { 'L' };
        let (x, y) = (plane.x(point.from_ms), plane.y(value(point) as f64));
        let _ = write!(path, "{letter}{} {}", figure(x), figure(y));
    }
    // One alone is a dot.
    if points.len() == 1 {
        path.push_str("h2");
    }
    path
}

fn band(plane: &Plane<'_>, points: &[Point]) -> String {
    let mut path = line(plane, points, |point| point.p95);
    for point in points.iter().rev() {
        let (x, y) = (plane.x(point.from_ms), plane.y(point.p50 as f64));
        let _ = write!(path, "L{} {}", figure(x), figure(y));
    }
    path.push('Z');
    path
}

fn outage(chart: &LatencyChart<'_>, plane: &Plane<'_>, incident: &IncidentRow) -> Markup {
    let from = plane.x(incident.started_ms);
    let until = plane.x(incident.ended_ms.unwrap_or(chart.now_ms));
    html! {
        rect class={ "incident " (incident.source) } x=(figure(from)) y=(TOP) width=(figure((until - from).max(1.5))) height=(OUTAGES - TOP) {
            title { (chart.zone.moment(incident.started_ms)) " · " (incident.cause) }
        }
    }
}

fn sentence(points: &[Point], chart: &LatencyChart<'_>) -> String {
    let down: u64 = chart.slots.iter().map(HistorySlot::down).sum();
    let up: u64 = chart.slots.iter().map(HistorySlot::up).sum();
    let low = points.iter().map(|point| point.p95).min();
    let high = points.iter().map(|point| point.p95).max();
    let mut sentence = match (low, high) {
        (Some(low), Some(high)) => format!("p95 from {} to {}", text(low), text(high)),
        _ => "no latency was measured".to_owned(),
    };
    if let Some(share) = percent(up, up + down) {
        let _ = write!(sentence, "; {share} of {} runs available", up + down);
    }
    for mark in chart.marks.iter().take(3) {
        let _ = write!(
            sentence,
            "; {} {}",
            chart.zone.moment(mark.at_ms),
            mark.text
        );
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Latencies;

    const HOUR_MS: UnixMillis = 3_600_000;

    fn slot(hour: UnixMillis, latency_us: u64, down: u64) -> HistorySlot {
        HistorySlot {
            from_ms: hour * HOUR_MS,
            healthy: 10,
            error: down,
            latencies: Latencies::of([latency_us; 10]),
            ..HistorySlot::default()
        }
    }

    fn drawn(slots: &[HistorySlot], hours: UnixMillis, marks: &[Mark<'_>]) -> String {
        latency(&LatencyChart {
            slots,
            incidents: &[],
            width_ms: HOUR_MS,
            span: (0, hours * HOUR_MS),
            now_ms: hours * HOUR_MS,
            marks,
            zone: &Zone::utc(),
        })
        .into_string()
    }

    #[test]
    fn a_gap_breaks_the_line() {
        let slots = [slot(1, 80_000, 0), slot(2, 90_000, 0), slot(5, 85_000, 0)];
        let svg = drawn(&slots, 24, &[]);
        assert_eq!(svg.matches(r#"class="band""#).count(), 2, "{svg}");
        assert!(svg.contains("p95 from"), "{svg}");
        assert!(!svg.contains("style="), "{svg}");
    }

    #[test]
    fn outages_are_drawn_although_they_have_no_latency() {
        let slots = [HistorySlot {
            from_ms: 3 * HOUR_MS,
            error: 4,
            ..HistorySlot::default()
        }];
        let svg = drawn(&slots, 24, &[]);
        assert!(
            svg.contains("no latency was measured; 0.00 % of 4 runs available")
                && svg.contains("4 of 4 runs down"),
            "{svg}"
        );
    }

    #[test]
    fn many_slots_are_added_together_and_none_is_lost() {
        let slots: Vec<_> = (0..1_000).map(|hour| slot(hour, 80_000, 1)).collect();
        let svg = drawn(&slots, 1_000, &[]);
        let points = svg.matches(r#"class="touch""#).count();
        assert!(points <= MAX_POINTS && points > 300, "{points}");
        assert_eq!(svg.matches(r#"class="band""#).count(), 1, "no gap arises");
        assert!(svg.contains("3 of 33 runs down"), "{svg}");
    }

    #[test]
    fn a_swap_is_marked_where_it_was_and_read_out() {
        let mark = Mark {
            at_ms: 12 * HOUR_MS,
            text: "http 0.1.4 → 0.1.5",
        };
        let svg = drawn(&[slot(1, 80_000, 0)], 24, &[mark]);
        assert!(svg.contains(r#"d="M388.0 18V180""#), "{svg}");
        assert!(
            svg.contains("; 1 Jan 12:00 UTC http 0.1.4 → 0.1.5\""),
            "{svg}"
        );
    }
}
