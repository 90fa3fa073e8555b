//! What is known of losses, for readiness and metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::domain::UnixMillis;

/// Losses since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageStatus {
    /// Calls in the totals that have no row.
    pub unlisted: u64,
    /// Difference of totals and rows over the last hour: a fault of the store or of ours.
    pub difference: u64,
    /// The program before ended without stopping in order; calls of the gateway in the last second before
    /// this moment may not be counted.
    pub unknown_until_ms: Option<UnixMillis>,
}

impl UsageStatus {
    /// Returns the texts for people, one line each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.unlisted > 0 {
            warnings.push(format!(
                "{} calls since the start are counted, but have no row of their own: there was no room for them",
                self.unlisted
            ));
        }
        if self.difference > 0 {
            warnings.push(format!(
                "rows and totals of the calls of the last hour differ by {}; the log names the minutes",
                self.difference
            ));
        }
        if let Some(until_ms) = self.unknown_until_ms {
            let moment = jiff::Timestamp::from_millisecond(until_ms).unwrap_or_default();
            warnings.push(format!(
                "the program did not stop in order before this start: calls of the gateway after the last ones that were \
                 counted, at about {moment:.0}, are unknown; that is one second of calls at most"
            ));
        }
        warnings
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    unlisted: AtomicU64,
    difference: AtomicU64,
    unknown_until_ms: Mutex<Option<UnixMillis>>,
}

impl Counters {
    pub(super) fn count_unlisted(&self) {
        self.unlisted.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("extrack_calls_unlisted_total").increment(1);
    }

    pub(super) fn set_difference(&self, difference: u64) {
        self.difference.store(difference, Ordering::Relaxed);
        metrics::gauge!("extrack_calls_difference").set(difference as f64);
    }

    pub(super) fn set_unknown_until(&self, until_ms: UnixMillis) {
        let mut known = self
            .unknown_until_ms
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Some(until_ms);
    }

    pub(super) fn status(&self) -> UsageStatus {
        UsageStatus {
            unlisted: self.unlisted.load(Ordering::Relaxed),
            difference: self.difference.load(Ordering::Relaxed),
            unknown_until_ms: *self
                .unknown_until_ms
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        }
    }
}
