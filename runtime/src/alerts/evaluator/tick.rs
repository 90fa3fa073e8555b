//! Moments at which rules are evaluated as time passes.

use std::time::Duration;

use crate::domain::UnixMillis;

/// Time between two ticks. Ticks are whole multiples of it since 1970, so that a backtest has the
/// same ones as the live engine.
#[derive(Debug, Clone, Copy)]
pub struct TickPeriod(i64);

impl From<Duration> for TickPeriod {
    fn from(period: Duration) -> Self {
        Self(i64::try_from(period.as_millis()).unwrap_or(i64::MAX).max(1))
    }
}

impl TickPeriod {
    pub fn ms(self) -> i64 {
        self.0
    }

    /// Returns the last tick that is not after a moment.
    pub fn at_or_before(self, at_ms: UnixMillis) -> UnixMillis {
        at_ms - at_ms.rem_euclid(self.0)
    }

    /// Returns the first tick that is not before a moment.
    pub fn at_or_after(self, at_ms: UnixMillis) -> UnixMillis {
        at_ms.saturating_add((self.0 - at_ms.rem_euclid(self.0)) % self.0)
    }

    /// Returns how long after a moment the next tick is; a whole period at a tick.
    pub fn until_next(self, at_ms: UnixMillis) -> Duration {
        Duration::from_millis((self.0 - at_ms.rem_euclid(self.0)).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_whole_multiples_of_the_period() {
        let period = TickPeriod::from(Duration::from_secs(15));
        for (at_ms, before_ms, after_ms, left_ms) in [
            (0, 0, 0, 15_000),
            (1, 0, 15_000, 14_999),
            (15_000, 15_000, 15_000, 15_000),
            (-1, -15_000, 0, 1),
        ] {
            assert_eq!(period.at_or_before(at_ms), before_ms, "{at_ms}");
            assert_eq!(period.at_or_after(at_ms), after_ms, "{at_ms}");
            let left = period.until_next(at_ms);
            assert_eq!(left, Duration::from_millis(left_ms), "{at_ms}");
        }
        let never = TickPeriod::from(Duration::MAX);
        assert_eq!(never.at_or_after(1), i64::MAX);
        assert_eq!(TickPeriod::from(Duration::ZERO).at_or_after(7), 7);
    }
}
