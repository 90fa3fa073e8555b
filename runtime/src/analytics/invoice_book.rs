//! [`InvoiceBook`]: the latest invoice of each service and how far it is from what we counted, in
//! memory, for rules: none of them waits for the database.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Analytics;
use super::invoices::{DriftReason, InvoiceComparison};
use crate::domain::{Catalog, InvoiceUsage, UnixMillis, UsageReader, UsageToDate};
use crate::store::{ResultError, ResultStore};

/// Time after which invoices are compared anew: calls are reported late.
const COMPARE_EVERY: Duration = Duration::from_secs(3_600);
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Cheap to clone.
#[derive(Clone)]
pub struct InvoiceBook {
    results: ResultStore,
    catalog: watch::Receiver<Arc<Catalog>>,
    /// Sums by service, then by currency.
    latest: Arc<Mutex<BTreeMap<String, BTreeMap<String, UsageToDate>>>>,
}

impl InvoiceBook {
    pub fn new(results: ResultStore, catalog: watch::Receiver<Arc<Catalog>>) -> Self {
        Self {
            results,
            catalog,
            latest: Arc::default(),
        }
    }

    /// Returns the function by which rules see the latest invoices of their service.
    pub fn reader(&self) -> UsageReader {
        let latest = Arc::clone(&self.latest);
        Arc::new(move |service, _: UnixMillis| {
            let latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
            let found = latest.get(service);
            found.map_or_else(Vec::new, |found| found.values().cloned().collect())
        })
    }

    /// Compares after each import and each change of the catalog, and now and then, until the stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut imports = self.results.invoice_changes();
        loop {
            imports.mark_unchanged();
            let catalog = self.catalog.borrow_and_update().clone();
            let wait = match self.compare(&catalog).await {
                Ok(()) => COMPARE_EVERY,
                Err(error) => {
                    tracing::warn!(%error, "invoices can't be compared with what was counted; it is tried again");
                    RETRY_AFTER
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                changed = imports.changed() => if changed.is_err() { return },
                changed = self.catalog.changed() => if changed.is_err() { return },
            }
        }
    }

    pub(super) async fn compare(&self, catalog: &Catalog) -> Result<(), ResultError> {
        let analytics = Analytics::new(self.results.clone());
        let mut latest: BTreeMap<String, BTreeMap<String, UsageToDate>> = BTreeMap::new();
        for sum in self.results.invoice_latest().await? {
            let compared = analytics.compare(catalog, sum, None).await?;
            let of_service = latest.entry(compared.sum.service.clone()).or_default();
            of_service.insert(compared.sum.currency.clone(), usage_of(&compared));
        }
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = latest;
        Ok(())
    }
}

fn usage_of(compared: &InvoiceComparison) -> UsageToDate {
    let details: Vec<String> = compared.reasons.iter().map(DriftReason::detail).collect();
    UsageToDate {
        meter: compared.sum.invoice.clone(),
        period_start_ms: compared.sum.from_ms,
        period_end_ms: compared.sum.until_ms,
        used: compared.counted.low.to_f64().unwrap_or_default(),
        quota: None,
        cost_micros: Some(micros(compared.counted.low)),
        budget_micros: None,
        currency: compared.sum.currency.clone(),
        budget: None,
        invoice: Some(InvoiceUsage {
            billed_micros: micros(compared.sum.billed_together),
            drift_micros: micros(compared.drift),
            drift_percent: compared.drift_percent.and_then(|percent| percent.to_f64()),
            reasons: details.join("; "),
        }),
    }
}

fn micros(amount: Decimal) -> i64 {
    let micros = amount.checked_mul(Decimal::from(1_000_000));
    let whole = micros.and_then(|micros| micros.round().to_i64());
    whole.unwrap_or(i64::MAX)
}
