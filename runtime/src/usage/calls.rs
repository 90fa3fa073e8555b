//! [`Calls`]: where calls are handed over.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::accounting::Accounting;
use super::budgets::BudgetBook;
use super::otlp::Hosts;
use super::report::{Report, ReportError, Reported};
use super::status::{Counters, UsageStatus};
use crate::domain::{Call, CallBatch, CallPricing, CallRow, Catalog, UsageTotals, now_ms};

/// Calls of the gateway that wait to be taken: 13 s at 5,000 a second, some 30 MB. Those that find no
/// room are in the totals alone.
pub(super) const QUEUED_CALLS: usize = 65_536;
/// Reports that wait; more are refused, and sent again by their senders.
const QUEUED_REPORTS: usize = 16;

/// Where calls are handed over; cheap to clone.
#[derive(Clone)]
pub struct Calls(Arc<Inner>);

struct Inner {
    calls: mpsc::Sender<Call>,
    reports: mpsc::Sender<Report>,
    accounting: Accounting,
    budgets: BudgetBook,
    counters: Counters,
    /// Number of the last batch.
    last_seq: AtomicI64,
    /// Of the last catalog that was asked with.
    hosts: Mutex<Arc<Hosts>>,
}

impl Calls {
    /// Returns the handle, and what is handed over by it.
    pub(super) fn new(
        pricing: Option<CallPricing>,
        budgets: BudgetBook,
    ) -> (Self, mpsc::Receiver<Call>, mpsc::Receiver<Report>) {
        let (calls, taken) = mpsc::channel(QUEUED_CALLS);
        let (reports, reported) = mpsc::channel(QUEUED_REPORTS);
        let calls = Self(Arc::new(Inner {
            calls,
            reports,
            accounting: Accounting::new(pricing),
            budgets,
            counters: Counters::default(),
            last_seq: AtomicI64::new(0),
            hosts: Mutex::default(),
        }));
        (calls, taken, reported)
    }

    pub(super) fn accounting(&self) -> &Accounting {
        &self.0.accounting
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Takes a call, and returns at once. It is in the totals in any case, and has a row unless more
    /// wait than there is room for.
    pub fn record(&self, call: Call) {
        if let Err(full) = self.0.calls.try_send(call) {
            self.count_unlisted(full.into_inner());
        }
    }

    /// Returns once the calls are durable, in the database or in the spool, which happens at once.
    /// Calls that were reported before are left out. After an error nothing is known to be kept, and the
    /// calls can be reported again.
    pub async fn report(&self, calls: Vec<Call>) -> Result<Reported, ReportError> {
        let (answer, answered) = oneshot::channel();
        let report = Report { calls, answer };
        self.0
            .reports
            .try_send(report)
            .map_err(|_| ReportError::Busy)?;
        answered.await.map_err(|_| ReportError::Busy)?
    }

    /// Returns the services by their hosts.
    pub fn hosts(&self, catalog: &Catalog) -> Arc<Hosts> {
        let mut known = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if known.version() != catalog.version {
            *known = Arc::new(Hosts::of(catalog));
        }
        Arc::clone(&known)
    }

    /// Returns what the calls of budgets cost.
    pub fn budgets(&self) -> &BudgetBook {
        &self.0.budgets
    }

    /// Returns what is known of losses.
    pub fn status(&self) -> UsageStatus {
        self.0.counters.status()
    }

    fn count_unlisted(&self, call: Call) {
        let row = self.0.accounting.row(call);
        self.count_unlisted_row(row);
    }

    pub(super) fn count_unlisted_row(&self, row: CallRow) {
        self.0.accounting.add_unlisted(row);
        self.0.counters.count_unlisted();
    }

    /// Makes a batch of rows, and of totals of calls that have none.
    pub(super) fn batch(&self, rows: Vec<CallRow>, unlisted: UsageTotals) -> Arc<CallBatch> {
        let mut totals = UsageTotals::of(&rows).into_totals();
        totals.extend(unlisted.into_totals());
        let batch = Arc::new(CallBatch {
            seq: self.next_seq(),
            rows,
            totals,
        });
        self.0.budgets.note(&batch);
        batch
    }

    /// Microseconds since 1970, larger each time.
    fn next_seq(&self) -> i64 {
        let now = now_ms().saturating_mul(1_000);
        let step = |last: i64| last.saturating_add(1).max(now);
        let last = &self.0.last_seq;
        let before = last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
            Some(step(last))
        });
        step(before.unwrap_or_else(|last| last))
    }
}
