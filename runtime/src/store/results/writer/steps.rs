//! When tiers of history take a step: between two batches, with pauses, and never while a commit
//! fails.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Flow, Origin, UnderWay};
use crate::domain::{Tier, now_ms};
use crate::store::results::committer::Outcome;
use crate::store::results::part::Work;
use crate::store::results::table_retention::Keep;
use crate::store::results::tiers::{Marks, TierSettings};

/// A step is followed by a pause of so many times its length, so that a long history takes a third
/// of one thread while it is counted.
const PAUSES: u32 = 2;
/// A step that is due for so long comes before rows that wait.
const OVERDUE: Duration = Duration::from_secs(1);
/// After a step that failed.
const RETRY: Duration = Duration::from_secs(60);
/// Further behind than this, the way through the history is logged.
const FAR_BEHIND_MS: i64 = 86_400_000;
const LOGGED_EVERY: Duration = Duration::from_secs(60);

/// State of the tiers, as far as the writer needs it.
pub(super) struct Steps {
    settings: TierSettings,
    retention: Arc<Mutex<Keep>>,
    due_at: Instant,
    is_failing: bool,
    /// The last line in the log about a long way through the history.
    logged_at: Option<Instant>,
}

impl Steps {
    pub(super) fn new(settings: TierSettings, retention: Arc<Mutex<Keep>>) -> Self {
        Self {
            settings,
            retention,
            due_at: Instant::now() + settings.interval,
            is_failing: false,
            logged_at: None,
        }
    }

    pub(super) fn due_at(&self) -> Instant {
        self.due_at
    }
}

impl Flow {
    /// Whether a step is not in the way of anything that has to be saved.
    pub(super) fn may_step(&self) -> bool {
        self.under_way.is_none()
            && self.held.is_none()
            && self.retry_at.is_none()
            && !self.queue.demand().is_closed
    }

    /// Rows that wait go first, but not for ever.
    pub(super) fn is_step_wanted(&self, is_behind: bool) -> bool {
        let since = Instant::now().checked_duration_since(self.steps.due_at);
        let has_rows = is_behind || self.is_wanted();
        since.is_some_and(|since| !has_rows || since >= OVERDUE) && self.may_step()
    }

    pub(super) fn step(&mut self) {
        let keep = *self
            .steps
            .retention
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let outcome = self.committer.step(keep);
        self.under_way = Some(UnderWay {
            work: Arc::new(Work::default()),
            outcome,
            origin: Origin::Tiers,
            since: Instant::now(),
            oldest_ms: None,
            done: Vec::new(),
            copied: Vec::new(),
        });
    }

    pub(super) fn stepped(&mut self, under_way: &UnderWay, outcome: Outcome) {
        let now = Instant::now();
        let length = under_way.since.elapsed();
        // Of a step that took too long: the next commit shows whether the disk is well.
        self.progress.update(|report| report.stalled.take());
        match outcome {
            Ok(stepped) => {
                let has_worked = stepped.is_some_and(|stepped| stepped.has_worked);
                self.steps.is_failing = false;
                let pause = if has_worked {
                    length * PAUSES
                } else {
                    self.steps.settings.interval
                };
                self.steps.due_at = now + pause;
                if let Some(stepped) = stepped {
                    self.report_tiers(&stepped.marks, has_worked);
                }
            }
            Err(error) => {
                metrics::counter!("extrack_tier_failures_total").increment(1);
                self.steps.due_at = now + RETRY;
                if !std::mem::replace(&mut self.steps.is_failing, true) {
                    tracing::warn!(
                        error,
                        "the history could not be counted; it is tried again every minute, and readers count the runs meanwhile"
                    );
                }
            }
        }
    }

    fn report_tiers(&mut self, marks: &Marks, has_worked: bool) {
        let counted = Tier::ALL.map(|tier| marks.clean_until_ms(tier));
        self.progress
            .update(|report| report.counted_until_ms = Some(counted));
        let now_ms = now_ms();
        let behind_ms = |tier| now_ms.saturating_sub(marks.clean_until_ms(tier)).max(0);
        for tier in Tier::ALL {
            metrics::gauge!("extrack_tier_lag_seconds", "tier" => tier.as_str())
                .set(behind_ms(tier) as f64 / 1_000.0);
        }
        let finest = Tier::FiveMinutes;
        if has_worked && behind_ms(finest) > FAR_BEHIND_MS {
            let is_due = self
                .steps
                .logged_at
                .is_none_or(|at| at.elapsed() >= LOGGED_EVERY);
            if is_due {
                self.steps.logged_at = Some(Instant::now());
                tracing::info!(
                    days_left = behind_ms(finest) / FAR_BEHIND_MS,
                    "the history is counted in the background"
                );
            }
        } else if self.steps.logged_at.take().is_some() {
            tracing::info!("the history is counted up to today");
        }
    }
}
