//! Calls that were taken without waiting, on their way to the store: each second one batch of rows
//! and totals, handed over until it is durable. Rows that find no room meanwhile are in the totals
//! alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::calls::Calls;
use crate::domain::{Call, CallBatch, CallRow, now_ms};
use crate::store::{ResultError, ResultStore};

/// What a crash can lose.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// Rows of one batch; the store commits as many at once.
const BATCH_ROWS: usize = 5_000;
/// Rows that wait while a batch is not durable: some 40 MB.
const MAX_ROWS: usize = 65_536;
/// Calls that are taken at a time.
const TAKEN_AT_ONCE: usize = 512;
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Time that the last batches have when the program stops.
const CLOSE_WITHIN: Duration = Duration::from_secs(14);
/// Routes of calls that are this old are learned again at a start.
const RECALLED_MS: i64 = 7 * 86_400_000;

type Outcome = Result<Result<(), ResultError>, oneshot::error::RecvError>;

/// A batch that is not durable yet.
struct Writing {
    batch: Arc<CallBatch>,
    /// None: it failed, and is handed over again.
    answer: Option<oneshot::Receiver<Result<(), ResultError>>>,
    retry_at: Instant,
}

/// Stores the calls that were recorded.
pub struct CallRecorder {
    calls: Calls,
    taken: mpsc::Receiver<Call>,
    results: ResultStore,
    rows: Vec<CallRow>,
    writing: Option<Writing>,
    is_failing: bool,
}

impl CallRecorder {
    pub(super) fn new(calls: Calls, taken: mpsc::Receiver<Call>, results: ResultStore) -> Self {
        Self {
            calls,
            taken,
            results,
            rows: Vec::new(),
            writing: None,
            is_failing: false,
        }
    }

    /// Runs until the stop, and then until everything is durable.
    pub async fn run(mut self, stop: CancellationToken) {
        self.recall_routes().await;
        let mut ticks = interval(FLUSH_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = Vec::with_capacity(TAKEN_AT_ONCE);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                outcome = written(&mut self.writing) => self.wrote(outcome),
                _ = ticks.tick() => self.start_batch(),
                count = self.taken.recv_many(&mut buffer, TAKEN_AT_ONCE) => {
                    if count == 0 {
                        break;
                    }
                    self.take(&mut buffer);
                }
            }
        }
        self.close(buffer).await;
    }

    /// Gives the routes of before their templates again; without them they are learned anew.
    async fn recall_routes(&self) {
        let since_ms = now_ms().saturating_sub(RECALLED_MS);
        match self.results.call_routes_since(since_ms).await {
            Ok(routes) => self.calls.accounting().recall(routes),
            Err(error) => {
                tracing::warn!(%error, "routes of calls are learned anew: those of before can't be read");
            }
        }
    }

    fn take(&mut self, taken: &mut Vec<Call>) {
        for call in taken.drain(..) {
            let source = call.source.as_str();
            metrics::counter!("extrack_calls_total", "source" => source).increment(1);
            let row = self.calls.accounting().row(call);
            if self.rows.len() < MAX_ROWS {
                self.rows.push(row);
            } else {
                self.calls.count_unlisted_row(row);
            }
        }
        if self.rows.len() >= BATCH_ROWS {
            self.start_batch();
        }
    }

    /// Hands over the next batch, unless one is under way.
    fn start_batch(&mut self) {
        if self.writing.is_some() {
            return;
        }
        let unlisted = self.calls.accounting().take_unlisted();
        if self.rows.is_empty() && unlisted.is_empty() {
            return;
        }
        let count = self.rows.len().min(BATCH_ROWS);
        let rows = self.rows.drain(..count).collect();
        let batch = self.calls.batch(rows, unlisted);
        self.writing = Some(Writing {
            answer: Some(self.results.call_batch_append(Arc::clone(&batch))),
            batch,
            retry_at: Instant::now(),
        });
    }

    fn wrote(&mut self, outcome: Option<Outcome>) {
        let Some(writing) = &mut self.writing else {
            return;
        };
        match outcome {
            Some(Ok(Ok(()))) => {
                self.calls.budgets().settled(writing.batch.seq);
                self.writing = None;
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("calls are stored again");
                }
                if self.rows.len() >= BATCH_ROWS {
                    self.start_batch();
                }
            }
            // The same batch once more: the store knows whether it has it.
            None => {
                let batch = Arc::clone(&writing.batch);
                writing.answer = Some(self.results.call_batch_append(batch));
            }
            Some(Ok(Err(_)) | Err(_)) => {
                writing.answer = None;
                writing.retry_at = Instant::now() + RETRY_AFTER;
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::error!(
                        rows = writing.batch.rows.len(),
                        "calls could not be stored; they are kept, and handed over again"
                    );
                }
            }
        }
    }

    async fn close(&mut self, mut buffer: Vec<Call>) {
        self.taken.close();
        while let Ok(call) = self.taken.try_recv() {
            buffer.push(call);
        }
        self.take(&mut buffer);
        let deadline = Instant::now() + CLOSE_WITHIN;
        loop {
            self.start_batch();
            if self.writing.is_none() {
                return;
            }
            match tokio::time::timeout_at(deadline, written(&mut self.writing)).await {
                Ok(outcome) => self.wrote(outcome),
                Err(_) => {
                    let rows = self.rows.len()
                        + self
                            .writing
                            .as_ref()
                            .map_or(0, |writing| writing.batch.rows.len());
                    tracing::error!(
                        rows,
                        "stopping without these calls: the store does not take them"
                    );
                    return;
                }
            }
        }
    }
}

/// Waits for the outcome of the batch under way; none: it is time to hand it over again.
async fn written(writing: &mut Option<Writing>) -> Option<Outcome> {
    match writing {
        None => std::future::pending().await,
        Some(Writing {
            answer: Some(answer),
            ..
        }) => Some(answer.await),
        Some(Writing { retry_at, .. }) => {
            sleep_until(*retry_at).await;
            None
        }
    }
}
