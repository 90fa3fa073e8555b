//! Stacked columns; those that are a forecast are hollow and hatched.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::frame::{self, BOTTOM, HEIGHT, LEFT, TOP, WIDTH};
use super::scale::Scale;
use super::{Unit, figure};

const MAX_COLUMNS: usize = 60;
/// Series with a tone of their own; the rest shares the last.
const TONES: usize = 6;
const MAX_LABELS: usize = 12;
/// Room above for the names of the series.
const LEGEND: f64 = 16.0;
const HATCH: f64 = 4.0;

pub(crate) struct Column {
    pub(crate) label: String,
    /// One for each series.
    pub(crate) values: Vec<f64>,
    pub(crate) is_forecast: bool,
}

pub(crate) struct Bars<'a> {
    pub(crate) name: &'a str,
    pub(crate) unit: Unit<'a>,
    pub(crate) series: &'a [&'a str],
    pub(crate) columns: &'a [Column],
}

/// One series of one column.
struct Segment {
    series: usize,
    value: f64,
    y: f64,
    height: f64,
}

pub(crate) fn bars(bars: &Bars<'_>) -> Markup {
    let columns = &bars.columns[bars.columns.len().saturating_sub(MAX_COLUMNS)..];
    let scale = Scale::of(columns.iter().map(sum), bars.unit.least());
    let step = (WIDTH - LEFT) / columns.len().max(1) as f64;
    let width = (step * 0.75).min(48.0);
    let every = columns.len().div_ceil(MAX_LABELS).max(1);
    html! {
        svg.chart viewBox={ "0 " (-LEGEND) " " (WIDTH) " " (HEIGHT + LEGEND) } role="img" aria-label=(sentence(bars, columns)) {
            (frame::values(scale, bars.unit, WIDTH))
            @if bars.series.len() > 1 { (legend(bars.series)) }
            @for (index, column) in columns.iter().enumerate() {
                @let middle = LEFT + step * (index as f64 + 0.5);
                g.column {
                    title { (title(bars, column)) }
                    @for segment in segments(column, scale) {
                        (drawn(&segment, middle - width / 2.0, width, column.is_forecast))
                    }
                }
                @if index % every == 0 {
                    text.figure x=(figure(middle)) y=(HEIGHT - 22.0) text-anchor="middle" { (column.label) }
                }
            }
        }
    }
}

/// Height of a value: none of what is below zero or no number.
fn value(value: f64) -> f64 {
    if value.is_finite() {
        value.max(0.0)
    } else {
        0.0
    }
}

fn sum(column: &Column) -> f64 {
    column.values.iter().copied().map(value).sum()
}

fn segments(column: &Column, scale: Scale) -> Vec<Segment> {
    let mut base = 0.0;
    let mut segments = Vec::new();
    for (series, value) in column.values.iter().copied().map(value).enumerate() {
        let y = |value: f64| BOTTOM - (BOTTOM - TOP) * scale.share(value);
        let (low, high) = (y(base), y(base + value));
        base += value;
        if low > high {
            segments.push(Segment {
                series,
                value,
                y: high,
                height: low - high,
            });
        }
    }
    segments
}

fn drawn(segment: &Segment, x: f64, width: f64, is_forecast: bool) -> Markup {
    let tone = segment.series.min(TONES - 1);
    html! {
        rect class={ "s" (tone) @if is_forecast { " forecast" } } data-value=(figure(segment.value))
            x=(figure(x)) y=(figure(segment.y)) width=(figure(width)) height=(figure(segment.height)) {}
        @if is_forecast {
            path class={ "hatch t" (tone) } d=(hatch(x, segment.y, width, segment.height)) {}
        }
    }
}

/// Strokes across, which need no pattern with an id of its own.
pub(super) fn hatch(x: f64, y: f64, width: f64, height: f64) -> String {
    let strokes = (height / HATCH).ceil() as usize;
    (0..strokes).fold(String::new(), |mut path, index| {
        let y = y + HATCH * index as f64;
        let _ = write!(path, "M{} {}h{}", figure(x), figure(y), figure(width));
        path
    })
}

