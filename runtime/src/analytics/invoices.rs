//! Invoices compared with what we counted for the same time, and what may explain a difference.

use chrono::{Days, NaiveDate};
use rust_decimal::Decimal;

use super::Analytics;
use crate::domain::cost::{Bounds, PriceList, YearToDate};
use crate::domain::{Catalog, InvoiceSum, UnixMillis};
use crate::store::{ResultError, UsageQuestion, UsageSum};

/// Invoices that are compared at once, the latest.
const MAX_COMPARED: usize = 200;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

/// Reason that may explain a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriftReason {
    /// The service has no price list, or none in the invoice's currency.
    NoPriceList,
    /// So many calls have no cost.
    Unpriced(i64),
    /// So many calls have a cost in another currency.
    OtherCurrency(i64),
    /// Calls of the period are counted from this day on.
    CountedSince(NaiveDate),
    /// No calls of the period were counted at all.
    NoCalls,
    /// Amount of which it is unknown whether it was billed.
    Uncertain(Decimal),
    /// The period is none of the price list's cycles, so fees are left out.
    NoFees,
    /// Calls before this moment may be missing: the program was cut off.
    Lost(UnixMillis),
    /// So many invoices are for the period, and are compared together.
    Together(i64),
}

/// An invoice of one service in one currency beside our own amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceComparison {
    pub sum: InvoiceSum,
    /// Cost of the calls of the period, with fees where it is a billing cycle; at least and at most.
    pub counted: Bounds,
    /// Distance of what is billed, without taxes, by all invoices for the period, from what we counted;
    /// above zero: more is billed.
    pub drift: Decimal,
    /// Percent of what is billed; none where nothing is.
    pub drift_percent: Option<Decimal>,
    pub reasons: Vec<DriftReason>,
}

impl Analytics {
    /// Returns the latest invoices, compared. `lost_until_ms`: moment before which calls may be lost.
    pub async fn invoices(
        &self,
        catalog: &Catalog,
        (invoice, service): (Option<String>, Option<String>),
        lost_until_ms: Option<UnixMillis>,
    ) -> Result<Vec<InvoiceComparison>, ResultError> {
        let sums = self.results.invoice_sums(invoice, service, MAX_COMPARED);
        let mut compared = Vec::new();
        for sum in sums.await? {
            compared.push(self.compare(catalog, sum, lost_until_ms).await?);
        }
        Ok(compared)
    }

    pub(super) async fn compare(
        &self,
        catalog: &Catalog,
        sum: InvoiceSum,
        lost_until_ms: Option<UnixMillis>,
    ) -> Result<InvoiceComparison, ResultError> {
        let minute = |ms: UnixMillis| ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        let question = UsageQuestion {
            from_ms: minute(sum.from_ms),
            until_ms: minute(sum.until_ms),
            service: Some(sum.service.clone()),
            by_day: true,
            ..UsageQuestion::default()
        };
        let usage = self.results.usage_sums(question).await?;
        let list = catalog.prices.get(&sum.service);
        let list = list.filter(|list| list.currency.code().as_ref() == sum.currency);
        let mut year = Decimal::ZERO;
        if let Some(list) = list
            && let Ok(span) = list.cycle.around(sum.from_ms)
        {
            year = self.year_to_date(&sum.service, list, &span).await?;
        }
        let lost_until_ms =
            lost_until_ms.filter(|lost_ms| (sum.from_ms..sum.until_ms).contains(lost_ms));
        let mut compared = compared(sum, &usage, list.map(AsRef::as_ref), year);
        compared
            .reasons
            .extend(lost_until_ms.map(DriftReason::Lost));
        Ok(compared)
    }
}

fn compared(
    sum: InvoiceSum,
    usage: &[UsageSum],
    list: Option<&PriceList>,
    year: Decimal,
) -> InvoiceComparison {
    let used = usage
        .iter()
        .filter(|usage| usage.currency.as_deref() == Some(sum.currency.as_str()))
        .fold(Bounds::default(), |used, usage| Bounds {
            low: used.low.saturating_add(usage.all.cost.low),
            high: used.high.saturating_add(usage.all.cost.high),
        });
    let owed = list.and_then(|list| owed(list, &sum, used, year));
    let counted = owed.unwrap_or(used);
    let billed = sum.billed_together;
    let drift = if billed > counted.high {
        billed.saturating_sub(counted.high)
    } else if billed < counted.low {
        billed.saturating_sub(counted.low)
    } else {
        Decimal::ZERO
    };
    let percent = drift.checked_div(billed.abs());
    let percent = percent.and_then(|share| share.checked_mul(Decimal::ONE_HUNDRED));
    let mut reasons = reasons(&sum, usage, used);
    if sum.together > 1 {
        reasons.push(DriftReason::Together(sum.together));
    }
    match list {
        None => reasons.insert(0, DriftReason::NoPriceList),
        Some(list) if owed.is_none() && has_fees(list) => reasons.push(DriftReason::NoFees),
        Some(_) => {}
    }
    InvoiceComparison {
        counted,
        drift,
        drift_percent: percent.map(|percent| percent.round_dp(2).normalize()),
        reasons,
        sum,
    }
}

