//! Quantities that one call adds to the sums of its cycle: certainly, and at most.
//!
//! - Without a condition on the status, an answer below 500 is billed, except 429.
//! - With one, exactly the answers that it names are billed.
//! - Without an answer, after a time-out, and with 429 or 5xx, it is unknown: at least nothing, at
//!   most the dearest price that may apply.
//! - Attempts before the last one may have been billed, each as much as the last.
//! - What was not followed to its end may have used as much as one call can, by the price list, or
//!   else as the largest call of the cycle did.

use rust_decimal::Decimal;

use super::MeteredCall;
use crate::domain::cost::decimal::{add, is_countable, multiply, subtract};
use crate::domain::cost::{
    Bounds, Charge, CostError, CycleState, Price, PriceList, PriceVersion, RoundAt, Sums,
};
use crate::domain::{CallEnd, CallUnits};

/// A price with its sums after the call.
pub(super) struct Counted<'a> {
    pub(super) price: &'a Price,
    pub(super) sums: Sums,
}

/// Result of looking for a price of one unit.
enum Outcome<'a> {
    /// No price is for such calls, or the call lacks the unit.
    Foreign,
    /// Prices exist for such calls, and this one is free by them.
    Free,
    Charged(Vec<(&'a Price, Bounds)>),
}

/// Returns the sums that change. None: no price of the list is for the call.
pub(super) fn count<'a>(
    list: &PriceList,
    version: &'a PriceVersion,
    state: &CycleState,
    call: &MeteredCall<'_>,
) -> Result<Option<Vec<Counted<'a>>>, CostError> {
    let mut is_listed = false;
    let mut changed: Vec<Counted<'a>> = Vec::new();
    let is_first = |at: usize, price: &Price| {
        version.prices[..at]
            .iter()
            .all(|before| before.unit != price.unit)
    };
    let groups = version.prices.iter().enumerate();
    for (_, first) in groups.filter(|(at, price)| is_first(*at, price)) {
        let unit = Unit {
            name: &first.unit,
            version,
            state,
            call,
        };
        match unit.outcome()? {
            Outcome::Foreign => {}
            Outcome::Free => is_listed = true,
            Outcome::Charged(charges) => {
                is_listed = true;
                for (price, quantity) in charges {
                    let known = changed.iter().position(|counted| counted.price == price);
                    let before = match known {
                        Some(at) => changed.swap_remove(at).sums,
                        None => state.sums(&version.key(), &price.name),
                    };
                    let sums = unit.added(list, price, before, quantity)?;
                    changed.push(Counted { price, sums });
                }
            }
        }
    }
    Ok(is_listed.then_some(changed))
}

/// The prices of one unit, and one call.
struct Unit<'a, 'c> {
    name: &'a str,
    version: &'a PriceVersion,
    state: &'c CycleState,
    call: &'c MeteredCall<'c>,
}

