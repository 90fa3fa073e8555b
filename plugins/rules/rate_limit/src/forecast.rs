//! When a limit will be used up, by the line through its last readings.

use extrack_plugin::history::RateLimit;

/// Fewer readings make no line.
const LEAST_READINGS: usize = 4;

/// Readings over a shorter time say nothing of the next hour.
const LEAST_MS: u64 = 60_000;

/// Share of the differences that the line has to explain: use in bursts is no pace.
const LEAST_FIT: f64 = 0.8;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Forecast {
    /// When the line reaches zero, in milliseconds since 1970.
    empty_ms: f64,
    /// Calls in a millisecond.
    pace: f64,
}

impl Forecast {
    /// None without enough readings since the limit last started anew, or if it is not being used
    /// up.
    pub(crate) fn of(readings: &[RateLimit]) -> Option<Self> {
        let points: Vec<(f64, f64)> = since_anew(readings)
            .iter()
            .filter_map(|reading| Some((reading.ts_ms as f64, reading.remaining? as f64)))
            .collect();
        let (first, last) = (points.first()?, points.last()?);
        if points.len() < LEAST_READINGS || last.0 - first.0 < LEAST_MS as f64 {
            return None;
        }
        let count = points.len() as f64;
        // Beside the last moment, so that big numbers do not swallow small differences.
        let (mean_x, mean_y) = points.iter().fold((0.0, 0.0), |(x, y), point| {
            (x + (point.0 - last.0) / count, y + point.1 / count)
        });
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for (x, y) in &points {
            let (dx, dy) = (x - last.0 - mean_x, y - mean_y);
            (xx, xy, yy) = (xx + dx * dx, xy + dx * dy, yy + dy * dy);
        }
        if xx <= 0.0 || yy <= 0.0 || xy * xy / (xx * yy) < LEAST_FIT {
            return None;
        }
        let pace = -xy / xx;
        // From what is left, not from where the line would be: the reading is exact.
        (pace > 0.0).then(|| Self {
            empty_ms: last.0 + last.1 / pace,
            pace,
        })
    }

    pub(crate) fn lasts_ms(&self, now_ms: u64) -> u64 {
        (self.empty_ms - now_ms as f64).max(0.0) as u64
    }

    pub(crate) fn per_minute(&self) -> f64 {
        self.pace * 60_000.0
    }
}

/// Readings after the last time that more was left than before.
fn since_anew(readings: &[RateLimit]) -> &[RateLimit] {
    let start = readings
        .windows(2)
        .rposition(|pair| pair[1].remaining > pair[0].remaining)
        .map_or(0, |index| index + 1);
    &readings[start..]
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::rate_limit;

    use super::*;

    fn forecast(readings: &[(u64, u64)]) -> Option<(u64, f64)> {
        let readings: Vec<_> = readings
            .iter()
            .map(|(second, left)| rate_limit(second * 1_000, *left, 1_000, None))
            .collect();
        let last_ms = readings.last()?.ts_ms;
        Forecast::of(&readings)
            .map(|found| (found.lasts_ms(last_ms) / 1_000, found.per_minute().round()))
    }

    #[test]
    fn a_steady_pace_is_followed_to_its_end() {
        assert_eq!(
            forecast(&[(0, 100), (30, 90), (60, 80), (90, 70)]),
            Some((210, 20.0))
        );
        assert_eq!(
            forecast(&[(0, 5), (30, 2), (60, 100), (90, 90), (120, 80), (150, 70)]),
            Some((210, 20.0))
        );
    }

    #[test]
    fn what_makes_no_line_is_no_forecast() {
        for (name, readings) in [
            ("three readings", vec![(0, 100), (30, 90), (60, 80)]),
            ("all at once", vec![(0, 100), (1, 90), (2, 80), (3, 70)]),
            (
                "nothing is used",
                vec![(0, 90), (30, 90), (60, 90), (90, 90)],
            ),
            (
                "one burst",
                vec![(0, 90), (30, 90), (60, 90), (90, 90), (120, 90), (150, 20)],
            ),
            (
                "anew just now",
                vec![(0, 50), (30, 40), (60, 30), (90, 100)],
            ),
            ("none", vec![]),
        ] {
            assert_eq!(forecast(&readings), None, "{name}");
        }
    }
}
