//! Pictures as SVG for pages, mail, PDF and status pages: pure functions from values to markup. Each
//! has a sentence for those who do not see it, leaves gaps where nothing was measured, shows rank by
//! height, and uses classes only, as the content security policy wants it.

mod bars;
mod budget;
mod days;
mod frame;
mod heat;
mod latency;
mod line;
mod phases;
pub(crate) mod ranks;
mod scale;
mod spark;
mod standalone;
mod unit;
pub(crate) mod words;
mod zone;

use crate::domain::UnixMillis;

pub(crate) use bars::{Bars, Column, bars};
pub(crate) use budget::budget;
pub(crate) use days::{claimed_days, days};
pub(crate) use heat::{Heat, heat};
pub(crate) use latency::{LatencyChart, latency};
pub(crate) use line::{Line, line};
pub(crate) use phases::{Phases, phases};
pub(crate) use spark::spark;
pub(crate) use standalone::standalone;
pub(crate) use unit::Unit;
pub(crate) use zone::Zone;

/// Points of a line at most: a leap year of days.
const MAX_POINTS: usize = 366;

/// Moment worth a mark: a plugin was swapped, the level changed.
pub(crate) struct Mark<'a> {
    pub(crate) at_ms: UnixMillis,
    pub(crate) text: &'a str,
}

/// One digit behind the point is finer than a pixel.
fn figure(value: f64) -> String {
    format!("{value:.1}")
}
