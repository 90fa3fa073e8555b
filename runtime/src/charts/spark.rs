//! A line as high as a row of text.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::scale::Scale;
use super::{Unit, figure};

const MAX_POINTS: usize = 48;
const WIDTH: f64 = 96.0;
const HEIGHT: f64 = 24.0;
const EDGE: f64 = 3.0;

/// The last values of a series, oldest first; one that is not known leaves a gap.
pub(crate) fn spark(name: &str, points: &[Option<f64>], unit: Unit<'_>) -> Markup {
    let points = &points[points.len().saturating_sub(MAX_POINTS)..];
    let known = |point: &Option<f64>| point.filter(|value| value.is_finite());
    let scale = Scale::of(points.iter().filter_map(known), unit.least());
    let step = (WIDTH - 2.0 * EDGE) / points.len().saturating_sub(1).max(1) as f64;
    let places: Vec<Option<(f64, f64)>> = points
        .iter()
        .enumerate()
        .map(|(index, point)| {
            let share = scale.share(known(point)?);
            let y = HEIGHT - EDGE - (HEIGHT - 2.0 * EDGE) * share;
            Some((EDGE + index as f64 * step, y))
        })
        .collect();
    let last = places.iter().flatten().next_back();
    html! {
        svg.spark viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(sentence(name, points, unit)) {
            path.line d=(path(&places)) {}
            @if let Some((x, y)) = last { circle.dot cx=(figure(*x)) cy=(figure(*y)) r="2" {} }
        }
    }
}

fn path(places: &[Option<(f64, f64)>]) -> String {
    let mut path = String::new();
    for run in places.split(Option::is_none) {
        for (index, (x, y)) in run.iter().flatten().enumerate() {
            let letter = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{} {}", figure(*x), figure(*y));
        }
        if run.len() == 1 {
            path.push_str("h1");
        }
    }
    path
}

fn sentence(name: &str, points: &[Option<f64>], unit: Unit<'_>) -> String {
    let known = points.iter().flatten().filter(|value| value.is_finite());
    let known: Vec<f64> = known.copied().collect();
    match (known.first(), known.last()) {
        (Some(first), Some(last)) => {
            format!(
                "{name}: {}, at first {}",
                unit.text(*last),
                unit.text(*first)
            )
        }
        _ => format!("{name}: nothing was measured"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spark_has_gaps_and_a_dot_at_its_end() {
        let points = [Some(0.0), Some(2.0), None, Some(4.0)];
        insta::assert_snapshot!(
            spark("requests", &points, Unit::Count).into_string(),
            @r#"<svg class="spark" viewBox="0 0 96 24" role="img" aria-label="requests: 4, at first 0"><path class="line" d="M3.0 21.0L33.0 12.0M93.0 3.0h1"></path><circle class="dot" cx="93.0" cy="3.0" r="2"></circle></svg>"#
        );
    }

    #[test]
    fn only_the_last_values_are_drawn() {
        let points = vec![Some(1.0); 500];
        let svg = spark("requests", &points, Unit::Count).into_string();
        assert_eq!(svg.matches('L').count(), MAX_POINTS - 1, "{svg}");
        let empty = spark("requests", &[None; 3], Unit::Count).into_string();
        assert!(empty.contains("nothing was measured"), "{empty}");
        assert!(!empty.contains("circle"), "{empty}");
    }
}
