//! Sums of a cycle, from which its price is computed.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::CostError;
use super::decimal::{add, subtract};
use crate::domain::UnixMillis;

/// Least and greatest value that an amount can have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    pub low: Decimal,
    pub high: Decimal,
}

impl Bounds {
    pub fn exactly(amount: Decimal) -> Self {
        Self {
            low: amount,
            high: amount,
        }
    }

    pub fn plus(self, other: Self) -> Result<Self, CostError> {
        self.with(other, add)
    }

    pub(super) fn minus(self, other: Self) -> Result<Self, CostError> {
        self.with(other, subtract)
    }

    pub fn map(self, change: impl Fn(Decimal) -> Decimal) -> Self {
        Self {
            low: change(self.low),
            high: change(self.high),
        }
    }

    pub(super) fn try_map(
        self,
        change: impl Fn(Decimal) -> Result<Decimal, CostError>,
    ) -> Result<Self, CostError> {
        Ok(Self {
            low: change(self.low)?,
            high: change(self.high)?,
        })
    }

    fn with(
        self,
        other: Self,
        combine: impl Fn(Decimal, Decimal) -> Result<Decimal, CostError>,
    ) -> Result<Self, CostError> {
        Ok(Self {
            low: combine(self.low, other.low)?,
            high: combine(self.high, other.high)?,
        })
    }
}

/// Sums that one price of a list has counted in a cycle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sums {
    /// Quantity that was certainly billed, and the most that may have been.
    pub quantity: Bounds,
    /// Money, where each call has a price of its own: percent, and amounts rounded by call.
    pub amount: Bounds,
    /// The most that one call used: what a call whose end is unknown is counted as at most.
    pub largest: Decimal,
}

/// Sums of the open cycles: everything that a meter needs to go on after a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeterState {
    /// Oldest first.
    pub cycles: Vec<CycleState>,
}

/// Sums of one cycle, by the version of the price list that was in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CycleState {
    /// First moment.
    pub from_ms: UnixMillis,
    /// Sums by the key of the version, then by the name of the price.
    pub used: BTreeMap<String, BTreeMap<String, Sums>>,
}

impl CycleState {
    pub(super) fn sums(&self, version: &str, price: &str) -> Sums {
        let sums = self.used.get(version).and_then(|used| used.get(price));
        sums.copied().unwrap_or_default()
    }
}
