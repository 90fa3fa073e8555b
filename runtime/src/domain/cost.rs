//! Cost of calls: price lists, the cycle that they are billed by, and the meter that prices one
//! call after another.
//!
//! The price of a cycle is a pure function of what was used in it; the cost of a call is the
//! difference between the price with it and the price without. All amounts are exact decimals, and
//! what does not fit is an error, never a panic.

mod bill;
mod budget;
mod budget_account;
mod currency;
mod cycle;
mod decimal;
mod error;
mod forecast;
mod guard;
mod list;
mod meter;
mod price;
mod rounding;
mod sums;

pub use bill::{Bill, BillLine, LineKind, YearToDate};
pub use budget::{BudgetPeriod, BudgetScope, CostBudget, budget_subject};
pub use budget_account::{BudgetAccount, BudgetFigures, BudgetStanding, BudgetState, Spent};
pub use currency::Currency;
pub use cycle::{Cycle, CycleSpan, start_of_day_ms};
pub use decimal::{MAX_SCALE, parse_amount};
pub use error::CostError;
pub use forecast::{
    DayCost, FORECAST_DAYS, Forecast, NoForecast, SoFar, day_number, forecast, reached_ms,
    whole_days,
};
pub use guard::{Guard, StatusSet};
pub use list::{Commitment, CommitmentPeriod, Fee, PriceList, PriceVersion};
pub use meter::{CallGroup, CycleMeter, MeteredCall};
pub use price::{Allowance, AllowancePlace, Charge, Percent, Price, Tier, TierMode, Tiers};
pub use rounding::{RoundAt, RoundMode, Rounding};
pub use sums::{Bounds, CycleState, MeterState, Sums};

#[cfg(test)]
mod tests;
