//! The last readings of each rate limit of a service, bounded, and far enough apart to see where
//! they are heading.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::{LimitKey, Observation, RateLimit, RateLimitReading, UnixMillis};

/// Limits of one service; the one without a reading for longest makes room.
const LIMITS: usize = 32;

/// Readings of one limit: half an hour at least.
const READINGS: usize = 64;

/// Readings that are kept lie at least this far apart; only the last one may be nearer.
const APART_MS: i64 = 30_000;

/// Time after which a reading is of no use.
const KEPT_MS: i64 = 86_400_000;

#[derive(Debug, Clone, Default)]
pub(super) struct RateLimits {
    limits: BTreeMap<LimitKey, VecDeque<RateLimitReading>>,
}

impl RateLimits {
    pub(super) fn push(&mut self, observation: &Observation, now_ms: UnixMillis) {
        if observation.rate_limits.is_empty() {
            return;
        }
        let probe: Arc<str> = observation.probe.as_str().into();
        for limit in &observation.rate_limits {
            self.push_reading(RateLimitReading {
                probe: Arc::clone(&probe),
                limit: limit.clone(),
            });
        }
        let oldest_ms = now_ms.saturating_sub(KEPT_MS);
        self.limits.retain(|_, readings| {
            readings
                .back()
                .is_some_and(|last| last.limit.ts_ms >= oldest_ms)
        });
    }

    pub(super) fn push_reading(&mut self, reading: RateLimitReading) {
        self.make_room(&reading.limit);
        let readings = self.limits.entry(reading.limit.key()).or_default();
        let last_two = readings
            .len()
            .checked_sub(2)
            .map(|index| (readings[index].limit.ts_ms, index + 1));
        match last_two {
            Some((before_ms, last)) if readings[last].limit.ts_ms - before_ms < APART_MS => {
                readings[last] = reading;
            }
            _ => readings.push_back(reading),
        }
        if readings.len() > READINGS {
            readings.pop_front();
        }
    }

    /// Puts readings behind these.
    pub(super) fn append(&mut self, later: &RateLimits) {
        for more in later.limits.values() {
            let Some(last) = more.back() else { continue };
            self.make_room(&last.limit);
            let readings = self.limits.entry(last.limit.key()).or_default();
            readings.extend(more.iter().cloned());
            while readings.len() > READINGS {
                readings.pop_front();
            }
        }
    }

    fn make_room(&mut self, limit: &RateLimit) {
        if self.limits.len() < LIMITS || self.limits.contains_key(&limit.key()) {
            return;
        }
        let last_ms = |readings: &VecDeque<RateLimitReading>| {
            readings.back().map_or(0, |last| last.limit.ts_ms)
        };
        let quiet = self
            .limits
            .iter()
            .min_by_key(|(_, readings)| last_ms(readings))
            .map(|(key, _)| key.clone());
        if let Some(quiet) = quiet {
            self.limits.remove(&quiet);
        }
    }

    /// Each limit's, oldest first.
    pub(super) fn readings(&self) -> impl Iterator<Item = &RateLimitReading> {
        self.limits.values().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::fakes::observation;
    use crate::domain::Status;

    fn said(name: &str, second: i64, remaining: u64) -> Observation {
        let limit = RateLimit {
            ts_ms: second * 1_000,
            host: "api.example.com".to_owned(),
            name: name.to_owned(),
            quota: Some(100),
            remaining: Some(remaining),
            reset_ms: None,
            window_ms: None,
            ..RateLimit::default()
        };
        Observation {
            rate_limits: vec![limit],
            ..observation("shop-api", second * 1_000, Status::Healthy)
        }
    }

    #[test]
    fn readings_are_thinned_but_the_last_one_is_always_there() {
        let mut limits = RateLimits::default();
        for second in (0..=100).step_by(10) {
            limits.push(&said("core", second, 100 - second as u64), second * 1_000);
        }
        let seconds: Vec<i64> = limits
            .readings()
            .map(|reading| reading.limit.ts_ms / 1_000)
            .collect();
        assert_eq!(seconds, [0, 30, 60, 90, 100]);
        for second in (100..10_000).step_by(10) {
            limits.push(&said("core", second, 1), second * 1_000);
        }
        assert_eq!(limits.readings().count(), READINGS);
        assert_eq!(limits.readings().last().unwrap().limit.ts_ms, 9_990_000);
    }

    #[test]
    fn limits_are_bounded_and_forgotten() {
        let mut limits = RateLimits::default();
        for n in 0..100 {
            limits.push(&said(&format!("limit-{n:03}"), n, 1), n * 1_000);
        }
        assert_eq!(limits.limits.len(), LIMITS);
        assert!(limits.limits.keys().any(|key| key.name == "limit-099"));
        limits.push(&said("core", 100_000, 1), 100_000_000);
        assert_eq!(limits.limits.len(), 1);
    }
}
