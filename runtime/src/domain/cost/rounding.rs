//! Where and how amounts are rounded: part of the price, because vendors differ in it.

use rust_decimal::{Decimal, RoundingStrategy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Amounts that are rounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoundAt {
    /// The cost of each call.
    Call,
    /// Each line of the bill.
    Line,
    /// The sum, once.
    #[default]
    Total,
    /// No amount is rounded.
    None,
}

/// Direction in which an amount is rounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoundMode {
    /// Rounds to the nearest; a half goes away from zero.
    #[default]
    HalfUp,
    /// Rounds to the nearest; a half goes to the even digit.
    HalfEven,
    /// Rounds away from zero.
    Up,
    /// Rounds towards zero.
    Down,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounding {
    pub at: RoundAt,
    pub mode: RoundMode,
    /// Digits behind the point.
    pub digits: u32,
}

impl Rounding {
    pub fn round(&self, amount: Decimal) -> Decimal {
        let strategy = match self.mode {
            RoundMode::HalfUp => RoundingStrategy::MidpointAwayFromZero,
            RoundMode::HalfEven => RoundingStrategy::MidpointNearestEven,
            RoundMode::Up => RoundingStrategy::AwayFromZero,
            RoundMode::Down => RoundingStrategy::ToZero,
        };
        amount.round_dp_with_strategy(self.digits, strategy)
    }

    /// Returns the amount rounded where this is what is rounded, else as it is.
    pub(super) fn if_at(&self, place: RoundAt, amount: Decimal) -> Decimal {
        if self.at == place {
            self.round(amount)
        } else {
            amount
        }
    }
}
