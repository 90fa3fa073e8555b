//! The price of a cycle: what was used, what is owed, line by line.

use chrono::{Months, NaiveDate};
use rust_decimal::Decimal;

use super::decimal::{add, divide, kept, multiply, subtract};
use super::{
    Bounds, Charge, Commitment, CommitmentPeriod, CostError, CycleSpan, CycleState, Fee, PriceList,
    PriceVersion, RoundAt,
};

/// Reason for a line of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    Usage,
    /// Usage above the commitment, beyond its usual price.
    Overage,
    /// Taken off.
    Credit,
    Fee,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillLine {
    pub kind: LineKind,
    pub name: String,
    /// Quantity, where the line has one.
    pub quantity: Option<Bounds>,
    pub amount: Bounds,
}

/// Price of what was used in a cycle, and of what is owed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    pub lines: Vec<BillLine>,
    /// Cost of usage, without fees.
    pub used: Bounds,
    pub fees: Decimal,
    /// Money missing to the commitment.
    pub true_up: Decimal,
    /// Usage or the commitment, whichever is more, and fees.
    pub owed: Bounds,
}

/// Usage of the cycles before this one in the same year of a commitment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct YearToDate {
    pub used: Decimal,
}

/// Price of what was used.
pub(super) struct UsagePrice {
    pub(super) lines: Vec<BillLine>,
    pub(super) used: Bounds,
}

/// The one function that prices usage: for calls, for bills and for forecasts. A price that changes
/// in the middle of a cycle goes on counting where the one of the same name ended.
pub(super) fn price_of_usage(
    list: &PriceList,
    span: &CycleSpan,
    state: &CycleState,
) -> Result<UsagePrice, CostError> {
    let mut lines = Vec::new();
    let mut gross = Bounds::default();
    let mut counted: Vec<(&str, Bounds)> = Vec::new();
    for version in &list.versions {
        let Some(used) = state.used.get(&version.key()) else {
            continue;
        };
        for price in &version.prices {
            let Some(sums) = used.get(&price.name) else {
                continue;
            };
            let is_before = |known: &&mut (&str, Bounds)| known.0 == price.name;
            let before = counted.iter_mut().find(is_before);
            let start = before.as_ref().map_or(Bounds::default(), |known| known.1);
            let end = start.plus(sums.quantity)?;
            match before {
                Some(known) => known.1 = end,
                None => counted.push((price.name.as_str(), end)),
            }
            let amount = match &price.charge {
                Charge::Tiers(tiers) if list.rounding.at != RoundAt::Call => {
                    tiers.bounds(end)?.minus(tiers.bounds(start)?)?
                }
                _ => sums.amount,
            };
            let amount = amount.map(|amount| list.rounding.if_at(RoundAt::Line, amount));
            gross = gross.plus(amount)?;
            lines.push(BillLine {
                kind: LineKind::Usage,
                name: price.name.clone(),
                quantity: Some(sums.quantity),
                amount,
            });
        }
    }
    let used = with_terms(list, list.version_of(span), gross, &mut lines)?;
    Ok(UsagePrice { lines, used })
}

/// Adds what usage above the commitment costs more, and takes the credit off.
fn with_terms(
    list: &PriceList,
    version: &PriceVersion,
    gross: Bounds,
    lines: &mut Vec<BillLine>,
) -> Result<Bounds, CostError> {
    let mut used = gross;
    let mut line = |kind, name: &str, amount: Bounds| {
        lines.push(BillLine {
            kind,
            name: name.to_owned(),
            quantity: None,
            amount,
        });
    };
    if let Some(Commitment {
        amount: committed,
        overage: Some((over, usual)),
        ..
    }) = &version.commitment
    {
        let more = used.try_map(|used| {
            let above = subtract(used, used.min(*committed))?;
            let dearer = divide(multiply(above, subtract(*over, *usual)?)?, *usual)?;
            kept(list.rounding.if_at(RoundAt::Line, dearer))
        })?;
        used = used.plus(more)?;
        line(LineKind::Overage, "overage", more);
    }
    if let Some(credit) = version.credit {
        let taken = used.map(|used| -credit.min(used));
        used = used.plus(taken)?;
        line(LineKind::Credit, "credit", taken);
    }
    used.try_map(kept)
}

impl PriceList {
    /// Returns the bill of a cycle in which so much was used.
    pub fn bill(
        &self,
        span: &CycleSpan,
        state: &CycleState,
        year: YearToDate,
    ) -> Result<Bill, CostError> {
        let UsagePrice { mut lines, used } = price_of_usage(self, span, state)?;
        let mut bill = self.settle(span, used, year)?;
        lines.append(&mut bill.lines);
        bill.lines = lines;
        Ok(bill)
    }

