//! A series with one slot for each hour that clocks on the wall show in a zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::median;
use crate::domain::UnixMillis;

pub const HOUR_MS: UnixMillis = 3_600_000;

/// 90 days.
pub const MAX_HOURS: UnixMillis = 2_160;

/// Values by hours of a zone, oldest first. The hour that clocks repeat in autumn is one slot with
/// the mean of both; the one that they leave out in spring is a gap.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Beginning of each slot.
    pub at_ms: Vec<UnixMillis>,
    pub values: Vec<Option<f64>>,
}

impl Series {
    /// Sorts values of whole hours of UTC into the slots of a span, at most [`MAX_HOURS`] of them.
    pub fn new(
        points: impl IntoIterator<Item = (UnixMillis, f64)>,
        (since_ms, until_ms): (UnixMillis, UnixMillis),
        zone: &TimeZone,
    ) -> Self {
        let first_ms = since_ms.div_euclid(HOUR_MS) * HOUR_MS;
        let until_ms = until_ms.min(first_ms + MAX_HOURS * HOUR_MS);
        let wall = |ms: UnixMillis| {
            let moment = Timestamp::from_millisecond(ms).unwrap_or_default();
            let offset = i64::from(zone.to_offset(moment).seconds()) * 1_000;
            (ms + offset).div_euclid(HOUR_MS)
        };
        let mut series = Series::default();
        let mut slots = Vec::new();
        let mut hour_ms = first_ms;
        while hour_ms < until_ms {
            let slot = wall(hour_ms);
            if let Some(last) = slots.last().copied() {
                // What clocks leave out has a slot without a moment of its own.
                for skipped in last + 1..slot {
                    slots.push(skipped);
                    series.at_ms.push(hour_ms);
                }
            }
            if slots.last().is_none_or(|last| *last < slot) {
                slots.push(slot);
                series.at_ms.push(hour_ms);
            }
            hour_ms += HOUR_MS;
        }
        let mut sums = vec![(0.0, 0_u32); slots.len()];
        for (ms, value) in points {
            let is_inside = (first_ms..until_ms).contains(&ms) && value.is_finite();
            if let (true, Ok(place)) = (is_inside, slots.binary_search(&wall(ms))) {
                sums[place].0 += value;
                sums[place].1 += 1;
            }
        }
        let mean = |(sum, count): (f64, u32)| (count > 0).then(|| sum / f64::from(count));
        series.values = sums.into_iter().map(mean).collect();
        series
    }

    /// Number of slots with a value.
    pub fn measured(&self) -> usize {
        self.values.iter().flatten().count()
    }

    /// Joins so many slots to one by their median that no more than `most` are left.
    pub fn thinned(&self, most: usize) -> Series {
        let width = self.values.len().div_ceil(most.max(1)).max(1);
        self.joined(width)
    }

    /// Joins slots by their median.
    pub fn joined(&self, width: usize) -> Series {
        let of = |slots: &[Option<f64>]| {
            let mut found: Vec<f64> = slots.iter().flatten().copied().collect();
            median(&mut found)
        };
        Series {
            at_ms: self.at_ms.iter().step_by(width).copied().collect(),
            values: self.values.chunks(width).map(of).collect(),
        }
    }

    /// Values with a straight line over each gap, and the nearest value at the ends; none without a
    /// value.
    pub fn filled(&self) -> Option<Vec<f64>> {
        let known: Vec<(usize, f64)> = self
            .values
            .iter()
            .enumerate()
            .filter_map(|(index, value)| Some((index, (*value)?)))
            .collect();
        let (first, last) = (known.first()?, known.last()?);
        let mut filled = vec![first.1; first.0];
        for pair in known.windows(2) {
            let [(from, start), (to, end)] = [pair[0], pair[1]];
            let step = (end - start) / (to - from) as f64;
            filled.extend((0..to - from).map(|index| start + step * index as f64));
        }
        filled.resize(self.values.len(), last.1);
        Some(filled)
    }
}
