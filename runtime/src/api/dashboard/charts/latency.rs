//! Latency over time: the middle to the 95th percentile as a band, the 99th as a line, outages below.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::api::dashboard::wording::{latency, percent};
use crate::api::http::moment::{day, day_and_clock, hour};
use crate::domain::UnixMillis;
use crate::store::{HistorySlot, IncidentRow};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
/// Room for the figures at the left.
const LEFT: f64 = 56.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 176.0;
/// Where outages stand, from the line down.
const OUTAGES: f64 = 196.0;
/// A figure at every fourth of the width.
const TICKS: UnixMillis = 4;
const DAY_MS: UnixMillis = 86_400_000;

/// Content of a chart, oldest first.
pub(crate) struct Chart<'a> {
    pub(crate) slots: &'a [HistorySlot],
    pub(crate) incidents: &'a [IncidentRow],
    pub(crate) width_ms: UnixMillis,
    pub(crate) span: (UnixMillis, UnixMillis),
    pub(crate) now_ms: UnixMillis,
}

/// Quantiles of one slot in µs.
struct Point {
    x: f64,
    from_ms: UnixMillis,
    p50: u64,
    p95: u64,
    p99: u64,
}

pub(crate) fn latency_chart(chart: &Chart<'_>) -> Markup {
    let points = points(chart);
    let top = ceiling(points.iter().map(|point| point.p99).max().unwrap_or(0));
    let y = |us: u64| BOTTOM - (BOTTOM - TOP) * us as f64 / top as f64;
    let runs = unbroken(&points, chart.width_ms);
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(sentence(&points, chart)) {
            @for fourth in 0..=2 {
                @let us = top * fourth / 2;
                path.grid d={ "M" (LEFT) " " (figure(y(us))) "H" (WIDTH) } {}
                text.figure x=(LEFT - 8.0) y=(figure(y(us) + 4.0)) text-anchor="end" { @if us > 0 { (latency(us)) } @else { "0" } }
            }
            @for tick in 0..=TICKS { (moment(chart, tick)) }
            @for incident in chart.incidents { (outage(chart, incident)) }
            @for run in &runs {
                path.band d=(band(run, &y)) {}
                path.line d=(line(run, |point| y(point.p95))) {}
                path.line.far d=(line(run, |point| y(point.p99))) {}
            }
            @for slot in chart.slots.iter().filter(|slot| slot.down() > 0) {
                rect.down x=(figure(x(chart, slot.from_ms))) y=(OUTAGES - 14.0) height="14"
                    width=(figure(step(chart).max(2.0))) {
                    title { (day_and_clock(slot.from_ms)) " · " (slot.down()) " of " (slot.up() + slot.down()) " runs down" }
                }
            }
            @for point in &points {
                rect.touch x=(figure(point.x)) y=(TOP) width=(figure(step(chart))) height=(BOTTOM - TOP) {
                    title { (day_and_clock(point.from_ms)) " · p50 " (latency(point.p50)) " · p95 " (latency(point.p95)) " · p99 " (latency(point.p99)) }
                }
            }
        }
    }
}

fn points(chart: &Chart<'_>) -> Vec<Point> {
    let points = chart.slots.iter().filter_map(|slot| {
        Some(Point {
            x: x(chart, slot.from_ms),
            from_ms: slot.from_ms,
            p50: slot.latencies.quantile_us(0.5)?,
            p95: slot.latencies.quantile_us(0.95)?,
            p99: slot.latencies.quantile_us(0.99)?,
        })
    });
    points.collect()
}

/// Points without a gap between them.
fn unbroken(points: &[Point], width_ms: UnixMillis) -> Vec<&[Point]> {
    points
        .chunk_by(|one, next| next.from_ms - one.from_ms <= width_ms)
        .collect()
}

/// Returns the next of 1, 2 and 5 times a power of ten, in µs.
fn ceiling(us: u64) -> u64 {
    let mut power = 1_000;
    loop {
        for factor in [1, 2, 5] {
            if us <= power * factor {
                return power * factor;
            }
        }
        // A latency is of hours at most.
        power *= 10;
    }
}

