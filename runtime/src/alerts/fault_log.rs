//! How often a fault that many lanes meet at once, again and again, is logged.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Interval of two lines.
const PERIOD: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct FaultLog(Mutex<Option<Logged>>);

#[derive(Debug)]
struct Logged {
    at: Instant,
    /// Faults since then, which were not logged.
    since: u64,
}

impl FaultLog {
    /// Counts one fault. Returns how many were not logged since the last line if this one is to be
    /// logged.
    pub(super) fn count(&self) -> Option<u64> {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match logged.as_mut().filter(|logged| now - logged.at < PERIOD) {
            Some(logged) => {
                logged.since += 1;
                None
            }
            None => {
                let before = logged.replace(Logged { at: now, since: 0 });
                Some(before.map_or(0, |before| before.since))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_fault_is_logged_and_then_one_a_minute_with_the_count_of_the_others() {
        let log = FaultLog::default();
        assert_eq!(log.count(), Some(0));
        assert!((0..280).all(|_| log.count().is_none()));
        tokio::time::advance(PERIOD).await;
        assert_eq!(log.count(), Some(280));
        assert_eq!(log.count(), None);
    }
}
