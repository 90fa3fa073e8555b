//! Compares rows with totals minute by minute, and notes how the program ended before.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::calls::Calls;
use crate::domain::now_ms;
use crate::store::ResultStore;

const LOOK_EVERY: Duration = Duration::from_secs(60);
const MINUTE_MS: i64 = 60_000;
/// Minutes that are compared each time: reports come late.
const COMPARED_MS: i64 = 60 * MINUTE_MS;
/// Minutes that are over for so long, so that what belongs to them is stored.
const OVER_MS: i64 = 2 * MINUTE_MS;

/// Watches that no call is lost unseen.
pub struct UsageWatch {
    calls: Calls,
    results: ResultStore,
    /// There while the program runs.
    marker: Option<PathBuf>,
}

impl UsageWatch {
    pub(super) fn new(calls: Calls, results: ResultStore) -> Self {
        Self {
            calls,
            results,
            marker: None,
        }
    }

    /// Keeps a file while the program runs, by which the next start sees that this one was cut off.
    pub fn with_marker(mut self, path: PathBuf) -> Self {
        self.marker = Some(path);
        self
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> super::status::UsageStatus {
        self.calls.status()
    }

    pub async fn run(self, stop: CancellationToken) {
        self.note_cut_off().await;
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => self.compare().await,
            }
        }
        if let Some(marker) = &self.marker
            && let Err(error) = std::fs::remove_file(marker)
        {
            tracing::warn!(%error, file = %marker.display(), "can't be removed: the next start will report that this one was cut off");
        }
    }

    /// Notes that the program before was cut off, if it was, and that this one is not over.
    pub(super) async fn note_cut_off(&self) {
        let Some(marker) = &self.marker else { return };
        if marker.exists() {
            match self.results.call_batch_last().await {
                Ok(Some(last)) => self.calls.counters().set_unknown_until(last / 1_000),
                // No calls were ever counted.
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "the last calls that were counted can't be read")
                }
            }
        } else if let Err(error) = std::fs::write(marker, b"") {
            tracing::warn!(%error, file = %marker.display(), "can't be written: a next start will not see that this one was cut off");
        }
    }

    async fn compare(&self) {
        // What waits in the spool is in neither of them.
        if !self.results.is_settled() {
            return;
        }
        let until_ms = (now_ms() - OVER_MS).div_euclid(MINUTE_MS) * MINUTE_MS;
        let compared = self
            .results
            .usage_differences((until_ms - COMPARED_MS, until_ms))
            .await;
        let differences = match compared {
            Ok(differences) => differences,
            Err(error) => {
                tracing::warn!(%error, "rows and totals of calls can't be compared");
                return;
            }
        };
        for difference in &differences {
            let minute =
                jiff::Timestamp::from_millisecond(difference.minute_ms).unwrap_or_default();
            tracing::error!(
                %minute,
                counted = difference.counted,
                listed = difference.listed,
                "rows and totals of calls differ"
            );
        }
        let sum = differences
            .iter()
            .map(|difference| difference.counted.abs_diff(difference.listed));
        self.calls.counters().set_difference(sum.sum());
    }
}
