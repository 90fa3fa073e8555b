//! The price list of a service, with its changes in time.

use chrono::NaiveDate;
use rust_decimal::Decimal;

use super::{Currency, Cycle, CycleSpan, Price, Rounding};

/// Prices of the calls of a service, as one vendor bills them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceList {
    pub currency: Currency,
    pub cycle: Cycle,
    pub rounding: Rounding,
    /// First day of the contract; before it no fee is due. None: it has always run.
    pub contract_from: Option<NaiveDate>,
    /// Fees of a part of a cycle are shared by whole days.
    pub prorates: bool,
    /// Versions in the order of time, at least one; the first has no beginning.
    pub versions: Vec<PriceVersion>,
}

/// Prices from one day on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriceVersion {
    /// First day, in the cycle's zone.
    pub from: Option<NaiveDate>,
    pub prices: Vec<Price>,
    pub fee: Option<Fee>,
    /// Money that each cycle's usage is free up to.
    pub credit: Option<Decimal>,
    pub commitment: Option<Commitment>,
}

/// Due in every cycle, whatever is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fee {
    pub amount: Decimal,
    /// Percent off.
    pub discount: Decimal,
}

/// Money that is owed even if less was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commitment {
    pub amount: Decimal,
    pub period: CommitmentPeriod,
    /// Ratio of the price of usage above it to the usual price: numerator and denominator.
    pub overage: Option<(Decimal, Decimal)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitmentPeriod {
    Cycle,
    /// Twelve cycles, the first of which holds this day; what is missing is owed in the last.
    Year {
        from: NaiveDate,
    },
}

impl PriceVersion {
    /// Returns what its usage is kept by: its first day, or nothing.
    pub fn key(&self) -> String {
        self.from.map_or_else(String::new, |day| day.to_string())
    }
}

impl PriceList {
    /// Returns the index of the version that is in force on a day.
    pub fn version_on(&self, day: NaiveDate) -> usize {
        let begun = |version: &PriceVersion| version.from.is_none_or(|from| from <= day);
        self.versions.iter().rposition(begun).unwrap_or(0)
    }

    /// Returns the version that decides on a cycle's credit and commitment: that of its first day.
    pub fn version_of(&self, span: &CycleSpan) -> &PriceVersion {
        &self.versions[self.version_on(span.first_day)]
    }
}
