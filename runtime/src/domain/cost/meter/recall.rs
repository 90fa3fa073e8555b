//! Goes on after a restart from sums of calls, which do not have everything that single calls had:
//! the tags are gone, the status is known by its class, and bounds of percents are not looked at.
//! What was booked stays booked; tiers, allowances and credits go on where they were.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::CycleMeter;
use crate::domain::cost::bill::price_of_usage;
use crate::domain::cost::decimal::{add, divide, multiply};
use crate::domain::cost::{Bounds, Charge, CostError, Price, PriceList, RoundAt, Sums};
use crate::domain::{CallEnd, UnixMillis};

/// Calls of one kind, added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallGroup {
    /// A moment in the cycle and the version of the prices that all of them belong to.
    pub ts_ms: UnixMillis,
    pub method: String,
    pub route: String,
    /// First of the class of their answers, e.g. 200; none: there was no answer.
    pub status: Option<u16>,
    pub ended: CallEnd,
    pub units: BTreeMap<String, Decimal>,
    pub calls: u64,
    pub attempts: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl CallGroup {
    fn quantity(&self, unit: &str) -> Option<Decimal> {
        match unit {
            Price::CALL => Some(self.calls.into()),
            Price::BYTES_IN => Some(self.bytes_in.into()),
            Price::BYTES_OUT => Some(self.bytes_out.into()),
            _ => self.units.get(unit).copied(),
        }
    }

    /// Returns the answer's status, where it is known that there was a whole one.
    fn answered(&self) -> Option<u16> {
        self.status.filter(|_| self.ended != CallEnd::Timeout)
    }

    /// Whether a price is for such calls, and whether it is certain that they were billed.
    fn is_billed(&self, price: &Price) -> Option<bool> {
        match (self.answered(), &price.guard.status) {
            (None, _) => Some(false),
            (Some(status), None) => Some(status < 500),
            (Some(status), Some(set)) => set.contains(status).then_some(true),
        }
    }
}

impl CycleMeter {
    /// Counts calls that were priced before.
    pub fn recall(&mut self, group: &CallGroup) -> Result<(), CostError> {
        if group.calls == 0 || group.attempts == 0 {
            return Ok(());
        }
        let at = self.open_at(group.ts_ms)?;
        let day = self.list.cycle.day_of(group.ts_ms)?;
        let version = &self.list.versions[self.list.version_on(day)];
        let tags = BTreeMap::new();
        let mut after = self.open[at].state.clone();
        let used = after.used.entry(version.key()).or_default();
        let mut seen: Vec<&str> = Vec::new();
        for price in &version.prices {
            let fits = price.guard.fits(&group.method, &group.route, &tags);
            if seen.contains(&price.unit.as_str()) || !fits {
                continue;
            }
            let Some(is_certain) = group.is_billed(price) else {
                continue;
            };
            seen.push(&price.unit);
            let quantity = group.quantity(&price.unit);
            if let Some(quantity) = quantity.filter(|quantity| !quantity.is_sign_negative()) {
                let sums = used.entry(price.name.clone()).or_default();
                *sums = recalled(&self.list, price, *sums, group, quantity, is_certain)?;
            }
        }
        let cycle = &mut self.open[at];
        cycle.price = price_of_usage(&self.list, &cycle.span, &after)?.used;
        cycle.state = after;
        Ok(())
    }
}

fn recalled(
    list: &PriceList,
    price: &Price,
    before: Sums,
    group: &CallGroup,
    quantity: Decimal,
    is_certain: bool,
) -> Result<Sums, CostError> {
    let calls = Decimal::from(group.calls);
    let each = divide(quantity, calls)?;
    let most = multiply(each, group.attempts.max(group.calls).into())?;
    let certain = if is_certain { quantity } else { Decimal::ZERO };
    let more = Bounds {
        low: certain,
        high: most,
    };
    let after = before.quantity.plus(more)?;
    let amount = match &price.charge {
        Charge::Percent(percent) => {
            let of = |quantity: Decimal, calls: Decimal| -> Result<Decimal, CostError> {
                let share = divide(multiply(quantity, percent.percent)?, Decimal::ONE_HUNDRED)?;
                add(share, multiply(percent.plus, calls)?)
            };
            Bounds {
                low: if is_certain {
                    of(quantity, calls)?
                } else {
                    Decimal::ZERO
                },
                high: of(most, group.attempts.max(group.calls).into())?,
            }
        }
        Charge::Tiers(tiers) if list.rounding.at == RoundAt::Call => {
            tiers.bounds(after)?.minus(tiers.bounds(before.quantity)?)?
        }
        Charge::Tiers(_) => Bounds::default(),
    };
    Ok(Sums {
        quantity: after,
        amount: before.amount.plus(amount)?,
        largest: if is_certain {
            before.largest.max(each)
        } else {
            before.largest
        },
    })
}
