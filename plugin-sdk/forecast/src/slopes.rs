//! Slopes between all pairs of readings: their median, and the range in which nine of ten medians
//! of such readings lie (Sen, "Estimates of the regression coefficient based on Kendall's tau",
//! 1968). One outlier in four does not move it.

use crate::Reading;

/// Of the normal distribution, for nine of ten.
const Z: f64 = 1.645;

/// Slopes in counts a millisecond; `low` is the steepest way down.
pub(crate) struct Slopes {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Slopes {
    /// None without two readings at different moments.
    pub(crate) fn of(readings: &[Reading], last: &Reading) -> Option<Self> {
        // Beside the last moment, so that big numbers do not swallow small differences.
        let points: Vec<(f64, f64)> = readings
            .iter()
            .map(|reading| {
                let before_ms = last.ts_ms.saturating_sub(reading.ts_ms);
                (-(before_ms as f64), reading.remaining as f64)
            })
            .collect();
        let mut slopes = Vec::with_capacity(points.len() * points.len().saturating_sub(1) / 2);
        for (index, one) in points.iter().enumerate() {
            for other in &points[index + 1..] {
                let apart_ms = other.0 - one.0;
                if apart_ms > 0.0 {
                    slopes.push((other.1 - one.1) / apart_ms);
                }
            }
        }
        slopes.sort_unstable_by(f64::total_cmp);
        let most = slopes.len().checked_sub(1)?;
        let (count, pairs) = (points.len() as f64, slopes.len() as f64);
        let spread = Z * (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
        let low = ((pairs - spread) / 2.0).floor().max(0.0) as usize;
        let high = (((pairs + spread) / 2.0).ceil() as usize).min(most);
        let middle = slopes.len() / 2;
        let median = match slopes.len() % 2 {
            0 => (slopes[middle - 1] + slopes[middle]) / 2.0,
            _ => slopes[middle],
        };
        Some(Self {
            low: slopes[low.min(middle)],
            median,
            high: slopes[high.max(middle)],
        })
    }
}
