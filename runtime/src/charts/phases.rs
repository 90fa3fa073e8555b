//! Where the time of a request goes: five phases, stacked in their order.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::frame::{BOTTOM, HEIGHT, Plane, TOP, WIDTH};
use super::scale::Scale;
use super::words::latency;
use super::{Unit, Zone, figure};
use crate::domain::UnixMillis;

const NAMES: [&str; 5] = ["DNS", "connect", "TLS", "first byte", "body"];
const MAX_POINTS: usize = 120;
/// The areas end here; beside them are their names.
const RIGHT: f64 = WIDTH - 84.0;
const LABEL: f64 = 11.0;

pub(crate) struct Phases<'a> {
    pub(crate) span: (UnixMillis, UnixMillis),
    /// DNS, connect, TLS, first byte and body in µs, oldest first.
    pub(crate) points: &'a [(UnixMillis, [f64; 5])],
    pub(crate) zone: &'a Zone,
}

/// A moment with the sums up to each phase.
struct Point {
    at_ms: UnixMillis,
    phases: [f64; 5],
    sums: [f64; 6],
}

pub(crate) fn phases(phases: &Phases<'_>) -> Markup {
    let points = bounded(phases.points);
    let plane = Plane {
        span: phases.span,
        right: RIGHT,
        scale: Scale::of(
            points.iter().map(|point| point.sums[5]),
            Unit::Micros.least(),
        ),
        zone: phases.zone,
    };
    let usual_ms = usual_distance(&points);
    let runs = || points.chunk_by(move |one, next| 2 * (next.at_ms - one.at_ms) <= 3 * usual_ms);
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(sentence(&points)) {
            (plane.values(Unit::Micros))
            (plane.times())
            @for phase in 0..NAMES.len() {
                path class={ "area p" (phase) } d=(runs().map(|run| area(&plane, run, phase)).collect::<String>()) {}
            }
            @if let Some(last) = points.last() { (labels(&plane, last)) }
            @for point in &points {
                rect.touch x=(figure(plane.x(point.at_ms))) y=(TOP) width=(figure(plane.width(usual_ms).max(2.0))) height=(BOTTOM - TOP) {
                    title { (title(phases.zone, point)) }
                }
            }
        }
    }
}

/// Returns as many points as a picture shows; those that fall together become their mean.
fn bounded(points: &[(UnixMillis, [f64; 5])]) -> Vec<Point> {
    let chunk = points.len().div_ceil(MAX_POINTS).max(1);
    points
        .chunks(chunk)
        .filter_map(|chunk| {
            let mut phases = [0.0; 5];
            for (_, values) in chunk {
                for (sum, value) in phases.iter_mut().zip(values) {
                    let value = if value.is_finite() {
                        value.max(0.0)
                    } else {
                        0.0
                    };
                    *sum += value / chunk.len() as f64;
                }
            }
            let mut sums = [0.0; 6];
            for (index, value) in phases.iter().enumerate() {
                sums[index + 1] = sums[index] + value;
            }
            let (at_ms, _) = *chunk.first()?;
            Some(Point {
                at_ms,
                phases,
                sums,
            })
        })
        .collect()
}

/// The middle of the distances between points: what is far wider is a gap.
fn usual_distance(points: &[Point]) -> UnixMillis {
    let distances = points.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms);
    let mut distances: Vec<_> = distances.collect();
    distances.sort_unstable();
    distances.get(distances.len() / 2).copied().unwrap_or(0)
}

fn area(plane: &Plane<'_>, run: &[Point], phase: usize) -> String {
    let mut path = String::new();
    let mut corner = |x: f64, value: f64| {
        let letter = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{letter}{} {}", figure(x), figure(plane.y(value)));
    };
    // One alone is a bar.
    let width = if run.len() == 1 { 2.0 } else { 0.0 };
    for point in run {
        corner(plane.x(point.at_ms), point.sums[phase + 1]);
    }
    for point in run.iter().rev().take(1) {
        corner(plane.x(point.at_ms) + width, point.sums[phase + 1]);
        corner(plane.x(point.at_ms) + width, point.sums[phase]);
    }
    for point in run.iter().rev() {
        corner(plane.x(point.at_ms), point.sums[phase]);
    }
    path.push('Z');
    path
}

/// Names at the right edge, each as near to its area as the others let it.
fn labels(plane: &Plane<'_>, last: &Point) -> Markup {
    let mut free = BOTTOM + 3.0;
    let places = (0..NAMES.len()).map(|phase| {
        let middle = (last.sums[phase] + last.sums[phase + 1]) / 2.0;
        let y = (plane.y(middle) + 4.0).min(free);
        free = y - LABEL;
        (phase, y)
    });
    let places: Vec<_> = places.collect();
    html! {
        @for (phase, y) in places {
            rect class={ "p" (phase) } x=(RIGHT + 6.0) y=(figure(y - 8.0)) width="8" height="8" {}
            text.figure x=(RIGHT + 18.0) y=(figure(y)) { (NAMES[phase]) }
        }
    }
}

fn title(zone: &Zone, point: &Point) -> String {
    let mut text = zone.moment(point.at_ms);
    for (name, value) in NAMES.iter().zip(point.phases) {
        let _ = write!(text, " · {name} {}", latency(value.round() as u64));
    }
    text
}

fn sentence(points: &[Point]) -> String {
    if points.is_empty() {
        return "no phases were measured".to_owned();
    }
    let mut means: Vec<(f64, &str)> = (0..NAMES.len())
        .map(|phase| {
            let sum: f64 = points.iter().map(|point| point.phases[phase]).sum();
            (sum / points.len() as f64, NAMES[phase])
        })
        .collect();
    means.sort_by(|one, other| other.0.total_cmp(&one.0));
    let text = |(mean, name): &(f64, &str)| format!("{name} {}", latency(mean.round() as u64));
    format!(
        "mean of each phase, the longest first: {}",
        means.iter().map(text).collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: UnixMillis = 60_000;

    fn drawn(points: &[(UnixMillis, [f64; 5])]) -> String {
        phases(&Phases {
            span: (0, 10 * MINUTE_MS),
            points,
            zone: &Zone::utc(),
        })
        .into_string()
    }

    #[test]
    fn phases_are_stacked_and_a_gap_parts_them() {
        let value = [100.0, 100.0, 200.0, 400.0, 200.0];
        let at = [0, 1, 2, 7, 8].map(|minute| (minute * MINUTE_MS, value));
        let svg = drawn(&at);
        assert!(
            svg.contains(
                "mean of each phase, the longest first: first byte 0.40 ms, TLS 0.20 ms, \
                 body 0.20 ms, DNS 0.10 ms, connect 0.10 ms"
            ),
            "{svg}"
        );
        // From 0 to 100 of 1,000 µs, in two parts.
        assert!(
            svg.contains(
                r#"<path class="area p0" d="M56.0 163.8L114.0 163.8L172.0 163.8L172.0 163.8L172.0 180.0L172.0 180.0L114.0 180.0L56.0 180.0ZM462.0 163.8"#
            ),
            "{svg}"
        );
        assert!(svg.contains(">first byte</text>"), "{svg}");
    }

    #[test]
    fn many_points_become_means_and_none_is_no_error() {
        let points: Vec<_> = (0..1_000)
            .map(|ms| (ms, [f64::NAN, 1.0, 1.0, 1.0, -4.0]))
            .collect();
        let bounded = bounded(&points);
        assert_eq!(bounded.len(), 112);
        assert!((bounded[0].sums[5] - 3.0).abs() < 1e-9);
        assert!(drawn(&[]).contains("no phases were measured"));
    }
}
