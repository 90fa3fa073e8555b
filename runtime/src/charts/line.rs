//! One value over time: a line that is open where nothing is known.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::frame::{BOTTOM, HEIGHT, LEFT, Plane, TOP, WIDTH};
use super::scale::Scale;
use super::{MAX_POINTS, Mark, Unit, Zone, figure};
use crate::domain::UnixMillis;

/// Content of a chart, oldest first.
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    pub(crate) unit: Unit<'a>,
    pub(crate) span: (UnixMillis, UnixMillis),
    /// A point without a value leaves a gap.
    pub(crate) points: &'a [(UnixMillis, Option<f64>)],
    pub(crate) threshold: Option<f64>,
    pub(crate) marks: &'a [Mark<'a>],
    pub(crate) zone: &'a Zone,
}

type Point = (UnixMillis, Option<f64>);

pub(crate) fn line(line: &Line<'_>) -> Markup {
    let points = bounded(line.points, line.unit);
    let values = points.iter().filter_map(|(_, value)| *value);
    let plane = Plane {
        span: line.span,
        right: WIDTH,
        scale: Scale::of(values.chain(line.threshold), line.unit.least()),
        zone: line.zone,
    };
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(sentence(line)) {
            (plane.values(line.unit))
            (plane.times())
            @if let Some(threshold) = line.threshold {
                path.threshold d={ "M" (LEFT) " " (figure(plane.y(threshold))) "H" (WIDTH) } {
                    title { "threshold " (line.unit.text(threshold)) }
                }
            }
            path.line d=(path(&plane, &points)) {}
            @for (index, (ms, value)) in points.iter().enumerate() {
                @if let Some(value) = value {
                    @let next_ms = points.get(index + 1).map_or(line.span.1, |(ms, _)| *ms);
                    rect.touch x=(figure(plane.x(*ms))) y=(TOP) height=(BOTTOM - TOP)
                        width=(figure((plane.x(next_ms) - plane.x(*ms)).max(2.0))) {
                        title { (line.zone.moment(*ms)) " · " (line.unit.text(*value)) }
                    }
                }
            }
            (plane.marks(line.marks))
        }
    }
}

/// Returns as many points as a picture shows; of those that fall together the worst stays.
fn bounded(points: &[Point], unit: Unit<'_>) -> Vec<Point> {
    let chunk = points.len().div_ceil(MAX_POINTS).max(1);
    points
        .chunks(chunk)
        .filter_map(|chunk| {
            let values = chunk.iter().filter_map(|(_, value)| *value);
            let values = values.filter(|value| value.is_finite());
            let worst = match unit {
                Unit::Percent => values.reduce(f64::min),
                _ => values.reduce(f64::max),
            };
            Some((chunk.first()?.0, worst))
        })
        .collect()
}

fn path(plane: &Plane<'_>, points: &[Point]) -> String {
    let mut path = String::new();
    for run in points.split(|(_, value)| value.is_none()) {
        for (index, (ms, value)) in run.iter().enumerate() {
            let letter = if index == 0 { 'M' } else { 'L' };
            let y = plane.y(value.unwrap_or_default());
            let _ = write!(path, "{letter}{} {}", figure(plane.x(*ms)), figure(y));
        }
        // One alone is a dot.
        if run.len() == 1 {
            path.push_str("h2");
        }
    }
    path
}

fn sentence(line: &Line<'_>) -> String {
    let text = |value: f64| line.unit.text(value);
    let values: Vec<f64> = line
        .points
        .iter()
        .filter_map(|(_, value)| *value)
        .filter(|value| value.is_finite())
        .collect();
    let low = values.iter().copied().reduce(f64::min);
    let high = values.iter().copied().reduce(f64::max);
    let mut sentence = match (low, high, values.last()) {
        (Some(low), Some(high), Some(last)) => format!(
            "{} from {} to {}, at the end {}",
            line.name,
            text(low),
            text(high),
            text(*last)
        ),
        _ => format!("{}: nothing was measured", line.name),
    };
    if let Some(threshold) = line.threshold {
        let _ = write!(sentence, "; threshold {}", text(threshold));
    }
    for mark in line.marks.iter().take(3) {
        let _ = write!(sentence, "; {} {}", line.zone.moment(mark.at_ms), mark.text);
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(points: &[Point], unit: Unit<'_>, threshold: Option<f64>) -> String {
        line(&Line {
            name: "requests",
            unit,
            span: (0, 1_000_000),
            points,
            threshold,
            marks: &[],
            zone: &Zone::utc(),
        })
        .into_string()
    }

    #[test]
    fn a_point_without_a_value_opens_the_line() {
        let points = [
            (0, Some(1.0)),
            (250_000, Some(3.0)),
            (500_000, None),
            (750_000, Some(4.0)),
        ];
        let svg = drawn(&points, Unit::Count, Some(2.0));
        assert!(
            svg.contains(r#"<path class="line" d="M56.0 139.5L222.0 58.5M554.0 18.0h2"></path>"#),
            "{svg}"
        );
        assert!(
            svg.contains(r#"aria-label="requests from 1 to 4, at the end 4; threshold 2""#),
            "{svg}"
        );
        assert!(
            svg.contains(r#"<path class="threshold" d="M56 99.0H720">"#),
            "{svg}"
        );
    }

    #[test]
    fn of_points_that_fall_together_the_worst_is_shown() {
        let mut points: Vec<Point> = (0..1_000).map(|index| (index, Some(0.9))).collect();
        points[500].1 = Some(0.2);
        points[10].1 = Some(1.0);
        assert_eq!(bounded(&points, Unit::Percent).len(), 334);
        let lowest = |unit| {
            bounded(&points, unit)
                .into_iter()
                .filter_map(|point| point.1)
        };
        assert_eq!(lowest(Unit::Percent).reduce(f64::min), Some(0.2));
        assert_eq!(lowest(Unit::Count).reduce(f64::max), Some(1.0));
    }

    #[test]
    fn nothing_measured_is_said() {
        let svg = drawn(&[(0, None), (1, Some(f64::NAN))], Unit::Micros, None);
        assert!(svg.contains("requests: nothing was measured"), "{svg}");
        assert!(!svg.contains("NaN"), "{svg}");
    }
}
