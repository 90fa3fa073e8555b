//! Moments at which the level of a series changed for good: PELT (Killick, Fearnhead and Eckley,
//! 2012) with the sum of distances from the median as cost, so that single outliers change nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::rank_tests::mann_whitney;
use super::{Series, median};
use crate::domain::UnixMillis;

/// Values on each side of a change.
const MIN_VALUES: usize = 12;

/// Slots that are searched; longer series are joined to so many, because the work grows with the
/// square of their number. 31 days: 30 of them reach into 721 hours where they begin within one.
const MAX_SLOTS: usize = 744;

/// A change is reported below this probability.
const MAX_P: f64 = 0.001;

/// A change of the level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangePoint {
    /// Beginning of the first slot at the new level.
    pub at_ms: UnixMillis,
    /// Medians of the values since the change before, and up to the next one.
    pub before: f64,
    pub after: f64,
    /// Two-sided, by ranks (Mann-Whitney).
    pub p: f64,
}

/// Returns the changes, oldest first. Those smaller than `min_change`, as a share of the level
/// before, are left out.
pub fn change_points(series: &Series, min_change: f64) -> Vec<ChangePoint> {
    let series = series.thinned(MAX_SLOTS);
    let measured: Vec<(UnixMillis, f64)> = series
        .at_ms
        .iter()
        .zip(&series.values)
        .filter_map(|(at_ms, value)| Some((*at_ms, (*value)?)))
        .collect();
    let values: Vec<f64> = measured.iter().map(|(_, value)| *value).collect();
    let mut starts = segments(&values);
    loop {
        let changes = changes_between(&measured, &values, &starts);
        // The least certain one goes first: what it parted is then compared as a whole.
        let weakest = changes
            .iter()
            .enumerate()
            .filter(|(_, change)| !is_real(change, min_change))
            .max_by(|left, right| left.1.p.total_cmp(&right.1.p));
        let Some((index, _)) = weakest else {
            return changes;
        };
        starts.remove(index + 1);
    }
}

fn is_real(change: &ChangePoint, min_change: f64) -> bool {
    let difference = (change.after - change.before).abs();
    change.p < MAX_P && difference > 0.0 && difference >= min_change * change.before.abs()
}

/// `starts` are the first values of the segments, the first of them 0.
fn changes_between(
    measured: &[(UnixMillis, f64)],
    values: &[f64],
    starts: &[usize],
) -> Vec<ChangePoint> {
    let ends = starts.iter().skip(1).copied().chain([values.len()]);
    let parts: Vec<&[f64]> = starts
        .iter()
        .zip(ends)
        .map(|(start, end)| &values[*start..end])
        .collect();
    let level = |part: &[f64]| median(&mut part.to_vec()).unwrap_or_default();
    let pairs = parts.windows(2).zip(starts.iter().skip(1));
    let change = |(pair, start): (&[&[f64]], &usize)| ChangePoint {
        at_ms: measured[*start].0,
        before: level(pair[0]),
        after: level(pair[1]),
        p: mann_whitney(pair[0], pair[1]),
    };
    pairs.map(change).collect()
}

/// Returns where the segments with the least cost begin, with a penalty of 3 ln n for each.
fn segments(values: &[f64]) -> Vec<usize> {
    let length = values.len();
    let scale = scale(values);
    if length < 2 * MIN_VALUES || scale <= 0.0 {
        return vec![0];
    }
    let penalty = 3.0 * (length as f64).ln();
    // Least cost of the first values, and where the last segment of them begins.
    let mut best = vec![(f64::INFINITY, 0); length + 1];
    best[0].0 = -penalty;
    for start in 0..length {
        let so_far = best[start].0;
        if !so_far.is_finite() {
            continue;
        }
        let mut middle = RunningMedian::default();
        let mut given_up = None;
        for end in start + 1..=length {
            middle.add(values[end - 1]);
            if end - start < MIN_VALUES {
                continue;
            }
            let cost = so_far + middle.distance() / scale;
            // A beginning that is worse here is worse behind it, as soon as another segment fits.
            if cost >= best[end].0 && given_up.is_none() {
                given_up = Some(end + MIN_VALUES);
            }
            if given_up.is_some_and(|last| end >= last) {
                break;
            }
            if cost + penalty < best[end].0 {
                best[end] = (cost + penalty, start);
            }
        }
    }
    let mut starts = vec![best[length].1];
    while let Some(start) = starts.last().copied().filter(|start| *start > 0) {
        starts.push(best[start].1);
    }
    starts.reverse();
    starts
}

/// Returns the standard deviation of the noise, from the differences of neighbours: a change of the
/// level is one of many.
fn scale(values: &[f64]) -> f64 {
    let mut differences: Vec<f64> = values
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs())
        .collect();
    let count = differences.len().max(1) as f64;
    let mean = differences.iter().sum::<f64>() / count;
    match median(&mut differences) {
        // The median of |x − y| is 0.954 σ where x and y are normal.
        Some(middle) if middle > 0.0 => middle / 0.954,
        // Most neighbours are equal, as where values are rounded.
        _ => mean / 1.128,
    }
}

/// Sum of the distances from the median, as values are added.
#[derive(Default)]
struct RunningMedian {
    /// Lower half; never smaller than the upper one, and by one value larger at most.
    lower: BinaryHeap<Ordered>,
    upper: BinaryHeap<Reverse<Ordered>>,
    lower_sum: f64,
    upper_sum: f64,
}

impl RunningMedian {
    fn add(&mut self, value: f64) {
        let is_low = self.lower.peek().is_none_or(|top| value <= top.0);
        if is_low {
            self.lower.push(Ordered(value));
            self.lower_sum += value;
        } else {
            self.upper.push(Reverse(Ordered(value)));
            self.upper_sum += value;
        }
        if self.lower.len() > self.upper.len() + 1
            && let Some(Ordered(moved)) = self.lower.pop()
        {
            self.lower_sum -= moved;
            self.upper_sum += moved;
            self.upper.push(Reverse(Ordered(moved)));
        }
        if self.upper.len() > self.lower.len()
            && let Some(Reverse(Ordered(moved))) = self.upper.pop()
        {
            self.upper_sum -= moved;
            self.lower_sum += moved;
            self.lower.push(Ordered(moved));
        }
    }

    fn distance(&self) -> f64 {
        let middle = self.lower.peek().map_or(0.0, |top| top.0);
        let below = middle * self.lower.len() as f64 - self.lower_sum;
        let above = self.upper_sum - middle * self.upper.len() as f64;
        (below + above).max(0.0)
    }
}

#[derive(Clone, Copy, PartialEq)]
struct Ordered(f64);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_levels_are_no_change_however_certain_the_ranks_are() {
        let change = |after| ChangePoint {
            at_ms: 0,
            before: 5.0,
            after,
            p: 1e-9,
        };
        assert!(!is_real(&change(5.0), 0.0));
        assert!(is_real(&change(5.1), 0.0) && !is_real(&change(5.1), 0.1));
    }
}