fn legend(series: &[&str]) -> Markup {
    let step = (WIDTH - LEFT) / TONES as f64;
    html! {
        @for (index, name) in series.iter().take(TONES).enumerate() {
            @let x = LEFT + step * index as f64;
            rect class={ "s" (index) } x=(figure(x)) y=(2.0 - LEGEND) width="10" height="10" {}
            text.figure x=(figure(x + 14.0)) y=(11.0 - LEGEND) {
                @if series.len() > TONES && index == TONES - 1 { (name) " and others" } @else { (name) }
            }
        }
    }
}

fn title(bars: &Bars<'_>, column: &Column) -> String {
    let mut text = format!("{} · {}", column.label, bars.unit.text(sum(column)));
    if column.is_forecast {
        text.push_str(" (forecast)");
    }
    if bars.series.len() > 1 {
        for (name, part) in bars.series.iter().zip(&column.values) {
            let _ = write!(text, " · {name} {}", bars.unit.text(value(*part)));
        }
    }
    text
}

fn sentence(bars: &Bars<'_>, columns: &[Column]) -> String {
    let measured = || columns.iter().filter(|column| !column.is_forecast);
    let highest = measured().max_by(|one, other| sum(one).total_cmp(&sum(other)));
    let Some(highest) = highest else {
        return format!("{}: nothing was measured", bars.name);
    };
    let total: f64 = measured().map(sum).sum();
    let mut text = format!(
        "{}: {} in all, the most {} ({})",
        bars.name,
        bars.unit.text(total),
        bars.unit.text(sum(highest)),
        highest.label
    );
    let forecast = columns.iter().filter(|column| column.is_forecast);
    let forecast: Vec<f64> = forecast.map(sum).collect();
    if !forecast.is_empty() {
        let total = bars.unit.text(forecast.iter().sum());
        let _ = write!(text, "; {total} more expected");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(label: &str, values: &[f64], is_forecast: bool) -> Column {
        Column {
            label: label.to_owned(),
            values: values.to_vec(),
            is_forecast,
        }
    }

    fn drawn(columns: &[Column]) -> String {
        bars(&Bars {
            name: "cost",
            unit: Unit::Amount("EUR"),
            series: &["mail", "maps"],
            columns,
        })
        .into_string()
    }

    #[test]
    fn series_are_stacked_and_a_forecast_is_hatched() {
        let svg = drawn(&[
            column("22 Nov", &[1.0, 3.0], false),
            column("23 Nov", &[2.0, 0.0], true),
        ]);
        for wanted in [
            r#"aria-label="cost: 4.00 EUR in all, the most 4.00 EUR (22 Nov); 2.00 EUR more expected""#,
            r#"<title>22 Nov · 4.00 EUR · mail 1.00 EUR · maps 3.00 EUR</title>"#,
            r#"<rect class="s0" data-value="1.0" x="198.0" y="139.5" width="48.0" height="40.5"></rect>"#,
            r#"<rect class="s1" data-value="3.0" x="198.0" y="18.0" width="48.0" height="121.5"></rect>"#,
            r#"<rect class="s0 forecast" data-value="2.0" x="530.0" y="99.0" width="48.0" height="81.0"></rect>"#,
            r#"<path class="hatch t0" d="M530.0 99.0h48.0M530.0 103.0h48.0"#,
        ] {
            assert!(svg.contains(wanted), "{wanted} is not in {svg}");
        }
        assert_eq!(svg.matches("hatch").count(), 1, "a zero has no bar: {svg}");
    }

    #[test]
    fn only_the_last_columns_are_drawn_and_only_some_have_labels() {
        let columns: Vec<_> = (0..100)
            .map(|day| column(&format!("day {day}"), &[1.0, f64::NAN], false))
            .collect();
        let svg = drawn(&columns);
        assert_eq!(svg.matches(r#"class="column""#).count(), MAX_COLUMNS);
        assert_eq!(svg.matches(">day ").count(), MAX_COLUMNS + MAX_LABELS);
        assert!(svg.contains("day 99") && !svg.contains("day 39 "), "{svg}");
        assert!(drawn(&[]).contains("cost: nothing was measured"));
    }
}