impl<'a> Unit<'a, '_> {
    fn outcome(&self) -> Result<Outcome<'a>, CostError> {
        let call = self.call;
        let fitting = |price: &&Price| {
            price.unit == self.name && price.guard.fits(call.method, call.route, call.tags)
        };
        let prices: Vec<&Price> = self.version.prices.iter().filter(fitting).collect();
        let status = call.status.filter(|_| call.ended != CallEnd::Timeout);
        let Some(status) = status else {
            return self.unknown(&prices, call.attempts);
        };
        let named = |price: &&&Price| {
            let set = price.guard.status.as_ref();
            set.is_none_or(|set| set.contains(status))
        };
        let Some(price) = prices.iter().find(named) else {
            return Ok(if prices.is_empty() {
                Outcome::Foreign
            } else {
                Outcome::Free
            });
        };
        if price.guard.status.is_none() && (status >= 500 || status == 429) {
            return self.unknown(&[*price], call.attempts);
        }
        let Some(quantity) = self.quantity(price, false)? else {
            return Ok(Outcome::Foreign);
        };
        let mut charges = vec![(*price, quantity)];
        if call.attempts > 1
            && let Outcome::Charged(repeats) = self.unknown(&prices, call.attempts - 1)?
        {
            charges.extend(repeats);
        }
        Ok(Outcome::Charged(charges))
    }

    /// Charges so many attempts that may have been billed or not.
    fn unknown(&self, prices: &[&'a Price], attempts: u32) -> Result<Outcome<'a>, CostError> {
        let mut dearest: Option<(&Price, Decimal, Decimal)> = None;
        for &price in prices {
            let Some(quantity) = self.quantity(price, true)? else {
                continue;
            };
            let so_far = self.state.sums(&self.version.key(), &price.name).quantity;
            let cost = match &price.charge {
                Charge::Percent(percent) => percent.of(quantity.high)?,
                Charge::Tiers(tiers) => subtract(
                    tiers.amount(add(so_far.high, quantity.high)?)?,
                    tiers.amount(so_far.high)?,
                )?,
            };
            if dearest.is_none_or(|(_, _, most)| cost > most) {
                dearest = Some((price, quantity.high, cost));
            }
        }
        let Some((price, quantity, _)) = dearest else {
            return Ok(Outcome::Foreign);
        };
        let none = Bounds::default();
        let attempt = Bounds {
            high: quantity,
            ..none
        };
        let charges = match price.charge {
            Charge::Tiers(_) => {
                let high = multiply(quantity, attempts.into())?;
                vec![(price, Bounds { high, ..none })]
            }
            Charge::Percent(_) => vec![(price, attempt); attempts.min(MOST_ATTEMPTS) as usize],
        };
        Ok(Outcome::Charged(charges))
    }

    /// Returns how much of the unit the call used. None: it is not said, and the call was followed
    /// to its end.
    fn quantity(&self, price: &Price, is_unknown: bool) -> Result<Option<Bounds>, CostError> {
        let call = self.call;
        let exactly = |amount: Decimal| Ok(Some(Bounds::exactly(self.checked(amount)?)));
        match self.name {
            Price::CALL => return exactly(Decimal::ONE),
            Price::BYTES_IN => return exactly(call.bytes_in.into()),
            Price::BYTES_OUT => return exactly(call.bytes_out.into()),
            _ => {}
        }
        let (amounts, is_whole) = match call.units {
            CallUnits::Known(amounts) => (amounts, true),
            CallUnits::AtLeast(amounts) => (amounts, false),
        };
        let found = amounts.get(self.name).copied();
        if let (Some(amount), true) = (found, is_whole) {
            return exactly(amount);
        }
        if is_whole && !is_unknown {
            return Ok(None);
        }
        let low = self.checked(found.unwrap_or_default())?;
        let largest = self.state.sums(&self.version.key(), &price.name).largest;
        let high = price.most_per_call.unwrap_or(largest).max(low);
        Ok(Some(Bounds { low, high }))
    }

    fn checked(&self, amount: Decimal) -> Result<Decimal, CostError> {
        if is_countable(amount) {
            return Ok(amount);
        }
        Err(CostError::Quantity {
            unit: self.name.to_owned(),
        })
    }

    /// Returns the sums of a price with one more quantity.
    fn added(
        &self,
        list: &PriceList,
        price: &Price,
        before: Sums,
        quantity: Bounds,
    ) -> Result<Sums, CostError> {
        let after = before.quantity.plus(quantity)?;
        let is_certain = !quantity.low.is_zero();
        let round = |amount| list.rounding.if_at(RoundAt::Call, amount);
        let amount = match &price.charge {
            Charge::Percent(percent) => Bounds {
                low: if is_certain {
                    round(percent.of(quantity.low)?)
                } else {
                    Decimal::ZERO
                },
                high: round(percent.of(quantity.high)?),
            },
            Charge::Tiers(tiers) if list.rounding.at == RoundAt::Call => {
                let step = tiers.bounds(after)?.minus(tiers.bounds(before.quantity)?)?;
                step.map(round)
            }
            Charge::Tiers(_) => Bounds::default(),
        };
        let is_exact = is_certain && quantity.low == quantity.high;
        Ok(Sums {
            quantity: after,
            amount: before.amount.plus(amount)?,
            largest: if is_exact {
                before.largest.max(quantity.low)
            } else {
                before.largest
            },
        })
    }
}

/// More attempts of one call at a price of percent are counted as so many.
const MOST_ATTEMPTS: u32 = 16;
