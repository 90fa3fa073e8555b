//! Keeps the control store small: removes what is over and older than it is to be kept, in small
//! steps with pauses between them, so that the commit of an alert never waits for more than one
//! step.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::ports::{EventSink, PortResult};
use crate::domain::UnixMillis;
use crate::store::control::Retained;
use crate::store::{ControlStore, ResultStore};

/// Rows a step looks at: some milliseconds for the store's only writer.
const STEP_ROWS: u32 = 200;

/// Pause between two steps: the writer is free for most of the time.
const PAUSE: Duration = Duration::from_millis(100);

/// Time until the first round, so that it is not in the way of a start.
const START: Duration = Duration::from_secs(60);

/// Interval of the rounds.
const PERIOD: Duration = Duration::from_secs(3_600);

/// Deadline for the last copied event of the results. Alerts stay until the next round without it.
const RESULTS_DEADLINE: Duration = Duration::from_secs(10);

/// Signs of life are kept this long: the other side keeps its own account of them.
const SIGNS_OF_LIFE: Duration = Duration::from_secs(86_400);

/// Deliveries of webhooks are kept this long, to be played again.
const DELIVERIES: Duration = Duration::from_secs(30 * 86_400);

/// Runs of reports are kept this long, also those of reports that are gone; a report has at most 60.
const REPORT_RUNS: Duration = Duration::from_secs(400 * 86_400);

/// Deliveries have bodies of up to 1 MiB, runs of reports files.
const STEP_DELIVERIES: u32 = 16;

const DAY: Duration = Duration::from_secs(86_400);

/// How long what is over is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionSettings {
    /// Resolved alerts with their events, and incidents, from their end on.
    pub alerts: Duration,
    /// Messages with their attempts, from when they were made.
    pub messages: Duration,
    pub audit: Duration,
    /// Silences and one-off maintenance windows, from their end on.
    pub silences: Duration,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self {
            alerts: 180 * DAY,
            messages: 90 * DAY,
            audit: 400 * DAY,
            silences: 180 * DAY,
        }
    }
}

pub struct Retention<S = ResultStore> {
    store: ControlStore,
    results: S,
    clock: Arc<dyn Clock>,
    settings: RetentionSettings,
}

impl<S: EventSink> Retention<S> {
    pub fn new(
        store: ControlStore,
        results: S,
        clock: Arc<dyn Clock>,
        settings: RetentionSettings,
    ) -> Self {
        Self {
            store,
            results,
            clock,
            settings,
        }
    }

    /// Runs until the shutdown. A round that fails is made up for by the next one.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut wait = START;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = PERIOD;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                round = self.round() => if let Err(error) = round {
                    tracing::warn!(%error, "what is over can't be removed from the control store, the next round does it");
                }
            }
        }
    }

    /// Messages go first: an alert stays while there is a message about it.
    async fn round(&self) -> PortResult<()> {
        let RetentionSettings {
            alerts,
            messages,
            audit,
            silences,
        } = self.settings;
        self.remove(Retained::SignsOfLife, SIGNS_OF_LIFE).await?;
        self.remove(Retained::Notifications, messages).await?;
        match tokio::time::timeout(RESULTS_DEADLINE, self.results.alert_event_last()).await {
            Ok(Ok(last)) => {
                let copied_event = last.map_or(0, |(id, _)| id);
                self.remove(Retained::Alerts { copied_event }, alerts)
                    .await?;
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the results can't be read, old alerts stay for now")
            }
            Err(_) => tracing::warn!("the results give no answer, old alerts stay for now"),
        }
        match tokio::time::timeout(RESULTS_DEADLINE, self.results.incident_change_last()).await {
            Ok(Ok(last)) => {
                let copied_change = last.map_or(0, |(id, _)| id);
                self.remove(Retained::Incidents { copied_change }, alerts)
                    .await?;
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the results can't be read, old incidents stay for now")
            }
            Err(_) => tracing::warn!("the results give no answer, old incidents stay for now"),
        }
        self.remove(Retained::Audit, audit).await?;
        self.remove(Retained::Silences, silences).await?;
        self.remove(Retained::Windows, silences).await?;
        self.remove(Retained::Deliveries, DELIVERIES).await?;
        self.remove(Retained::ReportRuns, REPORT_RUNS).await
    }

    async fn remove(&self, what: Retained, kept: Duration) -> PortResult<()> {
        let kept_ms = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
        let before_ms = self.clock.now_ms().saturating_sub(kept_ms);
        let rows = match what {
            Retained::Deliveries | Retained::ReportRuns => STEP_DELIVERIES,
            _ => STEP_ROWS,
        };
        let (mut after, mut removed) = ((UnixMillis::MIN, 0), 0);
        loop {
            let step = self
                .store
                .retention_step(what, before_ms, after, rows)
                .await?;
            removed += step.removed;
            metrics::counter!("extrack_retention_rows_removed_total", "of" => word(what))
                .increment(step.removed);
            let Some(next) = step.next else { break };
            after = next;
            tokio::time::sleep(PAUSE).await;
        }
        if removed > 0 {
            let of = word(what);
            tracing::info!(
                of,
                rows = removed,
                "old rows were removed from the control store"
            );
        }
        Ok(())
    }
}

fn word(what: Retained) -> &'static str {
    match what {
        Retained::SignsOfLife => "signs_of_life",
        Retained::Notifications => "messages",
        Retained::Alerts { .. } => "alerts",
        Retained::Audit => "audit_log",
        Retained::Silences => "silences",
        Retained::Windows => "maintenance_windows",
        Retained::Incidents { .. } => "incidents",
        Retained::Deliveries => "webhook_deliveries",
        Retained::ReportRuns => "report_runs",
    }
}

#[cfg(test)]
mod tests;
