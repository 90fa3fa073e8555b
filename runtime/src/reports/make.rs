//! What becomes of a run: its report is made, kept, and queued for its channels.

use super::handle::{ReportEntry, Reports};
use super::keeper::pause_ms;
use super::output::made;
use crate::domain::{ReportPeriod, ReportRunState, UnixMillis, now_ms};
use crate::store::ControlError;
use crate::store::control::ReportRun;

/// A run that is sent later than this after it was due is late: the program was down.
const LATE_MS: i64 = 10 * 60_000;
/// A run that was begun so often makes the program end, or can't be kept.
const MOST_ATTEMPTS: i64 = 3;

impl Reports {
    /// Makes a run that has its row, and queues it. An error of the store leaves it to be made again.
    pub(super) async fn make(
        &self,
        run: &ReportRun,
        entry: &ReportEntry,
    ) -> Result<(), ControlError> {
        let control = &self.inner.sources.control;
        let definition = &entry.definition;
        let Some(period) = ReportPeriod::from_key(&run.period, definition.zone) else {
            let error = format!(
                "`{}` is not a period; wanted two dates as `2026-11-16/2026-11-23`",
                run.period
            );
            return self.fail(run, &error).await;
        };
        if run.attempts >= MOST_ATTEMPTS {
            let error = format!(
                "it was begun {MOST_ATTEMPTS} times and not finished; the log has the reason"
            );
            return self.fail(run, &error).await;
        }
        let next_ms = now_ms() + pause_ms(run.attempts);
        control.report_run_rendering(run.id, next_ms).await?;
        let report = self.inner.sources.report(definition, period).await;
        let formats = definition.formats.clone();
        let made = tokio::task::spawn_blocking(move || made(report, &formats)).await;
        let Ok(mut result) = made else {
            let error = "the writer crashed; the log has the reason";
            return self.fail(run, error).await;
        };
        let (channels, missing) = self.channels(definition);
        let now_ms = now_ms();
        result.error = result.error.or(missing);
        result.state = state_of(run, result.error.is_some(), now_ms);
        match control
            .report_run_finish(run, &result, &channels, now_ms)
            .await
        {
            // Another look at the same row was faster.
            Err(ControlError::Conflict { .. }) => return Ok(()),
            other => other?,
        }
        count(result.state);
        let (report, id, state) = (run.report.as_str(), run.id, result.state.as_str());
        tracing::info!(
            report,
            run = id,
            state,
            channels = channels.len(),
            "report made"
        );
        self.inner.signals.wake_delivery();
        Ok(())
    }

    /// Keeps why nothing comes of a run, and says so in the log.
    pub(super) async fn fail(&self, run: &ReportRun, error: &str) -> Result<(), ControlError> {
        let control = &self.inner.sources.control;
        control.report_run_fail(run.id, error, now_ms()).await?;
        count(ReportRunState::Failed);
        let report = run.report.as_str();
        tracing::error!(report, run = run.id, error, "a report failed");
        Ok(())
    }
}

fn count(state: ReportRunState) {
    metrics::counter!("extrack_report_runs_total", "state" => state.as_str()).increment(1);
}

fn state_of(run: &ReportRun, is_incomplete: bool, now_ms: UnixMillis) -> ReportRunState {
    if is_incomplete {
        ReportRunState::Incomplete
    } else if run.is_scheduled && now_ms - run.due_ms > LATE_MS {
        ReportRunState::Late
    } else {
        ReportRunState::Sent
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::reports) fn run() -> ReportRun {
        ReportRun {
            id: 1,
            report: "weekly".to_owned(),
            period: "2026-11-16/2026-11-23".to_owned(),
            is_scheduled: true,
            due_ms: 0,
            created_ms: 0,
            finished_ms: None,
            state: ReportRunState::Rendering,
            attempts: 0,
            next_attempt_ms: 0,
            error: None,
            title: String::new(),
        }
    }

    #[test]
    fn a_run_is_late_when_the_program_was_down_and_incomplete_before_that() {
        let run = run();
        assert_eq!(state_of(&run, false, LATE_MS), ReportRunState::Sent);
        assert_eq!(state_of(&run, false, LATE_MS + 1), ReportRunState::Late);
        assert_eq!(
            state_of(&run, true, LATE_MS + 1),
            ReportRunState::Incomplete
        );
        let by_hand = ReportRun {
            is_scheduled: false,
            ..run
        };
        assert_eq!(state_of(&by_hand, false, i64::MAX), ReportRunState::Sent);
        let period = ReportPeriod::from_key(&by_hand.period, chrono_tz::Tz::UTC).unwrap();
        assert_eq!(period.key(), by_hand.period);
    }
}