    /// Returns the bill of a cycle whose usage costs so much. Its lines are fees alone.
    pub fn settle(
        &self,
        span: &CycleSpan,
        used: Bounds,
        year: YearToDate,
    ) -> Result<Bill, CostError> {
        let mut lines = Vec::new();
        let mut fees = Decimal::ZERO;
        for (name, amount) in self.fees(span)? {
            let amount = match self.rounding.at {
                RoundAt::Line | RoundAt::Call => self.rounding.round(amount),
                RoundAt::Total | RoundAt::None => amount,
            };
            fees = add(fees, amount)?;
            lines.push(BillLine {
                kind: LineKind::Fee,
                name,
                quantity: None,
                amount: Bounds::exactly(amount),
            });
        }
        let least = self.least(span, year)?;
        let total = |amount| self.rounding.if_at(RoundAt::Total, amount);
        let owed = used.try_map(|used| Ok(total(add(used.max(least), fees)?)))?;
        Ok(Bill {
            lines,
            used: used.map(total),
            fees: total(fees),
            true_up: total(subtract(used.low.max(least), used.low)?),
            owed,
        })
    }

    /// Returns what usage of the cycle is owed at least.
    fn least(&self, span: &CycleSpan, year: YearToDate) -> Result<Decimal, CostError> {
        match &self.version_of(span).commitment {
            None => Ok(Decimal::ZERO),
            Some(commitment) => match commitment.period {
                CommitmentPeriod::Cycle => Ok(commitment.amount),
                CommitmentPeriod::Year { from } if is_last_of_year(span, from) => {
                    subtract(commitment.amount, year.used.min(commitment.amount))
                }
                CommitmentPeriod::Year { .. } => Ok(Decimal::ZERO),
            },
        }
    }

    /// Returns the first day of the commitment's year that a cycle belongs to.
    pub fn commitment_year(&self, span: &CycleSpan) -> Option<NaiveDate> {
        let commitment = self.version_of(span).commitment.as_ref()?;
        let CommitmentPeriod::Year { from } = commitment.period else {
            return None;
        };
        let begun = anniversaries(from).take_while(|day| *day <= span.first_day);
        Some(begun.last().unwrap_or(from))
    }

    /// Returns the fees of the cycle, one for each version of the list that is in force in it.
    fn fees(&self, span: &CycleSpan) -> Result<Vec<(String, Decimal)>, CostError> {
        let runs_from = self.contract_from.unwrap_or(NaiveDate::MIN);
        if runs_from >= span.end_day {
            return Ok(Vec::new());
        }
        let mut fees = Vec::new();
        if !self.prorates {
            let day = span.first_day.max(runs_from);
            if let Some(fee) = &self.versions[self.version_on(day)].fee {
                fees.push(("monthly".to_owned(), fee.due()?));
            }
            return Ok(fees);
        }
        for (at, version) in self.versions.iter().enumerate() {
            let begins = version.from.unwrap_or(NaiveDate::MIN);
            let ends = match self.versions.get(at + 1).and_then(|next| next.from) {
                Some(next) => next.min(span.end_day),
                None => span.end_day,
            };
            let first = begins.max(runs_from).max(span.first_day);
            let days = ends.signed_duration_since(first).num_days();
            if let Some(fee) = version.fee.as_ref().filter(|_| days > 0) {
                let due = multiply(fee.due()?, days.into())?;
                let name = if days == span.days() {
                    "monthly".to_owned()
                } else {
                    format!("monthly, {days} of {} days", span.days())
                };
                fees.push((name, kept(divide(due, span.days().into())?)?));
            }
        }
        Ok(fees)
    }
}

impl Fee {
    fn due(&self) -> Result<Decimal, CostError> {
        let share = subtract(Decimal::ONE_HUNDRED, self.discount)?;
        kept(divide(multiply(self.amount, share)?, Decimal::ONE_HUNDRED)?)
    }
}

/// Whether a year of a commitment ends in the cycle or with it.
fn is_last_of_year(span: &CycleSpan, from: NaiveDate) -> bool {
    anniversaries(from)
        .find(|day| *day > span.first_day)
        .is_some_and(|day| day > from && day <= span.end_day)
}

/// Returns the days on which years begin, for longer than cycles are priced.
fn anniversaries(from: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    (0..=240).filter_map(move |year| from.checked_add_months(Months::new(12 * year)))
}
