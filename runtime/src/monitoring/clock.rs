//! Maps moments of the monotonic clock, by which probes are due, to the wall clock, which stamps
//! observations; finds out when the wall clock jumps.

use tokio::time::Instant;

use crate::domain::{UnixMillis, now_ms};

/// Clocks that differ by less are the same clock, read at two moments.
const DRIFT_MS: i64 = 50;

/// A smaller step is corrected without a word: nothing waits for as long.
const JUMP_MS: i64 = 2_000;

/// Reads of both clocks before the last pair is taken as it is.
const READS: usize = 5;

/// One moment on both clocks. It stays until they part, so that stamps are as far from each other
/// as the moments.
#[derive(Debug, Clone, Copy)]
pub(super) struct WallClock {
    at: Instant,
    wall_ms: UnixMillis,
}

impl WallClock {
    pub(super) fn read() -> Self {
        let mut before = Instant::now();
        for _ in 0..READS {
            let wall_ms = now_ms();
            let after = Instant::now();
            if after.duration_since(before).as_millis() < 2 {
                return Self { at: after, wall_ms };
            }
            before = after;
        }
        Self {
            at: Instant::now(),
            wall_ms: now_ms(),
        }
    }

    #[cfg(test)]
    pub(super) fn at(at: Instant, wall_ms: UnixMillis) -> Self {
        Self { at, wall_ms }
    }

    /// The wall clock's time at a moment.
    pub(super) fn stamp(&self, at: Instant) -> UnixMillis {
        match at.checked_duration_since(self.at) {
            Some(later) => self.wall_ms + later.as_millis() as i64,
            None => self.wall_ms - self.at.duration_since(at).as_millis() as i64,
        }
    }

    /// Follows the clocks. Returns by how many milliseconds the wall clock jumped, if it did;
    /// negative: it was set back.
    pub(super) fn follow(&mut self, now: WallClock) -> Option<i64> {
        let apart_ms = now.wall_ms - self.stamp(now.at);
        if apart_ms.abs() >= DRIFT_MS {
            *self = now;
        }
        (apart_ms.abs() >= JUMP_MS).then_some(apart_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_jump_is_noticed_once_and_stamps_follow_it() {
        let start = Instant::now();
        let after = |s: u64| start + Duration::from_secs(s);
        let at = |s: u64, wall_ms| WallClock {
            at: after(s),
            wall_ms,
        };
        let mut clock = at(0, 1_000_000);
        assert_eq!(
            (clock.stamp(after(5)), clock.stamp(after(0))),
            (1_005_000, 1_000_000)
        );
        for (what, now, jump_ms, stamp_ms) in [
            ("none", at(10, 1_010_003), None, 1_011_000),
            ("a correction", at(20, 1_021_000), None, 1_022_000),
            ("back", at(30, 991_000), Some(-40_000), 992_000),
            ("known by now", at(31, 992_000), None, 993_000),
            (
                "a day ahead",
                at(32, 87_393_000),
                Some(86_400_000),
                87_394_000,
            ),
        ] {
            assert_eq!(
                (
                    clock.follow(now),
                    clock.stamp(now.at + Duration::from_secs(1))
                ),
                (jump_ms, stamp_ms),
                "{what}"
            );
        }
    }
}