fn share(chart: &Chart<'_>, ms: UnixMillis) -> f64 {
    let (since_ms, until_ms) = chart.span;
    (ms - since_ms) as f64 / (until_ms - since_ms) as f64
}

fn x(chart: &Chart<'_>, ms: UnixMillis) -> f64 {
    LEFT + (WIDTH - LEFT) * share(chart, ms).clamp(0.0, 1.0)
}

/// Width of a slot in the picture.
fn step(chart: &Chart<'_>) -> f64 {
    let (since_ms, until_ms) = chart.span;
    (WIDTH - LEFT) * chart.width_ms as f64 / (until_ms - since_ms) as f64
}

fn line(points: &[Point], y: impl Fn(&Point) -> f64) -> String {
    let mut path = String::new();
    for (index, point) in points.iter().enumerate() {
        let letter = if index == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{letter}{} {}", figure(point.x), figure(y(point)));
    }
    // One alone is a dot.
    if points.len() == 1 {
        path.push_str("h2");
    }
    path
}

fn band(points: &[Point], y: &impl Fn(u64) -> f64) -> String {
    let mut path = line(points, |point| y(point.p95));
    for point in points.iter().rev() {
        let _ = write!(path, "L{} {}", figure(point.x), figure(y(point.p50)));
    }
    path.push('Z');
    path
}

fn moment(chart: &Chart<'_>, tick: UnixMillis) -> Markup {
    let (since_ms, until_ms) = chart.span;
    let ms = since_ms + (until_ms - since_ms) * tick / TICKS;
    let is_long = until_ms - since_ms > 2 * DAY_MS;
    let text = if is_long { day(ms) } else { hour(ms) };
    let anchor = match tick {
        0 => "start",
        TICKS => "end",
        _ => "middle",
    };
    html! { text.figure x=(figure(x(chart, ms))) y=(HEIGHT - 6.0) text-anchor=(anchor) { (text) } }
}

fn outage(chart: &Chart<'_>, incident: &IncidentRow) -> Markup {
    let from = x(chart, incident.started_ms);
    let until = x(chart, incident.ended_ms.unwrap_or(chart.now_ms));
    html! {
        rect class={ "incident " (incident.source) } x=(figure(from)) y=(TOP) width=(figure((until - from).max(1.5))) height=(OUTAGES - TOP) {
            title { (day_and_clock(incident.started_ms)) " · " (incident.cause) }
        }
    }
}

fn sentence(points: &[Point], chart: &Chart<'_>) -> String {
    let down: u64 = chart.slots.iter().map(HistorySlot::down).sum();
    let up: u64 = chart.slots.iter().map(HistorySlot::up).sum();
    let low = points.iter().map(|point| point.p95).min();
    let high = points.iter().map(|point| point.p95).max();
    let mut text = match (low, high) {
        (Some(low), Some(high)) => format!("p95 from {} to {}", latency(low), latency(high)),
        _ => "no latency was measured".to_owned(),
    };
    if let Some(share) = percent(up, up + down) {
        let _ = write!(text, "; {share} of {} runs available", up + down);
    }
    text
}

/// One digit behind the point is finer than a pixel.
fn figure(value: f64) -> String {
    format!("{value:.1}")
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

    fn drawn(slots: &[HistorySlot]) -> String {
        latency_chart(&Chart {
            slots,
            incidents: &[],
            width_ms: HOUR_MS,
            span: (0, 24 * HOUR_MS),
            now_ms: 24 * HOUR_MS,
        })
        .into_string()
    }

    #[test]
    fn a_gap_breaks_the_line() {
        let svg = drawn(&[slot(1, 80_000, 0), slot(2, 90_000, 0), slot(5, 85_000, 0)]);
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
        let svg = drawn(&slots);
        assert!(
            svg.contains("no latency was measured; 0.00 % of 4 runs available")
                && svg.contains("4 of 4 runs down"),
            "{svg}"
        );
    }

    #[test]
    fn the_scale_ends_at_a_round_figure() {
        for (us, wanted) in [
            (0, 1_000),
            (1_001, 2_000),
            (230_000, 500_000),
            (700_000, 1_000_000),
        ] {
            assert_eq!(ceiling(us), wanted);
        }
    }
}
