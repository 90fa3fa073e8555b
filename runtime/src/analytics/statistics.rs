//! Statistics of hourly series: seasons, change points and slopes, with the words for them. Pure
//! functions; a value that was not measured stays a gap.

mod change_points;
mod rank_tests;
mod seasons;
mod series;
mod slope;
#[cfg(test)]
mod tests;
mod words;

pub use change_points::{ChangePoint, change_points};
pub use seasons::{Seasons, seasons};
pub use series::{HOUR_MS, MAX_HOURS, Series};
pub use slope::{Slope, slope};
pub use words::{p_text, sentence};

/// Returns the value in the middle, or the mean of the two there; none without values.
fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let is_even = values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    if !is_even {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp)?;
    Some(f64::midpoint(lower, upper))
}
