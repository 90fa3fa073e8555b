//! Usage and cost: what calls used, what that costs so far, and what a cycle will have cost at its
//! end. Knows the stored sums and the price lists, and nothing of how calls are counted.

mod cycles;
mod groups;
mod invoice_book;
mod invoices;
mod pricing;
pub mod statistics;
#[cfg(test)]
mod tests;
mod trends;

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use crate::domain::cost::{Bounds, CycleSpan, PriceList, start_of_day_ms};
use crate::domain::{Catalog, UnixMillis};
use crate::store::{CallSum, ResultError, ResultStore, RetrySum, UsageQuestion, UsageSum};

pub use cycles::{CycleForecast, CycleOfService};
pub use groups::{Group, GroupKey};
pub use invoice_book::InvoiceBook;
pub use invoices::{DriftReason, InvoiceComparison};
pub use pricing::Prices;
pub use trends::{Trend, TrendOf, WeekFigures};

use groups::keys_of;

/// Answers questions about usage and cost; cheap to clone.
#[derive(Clone)]
pub struct Analytics {
    results: ResultStore,
}

/// A question about usage or cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Beginning and end. None: of each service the cycle that it is in.
    pub range: Option<(UnixMillis, UnixMillis)>,
    pub by: BTreeSet<Group>,
    /// Slug; none: all.
    pub service: Option<String>,
}

/// Usage of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageRow {
    pub calls: i64,
    pub attempts: i64,
    pub bytes_in: i64,
    pub bytes_out: i64,
    pub units: BTreeMap<String, Decimal>,
}

/// Cost of one group in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostRow {
    pub key: GroupKey,
    /// ISO 4217; none where no call has a cost.
    pub currency: Option<String>,
    /// All calls of the key, in whatever currency.
    pub calls: i64,
    /// Calls with a cost in this currency.
    pub metered: i64,
    pub used: Bounds,
    /// Part of it that brought nothing.
    pub overhead: Overhead,
    /// Figures of one service in its present cycle.
    pub cycle: Option<CycleOfService>,
}

/// Part of the cost in a currency that brought nothing, and that of our own checks. A call may be in
/// several parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overhead {
    /// Attempts beyond the first, and the most that they can have cost.
    pub retries: (i64, Decimal),
    pub failed: CallSum,
    pub timed_out: CallSum,
    pub cut: CallSum,
    pub checks: CallSum,
}

/// Costs by key, and by currency what they were spent on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Costs {
    pub rows: Vec<CostRow>,
    pub overhead: BTreeMap<String, Overhead>,
}

impl Analytics {
    pub fn new(results: ResultStore) -> Self {
        Self { results }
    }

    pub async fn usage(
        &self,
        catalog: &Catalog,
        question: &Question,
        now_ms: UnixMillis,
    ) -> Result<BTreeMap<GroupKey, UsageRow>, ResultError> {
        let mut rows: BTreeMap<GroupKey, UsageRow> = BTreeMap::new();
        for part in cycles::parts(catalog, question, now_ms) {
            let sums = self.results.usage_sums(part.question.clone()).await?;
            for sum in sums.iter().filter(|sum| part.holds(&sum.key.service)) {
                for key in keys_of(catalog, &question.by, &sum.key) {
                    let row = rows.entry(key).or_default();
                    row.calls += sum.all.calls;
                    row.attempts += sum.attempts;
                    row.bytes_in = row.bytes_in.saturating_add(sum.bytes_in);
                    row.bytes_out = row.bytes_out.saturating_add(sum.bytes_out);
                }
            }
            let units = self.results.usage_units(part.question.clone()).await?;
            for unit in units.iter().filter(|unit| part.holds(&unit.key.service)) {
                for key in keys_of(catalog, &question.by, &unit.key) {
                    let units = &mut rows.entry(key).or_default().units;
                    let amount = units.entry(unit.unit.clone()).or_default();
                    *amount = amount.saturating_add(unit.amount);
                }
            }
        }
        Ok(rows)
    }

    pub async fn costs(
        &self,
        catalog: &Catalog,
        question: &Question,
        now_ms: UnixMillis,
    ) -> Result<Costs, ResultError> {
        let mut costs = CostTable::default();
        for part in cycles::parts(catalog, question, now_ms) {
            let sums = self.results.usage_sums(part.question.clone()).await?;
            for sum in sums.iter().filter(|sum| part.holds(&sum.key.service)) {
                costs.add(sum, keys_of(catalog, &question.by, &sum.key));
            }
            let retries = self.results.usage_retries(part.question.clone()).await?;
            for retry in retries.iter().filter(|sum| part.holds(&sum.key.service)) {
                costs.add_retries(retry, keys_of(catalog, &question.by, &retry.key));
            }
        }
        let mut costs = costs.finish();
        let is_by_service = question.by.len() == 1 && question.by.contains(&Group::Service);
        if question.range.is_none() && is_by_service {
            self.add_cycles(catalog, question, &mut costs.rows, now_ms)
                .await?;
        }
        Ok(costs)
    }

