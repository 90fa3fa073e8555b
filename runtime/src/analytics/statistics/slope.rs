//! Steady rise or fall: Theil-Sen slope with the p-value of Mann and Kendall.

use super::rank_tests::mann_kendall;
use super::{HOUR_MS, Series, median};

/// Days with values below which there is no slope.
const MIN_DAYS: usize = 7;

const DAY_HOURS: usize = 24;

/// Rise in a day, by the medians of days: they depend less on each other than hours do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    /// Units of the series in a day.
    pub per_day: f64,
    pub p: f64,
    /// Days that it was computed from.
    pub days: usize,
}

pub fn slope(series: &Series) -> Option<Slope> {
    let days = series.joined(DAY_HOURS);
    let points: Vec<(f64, f64)> = days
        .at_ms
        .iter()
        .zip(&days.values)
        .filter_map(|(at_ms, value)| {
            let day = *at_ms as f64 / (DAY_HOURS as f64 * HOUR_MS as f64);
            Some((day, (*value)?))
        })
        .collect();
    if points.len() < MIN_DAYS {
        return None;
    }
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (index, (day, value)) in points.iter().enumerate() {
        for (later_day, later) in &points[index + 1..] {
            slopes.push((later - value) / (later_day - day));
        }
    }
    let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
    Some(Slope {
        per_day: median(&mut slopes)?,
        p: mann_kendall(&values),
        days: points.len(),
    })
}
