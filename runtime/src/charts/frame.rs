//! The plane that a chart over time is drawn on: its axes and marks.

use maud::{Markup, html};

use super::scale::Scale;
use super::{Mark, Unit, Zone, figure};
use crate::domain::UnixMillis;

pub(super) const WIDTH: f64 = 720.0;
pub(super) const HEIGHT: f64 = 220.0;
/// Room for the figures at the left.
pub(super) const LEFT: f64 = 56.0;
pub(super) const TOP: f64 = 18.0;
pub(super) const BOTTOM: f64 = 180.0;
/// Labels of moments are as wide as this, both halves together.
const LABEL: f64 = 40.0;
/// Marks with their text beside them; of further ones it is in the title.
const MAX_TEXTS: usize = 6;
const MAX_MARKS: usize = 60;
const MAX_TEXT_CHARS: usize = 40;

pub(super) struct Plane<'a> {
    pub(super) span: (UnixMillis, UnixMillis),
    pub(super) right: f64,
    pub(super) scale: Scale,
    pub(super) zone: &'a Zone,
}

impl Plane<'_> {
    /// Place of a moment; what lies outside of the span is at its edge.
    pub(super) fn x(&self, ms: UnixMillis) -> f64 {
        let (since_ms, until_ms) = self.span;
        let share =
            ms.saturating_sub(since_ms) as f64 / until_ms.saturating_sub(since_ms).max(1) as f64;
        LEFT + (self.right - LEFT) * share.clamp(0.0, 1.0)
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * self.scale.share(value)
    }

    /// Width of a time in the picture.
    pub(super) fn width(&self, ms: UnixMillis) -> f64 {
        let (since_ms, until_ms) = self.span;
        (self.right - LEFT) * ms as f64 / until_ms.saturating_sub(since_ms).max(1) as f64
    }

    pub(super) fn values(&self, unit: Unit<'_>) -> Markup {
        values(self.scale, unit, self.right)
    }

    pub(super) fn times(&self) -> Markup {
        html! {
            @for (ms, label) in self.zone.ticks(self.span) {
                @let x = self.x(ms);
                path.grid d={ "M" (figure(x)) " " (BOTTOM) "v4" } {}
                text.figure x=(figure(x)) y=(HEIGHT - 6.0) text-anchor=(anchor(x, self.right)) { (label) }
            }
        }
    }

    pub(super) fn marks(&self, marks: &[Mark<'_>]) -> Markup {
        let (since_ms, until_ms) = self.span;
        let shown = marks
            .iter()
            .filter(|mark| (since_ms..=until_ms).contains(&mark.at_ms));
        let shown: Vec<_> = shown.take(MAX_MARKS).collect();
        html! {
            @for (index, mark) in shown.iter().enumerate() {
                @let x = self.x(mark.at_ms);
                @let is_left = x < (LEFT + self.right) / 2.0;
                g.moment {
                    title { (self.zone.moment(mark.at_ms)) " · " (mark.text) }
                    path.stroke d={ "M" (figure(x)) " " (TOP) "V" (BOTTOM) } {}
                    path.head d={ "M" (figure(x - 4.0)) " " (TOP - 8.0) "h8l-4 7z" } {}
                    @if index < MAX_TEXTS {
                        text.figure x=(figure(if is_left { x + 7.0 } else { x - 7.0 })) y=(figure(TOP + 11.0 * (index % 3) as f64))
                            text-anchor=(if is_left { "start" } else { "end" }) { (clipped(mark.text)) }
                    }
                }
            }
        }
    }
}

/// Lines across the picture at round values, with their figures.
pub(super) fn values(scale: Scale, unit: Unit<'_>, right: f64) -> Markup {
    html! {
        @for value in scale.ticks() {
            @let y = BOTTOM - (BOTTOM - TOP) * scale.share(value);
            path.grid d={ "M" (LEFT) " " (figure(y)) "H" (figure(right)) } {}
            text.figure x=(LEFT - 8.0) y=(figure(y + 4.0)) text-anchor="end" { (unit.tick(value)) }
        }
    }
}

fn anchor(x: f64, right: f64) -> &'static str {
    if x - LEFT < LABEL / 2.0 {
        "start"
    } else if right - x < LABEL / 2.0 {
        "end"
    } else {
        "middle"
    }
}

fn clipped(text: &str) -> String {
    let mut clipped: String = text.chars().take(MAX_TEXT_CHARS).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
}
