//! Upkeep of the control store: a trial commit, so that a disk that fails is noticed before an
//! alert needs it; its marker, a checkpoint, and its ballast back when there is room.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{ControlStore, Result};

/// How far the marker may be behind; while nothing can be committed, also between trials.
const PERIOD: Duration = Duration::from_secs(1);
/// The longest time without a commit: a disk that fails is noticed after that.
const TRIAL: Duration = Duration::from_secs(15);
/// Interval of the checks for room for the ballast.
const BALLAST: Duration = Duration::from_secs(10);
/// The longest time for which the log alone has what was committed.
const CHECKPOINT: Duration = Duration::from_secs(60);

impl ControlStore {
    /// Runs until the shutdown.
    pub async fn upkeep(self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut marked, mut in_file) = (self.health.last_commit(), self.health.last_commit());
        let (mut looked, mut checked) = (Instant::now(), Instant::now());
        let mut is_marking = true;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if self.health.fault().is_some() || self.health.since_commit() >= TRIAL {
                // Its error is noted where it occurs.
                let _ = self.try_commit().await;
            }
            let last = self.health.last_commit();
            if last != marked {
                match self.mark() {
                    Ok(()) => (marked, is_marking) = (last, true),
                    Err(error) if is_marking => {
                        is_marking = false;
                        tracing::warn!(%error, "the marker of the control store can't be written, it is tried again");
                    }
                    Err(_) => {}
                }
            }
            if last != in_file && checked.elapsed() >= CHECKPOINT {
                (in_file, checked) = (last, Instant::now());
                self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)").await;
            }
            if looked.elapsed() >= BALLAST {
                looked = Instant::now();
                let health = self.health.clone();
                // Where blocks can't be reserved, the file is written.
                let _ = tokio::task::spawn_blocking(move || health.ballast.restore()).await;
            }
        }
    }

    /// Commits nothing but its number.
    async fn try_commit(&self) -> Result<()> {
        self.begin_write().await?.commit().await
    }
}
