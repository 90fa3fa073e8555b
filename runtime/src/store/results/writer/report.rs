//! The writer's state for readiness and metrics, and the log of rows that are lost.

use std::time::{Duration, Instant};

use super::{Flow, Origin, UnderWay};
use crate::store::results::part::Part;
use crate::store::results::spool::Spool;

/// Between two lines in the log about rows that are lost.
const LOSS_LOGGED_EVERY: Duration = Duration::from_secs(60);

impl Flow {
    pub(super) fn report(&mut self) {
        let held = self.held.as_ref().map_or(0, |held| held.part.kept_rows());
        let under_way = match &self.under_way {
            Some(UnderWay {
                origin: Origin::Queue,
                work,
                ..
            }) => work.parts.iter().map(Part::kept_rows).sum(),
            _ => 0,
        };
        let spool = self.spool.as_ref();
        let oldest_ms = [
            self.held.as_ref().and_then(|held| held.oldest_ms),
            self.under_way
                .as_ref()
                .and_then(|under_way| under_way.oldest_ms),
            spool.and_then(Spool::oldest_ms),
        ];
        self.progress.update(|report| {
            report.held_rows = (held + under_way) as u64;
            report.held_oldest_ms = oldest_ms.into_iter().flatten().min();
            report.spooled_rows = spool.map_or(0, Spool::rows);
            report.spooled_bytes = spool.map_or(0, Spool::bytes);
            report.has_inherited = spool.is_some_and(Spool::has_inherited);
        });
        self.log_losses();
    }

    pub(super) fn log_losses(&mut self) {
        let losses = self.queue.losses();
        if losses == self.losses
            || self
                .losses_logged
                .is_some_and(|at| at.elapsed() < LOSS_LOGGED_EVERY)
        {
            return;
        }
        let (lost, dropped) = (losses.0 - self.losses.0, losses.1 - self.losses.1);
        if lost > 0 {
            tracing::error!(
                lost,
                dropped,
                "results are lost: there is no room for them in memory or on a disk"
            );
        } else {
            tracing::warn!(
                dropped,
                "accounts of plugin runs are dropped while results are not committed"
            );
        }
        self.losses = losses;
        self.losses_logged = Some(Instant::now());
    }
}