    /// Adds what is owed and foreseen for the present cycle of each service with a price list.
    async fn add_cycles(
        &self,
        catalog: &Catalog,
        question: &Question,
        rows: &mut Vec<CostRow>,
        now_ms: UnixMillis,
    ) -> Result<(), ResultError> {
        let mut days = BTreeMap::new();
        for part in cycles::day_parts(catalog, question, now_ms) {
            let sums = self.results.usage_sums(part.question.clone()).await?;
            let sums = sums.iter().filter(|sum| part.holds(&sum.key.service));
            cycles::add_days(&mut days, sums);
        }
        let lists = catalog.prices.iter();
        for (slug, list) in lists.filter(|(slug, _)| question.asks_for(slug)) {
            let currency = list.currency.code().as_ref();
            let found = rows.iter().position(|row| {
                row.key.service.as_ref() == Some(slug)
                    && row
                        .currency
                        .as_deref()
                        .is_none_or(|known| known == currency)
            });
            let at = found.unwrap_or_else(|| {
                rows.push(CostRow::empty(GroupKey::of_service(slug)));
                rows.len() - 1
            });
            let row = &mut rows[at];
            row.currency = Some(currency.to_owned());
            let year = match list.cycle.around(now_ms) {
                Ok(span) => self.year_to_date(slug, list, &span).await?,
                Err(_) => Decimal::ZERO,
            };
            let days = days.get(&(slug.clone(), currency.to_owned()));
            row.cycle = cycles::cycle_of(list, row.used, days, year, now_ms);
        }
        rows.sort_by(|one, other| (&one.key, &one.currency).cmp(&(&other.key, &other.currency)));
        Ok(())
    }

    /// Returns the cost of earlier cycles in the year of a commitment.
    async fn year_to_date(
        &self,
        slug: &str,
        list: &PriceList,
        span: &CycleSpan,
    ) -> Result<Decimal, ResultError> {
        let begun = list
            .commitment_year(span)
            .and_then(|day| start_of_day_ms(list.cycle.zone, day).ok());
        let Some(from_ms) = begun.filter(|from_ms| *from_ms < span.from_ms) else {
            return Ok(Decimal::ZERO);
        };
        let question = UsageQuestion {
            from_ms,
            until_ms: span.from_ms,
            service: Some(slug.to_owned()),
            ..UsageQuestion::default()
        };
        let sums = self.results.usage_sums(question).await?;
        let ours = sums
            .iter()
            .filter(|sum| sum.currency.as_deref() == Some(list.currency.code().as_ref()));
        Ok(ours.fold(Decimal::ZERO, |sum, it| sum.saturating_add(it.all.cost.low)))
    }
}

impl Question {
    fn asks_for(&self, slug: &str) -> bool {
        self.service.as_ref().is_none_or(|service| service == slug)
    }
}

impl CostRow {
    fn empty(key: GroupKey) -> Self {
        Self {
            key,
            currency: None,
            calls: 0,
            metered: 0,
            used: Bounds::default(),
            overhead: Overhead::default(),
            cycle: None,
        }
    }
}

/// Costs that are added up.
#[derive(Default)]
struct CostTable {
    /// Sums by key, then by currency.
    rows: BTreeMap<GroupKey, BTreeMap<Option<String>, (CallSum, Overhead)>>,
    overhead: BTreeMap<String, Overhead>,
}

impl CostTable {
    fn add(&mut self, sum: &UsageSum, keys: Vec<GroupKey>) {
        for key in keys {
            let row = self.rows.entry(key).or_default();
            let (all, overhead) = row.entry(sum.currency.clone()).or_default();
            add(all, &sum.all);
            overhead.add(sum);
        }
        if let Some(currency) = &sum.currency {
            self.overhead.entry(currency.clone()).or_default().add(sum);
        }
    }

    fn add_retries(&mut self, retries: &RetrySum, keys: Vec<GroupKey>) {
        for key in keys {
            let row = self.rows.entry(key).or_default();
            let (_, overhead) = row.entry(Some(retries.currency.clone())).or_default();
            overhead.add_retries(retries);
        }
        let overhead = self.overhead.entry(retries.currency.clone()).or_default();
        overhead.add_retries(retries);
    }

    fn finish(self) -> Costs {
        let mut rows = Vec::new();
        for (key, currencies) in self.rows {
            let calls = currencies.values().map(|(sum, _)| sum.calls).sum();
            let is_priced = currencies.keys().any(Option::is_some);
            for (currency, (sum, overhead)) in currencies {
                if is_priced && currency.is_none() {
                    continue;
                }
                rows.push(CostRow {
                    calls,
                    metered: if currency.is_some() { sum.calls } else { 0 },
                    currency,
                    used: sum.cost,
                    overhead,
                    ..CostRow::empty(key.clone())
                });
            }
        }
        Costs {
            rows,
            overhead: self.overhead,
        }
    }
}

impl Overhead {
    fn add(&mut self, sum: &UsageSum) {
        add(&mut self.failed, &sum.failed);
        add(&mut self.timed_out, &sum.timed_out);
        add(&mut self.cut, &sum.cut);
        add(&mut self.checks, &sum.checks);
    }

    fn add_retries(&mut self, retries: &RetrySum) {
        self.retries.0 += retries.attempts;
        self.retries.1 = self.retries.1.saturating_add(retries.at_most);
    }
}

/// Adds up; what does not fit stays at the most that does.
fn add(sum: &mut CallSum, more: &CallSum) {
    sum.calls += more.calls;
    sum.cost = Bounds {
        low: sum.cost.low.saturating_add(more.cost.low),
        high: sum.cost.high.saturating_add(more.cost.high),
    };
}
