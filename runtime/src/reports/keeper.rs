//! Keeps the schedules: what is due becomes a row, and each row that is not finished is made. After
//! a time without the program, only the newest moment that was missed is made up, once.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::handle::{ReportEntry, Reports, period_of};
use crate::domain::{ReportDefinition, ReportPeriod, UnixMillis, error_chain, now_ms};
use crate::store::ControlError;
use crate::store::control::{ReportRun, ReportRunDraft};

/// Longest time between two looks: the clock may be set.
const PATROL: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(5);
/// Pauses after the first attempt at a run, and after each later one.
const FIRST_PAUSE_MS: i64 = 10_000;
const LONGEST_PAUSE_MS: i64 = 5 * 60_000;

impl Reports {
    /// Runs until the shutdown. A report that is cut off is made again at the next start.
    pub async fn keep(self, stop: CancellationToken) {
        loop {
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = self.look() => looked,
            };
            let wait = match looked {
                Ok(wait) => wait,
                Err(error) => {
                    let error = error_chain(&error);
                    tracing::error!(
                        error,
                        "the schedules of reports could not be read or written; retrying"
                    );
                    PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.inner.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Makes what is due. Returns how long nothing else is.
    async fn look(&self) -> Result<Duration, ControlError> {
        let entries = self.list().await?;
        let scheduled = entries
            .iter()
            .filter(|entry| entry.definition.schedule.is_some());
        let names: Vec<&str> = scheduled
            .map(|entry| entry.definition.name.as_str())
            .collect();
        self.inner
            .sources
            .control
            .report_schedule_retain(&names)
            .await?;
        for entry in &entries {
            self.schedule(&entry.definition, now_ms()).await?;
        }
        let again_ms = self.make_unfinished(&entries).await?;
        let now_ms = now_ms();
        let next = entries.iter().filter_map(|entry| entry.next_ms);
        let next = next.chain(again_ms).min();
        let wait = next.map(|next_ms| next_ms.saturating_sub(now_ms).max(0).unsigned_abs());
        Ok(wait.map_or(PATROL, |wait| Duration::from_millis(wait).min(PATROL)))
    }

    /// Writes down a run that is due.
    pub(super) async fn schedule(
        &self,
        definition: &ReportDefinition,
        now_ms: UnixMillis,
    ) -> Result<(), ControlError> {
        let Some(schedule) = &definition.schedule else {
            return Ok(());
        };
        let (name, control) = (definition.name.as_str(), &self.inner.sources.control);
        let since_ms = control
            .report_schedule_since(name, &schedule.text, now_ms)
            .await?;
        let Some(due_ms) = schedule.due(since_ms, now_ms) else {
            return Ok(());
        };
        let Ok(period) = period_of(definition, due_ms) else {
            return Ok(());
        };
        let draft = ReportRunDraft {
            report: name.to_owned(),
            run_key: run_key(name, period, due_ms),
            period: period.key(),
            is_scheduled: true,
            due_ms,
        };
        match control.report_run_begin(&draft, now_ms).await {
            // Later, if it is still the newest one then.
            Err(ControlError::Full { .. }) => Ok(()),
            // None: it was made before.
            other => other.map(drop),
        }
    }

    /// Makes what waits. One that fails holds up no other. Returns when the next one may be made.
    async fn make_unfinished(
        &self,
        entries: &[ReportEntry],
    ) -> Result<Option<UnixMillis>, ControlError> {
        let control = &self.inner.sources.control;
        let mut next_ms = None;
        for run in control.report_run_unfinished().await? {
            if !is_due(&run, now_ms()) {
                next_ms = next_ms.into_iter().chain([run.next_attempt_ms]).min();
                continue;
            }
            let entry = entries
                .iter()
                .find(|entry| entry.definition.name == run.report);
            let made = match entry {
                Some(entry) => self.make(&run, entry).await,
                None => self.fail(&run, "the report was removed").await,
            };
            if let Err(error) = made {
                let (report, error) = (run.report.as_str(), error_chain(&error));
                tracing::error!(
                    report,
                    run = run.id,
                    error,
                    "a report could not be stored; retrying"
                );
                let again_ms = now_ms() + pause_ms(run.attempts);
                next_ms = next_ms.into_iter().chain([again_ms]).min();
            }
        }
        Ok(next_ms)
    }
}

/// A moment of a schedule is made once: several of them may be about the same period.
fn run_key(name: &str, period: ReportPeriod, due_ms: UnixMillis) -> String {
    format!("{name}/{}/{due_ms}", period.key())
}

/// Returns the pause after another attempt at a run.
pub(super) fn pause_ms(attempts: i64) -> i64 {
    if attempts == 0 {
        FIRST_PAUSE_MS
    } else {
        LONGEST_PAUSE_MS
    }
}

/// A pause longer than any is one of before the clock was set back.
fn is_due(run: &ReportRun, now_ms: UnixMillis) -> bool {
    let left_ms = run.next_attempt_ms.saturating_sub(now_ms);
    left_ms <= 0 || left_ms > LONGEST_PAUSE_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ReportSpan;
    use crate::reports::make::tests::run;

    #[test]
    fn moments_of_one_period_are_runs_of_their_own() {
        let zone = chrono_tz::Tz::UTC;
        let key = |due_ms| {
            let period = ReportPeriod::before(due_ms, ReportSpan::Week, zone).unwrap();
            run_key("weekly", period, due_ms)
        };
        // A Monday and the day after it, at eight.
        let monday_ms = 1_795_420_800_000;
        let tuesday_ms = monday_ms + 86_400_000;
        assert_ne!(key(monday_ms), key(tuesday_ms));
        assert_eq!(key(monday_ms), key(monday_ms));
    }

    #[test]
    fn a_run_waits_longer_after_each_attempt_and_not_because_a_clock_was_set() {
        assert!(pause_ms(0) < pause_ms(1));
        let run = ReportRun {
            next_attempt_ms: 1_000_000,
            ..run()
        };
        for (now_ms, wanted) in [
            (999_999, false),
            (1_000_000, true),
            (1_000_000 - LONGEST_PAUSE_MS, false),
            (999_999 - LONGEST_PAUSE_MS, true),
        ] {
            assert_eq!(is_due(&run, now_ms), wanted, "{now_ms}");
        }
    }
}
