//! One price of a list: what a unit costs, as a pure function of how much was used.

use rust_decimal::Decimal;

use super::decimal::{add, divide, kept, multiply, subtract, up_to_multiple};
use super::{Bounds, CostError, Guard};

/// Price of one unit for the calls that its guard fits. Of the prices of one unit the first that
/// fits a call is the call's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// Unique in its list: the line of the bill.
    pub name: String,
    /// `call`, `bytes_in`, `bytes_out`, or a unit that calls report.
    pub unit: String,
    pub guard: Guard,
    pub charge: Charge,
    /// The most of the unit that one call can use.
    pub most_per_call: Option<Decimal>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Charge {
    /// Computed from the sum over the cycle.
    Tiers(Tiers),
    /// Computed for each call by itself.
    Percent(Percent),
}

/// Price by quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tiers {
    pub mode: TierMode,
    /// Quantity that a price is for, e.g. 1000000; above zero.
    pub per: Decimal,
    /// A block of `per` that was begun is billed as a whole.
    pub whole_blocks: bool,
    pub allowance: Option<Allowance>,
    /// Tiers in order, at least one; the last has no end.
    pub tiers: Vec<Tier>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TierMode {
    /// Each part of the quantity costs its tier's price.
    Graduated,
    /// The whole quantity costs the price of the tier that it lands in.
    Volume,
}

/// Quantity without a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub quantity: Decimal,
    pub place: AllowancePlace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowancePlace {
    /// The tiers begin to count behind it.
    BeforeTiers,
    /// The allowance uses up the first tiers.
    InsideTiers,
}

/// Price of a quantity above the tier before, up to and with its own end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// End of the tier, if it has one.
    pub up_to: Option<Decimal>,
    /// Price of `per` units.
    pub price: Decimal,
}

/// Share of an amount that each call moves, e.g. `2.9 % + 0.30`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Percent {
    pub percent: Decimal,
    pub plus: Decimal,
    pub minimum: Option<Decimal>,
    pub maximum: Option<Decimal>,
}

impl Percent {
    pub fn of(&self, amount: Decimal) -> Result<Decimal, CostError> {
        let share = divide(multiply(amount, self.percent)?, Decimal::ONE_HUNDRED)?;
        let mut cost = add(share, self.plus)?;
        if let Some(minimum) = self.minimum {
            cost = cost.max(minimum);
        }
        if let Some(maximum) = self.maximum {
            cost = cost.min(maximum);
        }
        kept(cost)
    }
}

impl Tiers {
    /// One price without tiers.
    pub fn flat(price: Decimal, per: Decimal) -> Self {
        Self {
            mode: TierMode::Graduated,
            per,
            whole_blocks: false,
            allowance: None,
            tiers: vec![Tier { up_to: None, price }],
        }
    }

    /// Returns the single price of a unit, if nothing else matters.
    pub fn flat_price(&self) -> Option<(Decimal, Decimal)> {
        match self.tiers.as_slice() {
            [only] if !self.whole_blocks && self.allowance.is_none() => {
                Some((only.price, self.per))
            }
            _ => None,
        }
    }

    /// Returns what this quantity costs, to twelve digits.
    pub fn amount(&self, quantity: Decimal) -> Result<Decimal, CostError> {
        let (from, to) = self.billed(quantity)?;
        let sum = match self.mode {
            TierMode::Graduated => subtract(self.graduated(to)?, self.graduated(from)?)?,
            TierMode::Volume => multiply(subtract(to, from)?, self.tier_of(to).price)?,
        };
        kept(divide(sum, self.per)?)
    }

    /// Returns the least and the most that a quantity within these bounds costs. With volume tiers
    /// more can cost less, so the ends of the tiers between them count, too.
    pub fn bounds(&self, quantity: Bounds) -> Result<Bounds, CostError> {
        let mut bounds = Bounds {
            low: self.amount(quantity.low)?,
            high: self.amount(quantity.high)?,
        };
        if self.mode == TierMode::Graduated {
            return Ok(bounds);
        }
        bounds = Bounds {
            low: bounds.low.min(bounds.high),
            high: bounds.low.max(bounds.high),
        };
        let (low, high) = (self.billed(quantity.low)?, self.billed(quantity.high)?);
        let ends = self.tiers.iter().zip(self.tiers.iter().skip(1));
        for (tier, next) in ends {
            let Some(end) = tier.up_to.filter(|end| (low.1..high.1).contains(end)) else {
                continue;
            };
            let billed = subtract(end, high.0.min(end))?;
            for price in [tier.price, next.price] {
                let amount = kept(divide(multiply(billed, price)?, self.per)?)?;
                bounds.low = bounds.low.min(amount);
                bounds.high = bounds.high.max(amount);
            }
        }
        Ok(bounds)
    }

    /// Returns where in the tiers what is billed begins and ends.
    fn billed(&self, quantity: Decimal) -> Result<(Decimal, Decimal), CostError> {
        let (allowed, place) = match &self.allowance {
            None => (Decimal::ZERO, AllowancePlace::BeforeTiers),
            Some(allowance) => (allowance.quantity, allowance.place),
        };
        let mut billed = subtract(quantity, allowed.min(quantity))?;
        if self.whole_blocks {
            billed = up_to_multiple(billed, self.per)?;
        }
        match place {
            AllowancePlace::BeforeTiers => Ok((Decimal::ZERO, billed)),
            AllowancePlace::InsideTiers => {
                let from = allowed.min(quantity);
                Ok((from, add(from, billed)?))
            }
        }
    }

    /// Returns price times quantity, tier by tier.
    fn graduated(&self, quantity: Decimal) -> Result<Decimal, CostError> {
        let (mut sum, mut from) = (Decimal::ZERO, Decimal::ZERO);
        for tier in &self.tiers {
            let to = tier.up_to.map_or(quantity, |end| end.min(quantity));
            if to > from {
                sum = add(sum, multiply(subtract(to, from)?, tier.price)?)?;
                from = to;
            }
        }
        Ok(sum)
    }

    fn tier_of(&self, quantity: Decimal) -> &Tier {
        let lands = self
            .tiers
            .iter()
            .find(|tier| tier.up_to.is_none_or(|end| quantity <= end));
        lands
            .or(self.tiers.last())
            .expect("a list is checked to have a tier")
    }
}

impl Price {
    /// The unit of which every call uses one for each attempt.
    pub const CALL: &'static str = "call";
    pub const BYTES_IN: &'static str = "bytes_in";
    pub const BYTES_OUT: &'static str = "bytes_out";

    /// Returns what one quantity costs by itself.
    pub fn amount(&self, quantity: Decimal) -> Result<Decimal, CostError> {
        match &self.charge {
            Charge::Tiers(tiers) => tiers.amount(quantity),
            Charge::Percent(percent) => percent.of(quantity),
        }
    }
}
