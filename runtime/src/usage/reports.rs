//! Calls that were reported: those of many reports at once are compared with what is known, stored
//! in one batch, and answered when that is durable. Nothing is taken for known before it is stored.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::calls::Calls;
use super::known_calls::{KnownCalls, Unknown};
use super::report::{Report, ReportError, Reported};
use crate::domain::{Call, CallBatch, UnixMillis, UsageTotals};
use crate::store::ResultStore;
use crate::store::results::call_key;

/// Calls of several reports that are stored together.
const GROUP_CALLS: usize = 5_000;
/// Time that the last report has when the program stops.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// Moment and key of a call.
type Key = (UnixMillis, u64);

/// Stores the calls that are reported.
pub struct CallReports {
    calls: Calls,
    reports: mpsc::Receiver<Report>,
    results: ResultStore,
    known: KnownCalls,
    /// A batch of which it is not known whether it is stored, with its keys. It goes before all others.
    doubtful: Option<(Arc<CallBatch>, Vec<Key>)>,
}

impl CallReports {
    pub(super) fn new(calls: Calls, reports: mpsc::Receiver<Report>, results: ResultStore) -> Self {
        Self {
            calls,
            reports,
            results,
            known: KnownCalls::default(),
            doubtful: None,
        }
    }

    /// Runs until the stop; a report that is under way is answered.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let report = tokio::select! {
                () = stop.cancelled() => break,
                report = self.reports.recv() => report,
            };
            let Some(report) = report else { break };
            self.take(report).await;
        }
        self.reports.close();
        let rest = async {
            while let Some(report) = self.reports.recv().await {
                self.take(report).await;
            }
            if self.doubtful.is_some() {
                let _ = self.settle_doubt().await;
            }
        };
        if tokio::time::timeout(CLOSE_WITHIN, rest).await.is_err() {
            tracing::warn!(
                "reports of calls were not stored before the stop; their senders got no answer"
            );
        }
    }

    async fn take(&mut self, first: Report) {
        let mut count = first.calls.len();
        let mut group = vec![first];
        while count < GROUP_CALLS
            && let Ok(report) = self.reports.try_recv()
        {
            count += report.calls.len();
            group.push(report);
        }
        let (reports, answers): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|report| (report.calls, report.answer))
            .unzip();
        let outcome = self.store(reports).await;
        match outcome {
            Ok(reported) => {
                for (answer, reported) in answers.into_iter().zip(reported) {
                    // The sender may have gone; it gets the same answer when it comes again.
                    let _ = answer.send(Ok(reported));
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Stores what is new, and returns what became of each report.
    async fn store(&mut self, reports: Vec<Vec<Call>>) -> Result<Vec<Reported>, ReportError> {
        self.settle_doubt().await?;
        let keys: Vec<Key> = reports.iter().flatten().map(key).collect();
        let mut known = self
            .known
            .among(&self.results, &keys)
            .await
            .map_err(not_known)?;
        let (mut fresh, mut fresh_keys) = (Vec::new(), Vec::new());
        let mut outcome = Vec::with_capacity(reports.len());
        for calls in reports {
            let mut reported = Reported::default();
            for call in calls {
                let key = key(&call);
                if known.insert(key.1) {
                    reported.accepted += 1;
                    fresh_keys.push(key);
                    fresh.push(call);
                } else {
                    reported.duplicates += 1;
                }
            }
            outcome.push(reported);
        }
        if !fresh.is_empty() {
            self.append(fresh, fresh_keys).await?;
        }
        count(&outcome);
        Ok(outcome)
    }

    async fn append(&mut self, calls: Vec<Call>, keys: Vec<Key>) -> Result<(), ReportError> {
        for call in &calls {
            let source = call.source.as_str();
            metrics::counter!("extrack_calls_total", "source" => source).increment(1);
        }
        let rows = calls
            .into_iter()
            .map(|call| self.calls.accounting().row(call));
        let batch = self.calls.batch(rows.collect(), UsageTotals::default());
        self.doubtful = Some((batch, keys));
        self.settle_doubt().await
    }

    /// Has the batch stored of which that is not known; it counts once.
    async fn settle_doubt(&mut self) -> Result<(), ReportError> {
        let Some((batch, _)) = &self.doubtful else {
            return Ok(());
        };
        let answer = self.results.call_batch_append(Arc::clone(batch)).await;
        match answer {
            Ok(Ok(())) => {
                if let Some((batch, keys)) = self.doubtful.take() {
                    self.calls.budgets().settled(batch.seq);
                    self.known.remember(keys.into_iter());
                }
                Ok(())
            }
            Ok(Err(error)) => Err(ReportError::NotStored(error.to_string())),
            Err(_) => Err(ReportError::NotStored("the store is closed".to_owned())),
        }
    }
}

fn key(call: &Call) -> Key {
    (call.ts_ms, call_key(&call.service, &call.id))
}

fn not_known(unknown: Unknown) -> ReportError {
    ReportError::NotStored(match unknown {
        Unknown::Unsettled => {
            "results are not committed at the moment, so it is not known which calls were reported before"
                .to_owned()
        }
        Unknown::Failed(error) => error.to_string(),
    })
}

fn count(outcome: &[Reported]) {
    let duplicates: usize = outcome.iter().map(|reported| reported.duplicates).sum();
    metrics::counter!("extrack_calls_repeated_total").increment(duplicates as u64);
}