/// Returns what is owed for the period, if it is one of the list's cycles.
fn owed(list: &PriceList, sum: &InvoiceSum, used: Bounds, year: Decimal) -> Option<Bounds> {
    let span = list.cycle.around(sum.from_ms).ok()?;
    if (span.from_ms, span.until_ms) != (sum.from_ms, sum.until_ms) {
        return None;
    }
    let bill = list.settle(&span, used, YearToDate { used: year }).ok()?;
    Some(bill.owed)
}

fn has_fees(list: &PriceList) -> bool {
    let mut versions = list.versions.iter();
    versions.any(|version| version.fee.is_some() || version.commitment.is_some())
}

fn reasons(sum: &InvoiceSum, usage: &[UsageSum], used: Bounds) -> Vec<DriftReason> {
    let mut reasons = Vec::new();
    let calls = |of: &dyn Fn(Option<&str>) -> bool| -> i64 {
        let ours = usage.iter().filter(|usage| of(usage.currency.as_deref()));
        ours.map(|usage| usage.all.calls).sum()
    };
    let unpriced = calls(&|currency| currency.is_none());
    let other = calls(&|currency| currency.is_some_and(|currency| currency != sum.currency));
    if unpriced > 0 {
        reasons.push(DriftReason::Unpriced(unpriced));
    }
    if other > 0 {
        reasons.push(DriftReason::OtherCurrency(other));
    }
    let first = sum.from_ms.div_euclid(DAY_MS);
    match usage.iter().filter_map(|usage| usage.key.day).min() {
        None => reasons.push(DriftReason::NoCalls),
        Some(since) if since > first => {
            let days = Days::new(u64::try_from(since).unwrap_or_default());
            let since = NaiveDate::default().checked_add_days(days);
            reasons.extend(since.map(DriftReason::CountedSince));
        }
        Some(_) => {}
    }
    let uncertain = used.high.saturating_sub(used.low);
    if !uncertain.is_zero() {
        reasons.push(DriftReason::Uncertain(uncertain.normalize()));
    }
    reasons
}

impl DriftReason {
    /// Returns a word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            DriftReason::NoPriceList => "noPriceList",
            DriftReason::Unpriced(_) => "unpriced",
            DriftReason::OtherCurrency(_) => "otherCurrency",
            DriftReason::CountedSince(_) => "countedSince",
            DriftReason::NoCalls => "noCalls",
            DriftReason::Uncertain(_) => "uncertain",
            DriftReason::NoFees => "noFees",
            DriftReason::Lost(_) => "lost",
            DriftReason::Together(_) => "together",
        }
    }

    /// Returns a text for people.
    pub fn detail(&self) -> String {
        match self {
            DriftReason::NoPriceList => {
                "the service has no price list in the currency of the invoice".to_owned()
            }
            DriftReason::Unpriced(calls) => {
                format!("{calls} calls have no cost: no price of the list is for them")
            }
            DriftReason::OtherCurrency(calls) => {
                format!("{calls} calls have a cost in another currency")
            }
            DriftReason::CountedSince(day) => {
                format!("no calls of the period are counted before {day}")
            }
            DriftReason::NoCalls => "no calls of the period are counted".to_owned(),
            DriftReason::Uncertain(amount) => format!(
                "of {amount} it is unknown whether they are billed: answers with 5xx, time-outs, retries"
            ),
            DriftReason::NoFees => {
                "fees are left out, because the period is no billing cycle of the price list"
                    .to_owned()
            }
            DriftReason::Together(invoices) => {
                format!("{invoices} invoices are for the period, and are compared together")
            }
            DriftReason::Lost(until_ms) => {
                let moment = jiff::Timestamp::from_millisecond(*until_ms).unwrap_or_default();
                format!(
                    "the program was cut off at about {moment:.0}: a second of calls of the gateway may be missing"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
