//! Figures of a budget as rules see them: amounts in millionths.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::domain::cost::BudgetStanding;
use crate::domain::{BudgetUsage, UsageToDate};

pub(super) fn usage_of(standing: &BudgetStanding) -> UsageToDate {
    let budget = &standing.budget;
    let mut usage = UsageToDate {
        meter: budget.slug.clone(),
        period_start_ms: 0,
        period_end_ms: 0,
        used: 0.0,
        quota: budget.amount.to_f64(),
        cost_micros: None,
        budget_micros: Some(micros(budget.amount)),
        currency: budget.currency.code().as_ref().to_owned(),
        budget: None,
        invoice: None,
    };
    let mut of_budget = BudgetUsage {
        name: budget.name.clone(),
        ..BudgetUsage::default()
    };
    match &standing.figures {
        Err(reason) => of_budget.missing = Some(reason.clone()),
        Ok(figures) => {
            usage.period_start_ms = figures.span.from_ms;
            usage.period_end_ms = figures.span.until_ms;
            usage.used = figures.used.low.to_f64().unwrap_or_default();
            usage.cost_micros = Some(micros(figures.used.low));
            of_budget.used_up_ms = figures.used_up_ms;
            match &figures.forecast {
                Ok(forecast) => {
                    of_budget.forecast_micros =
                        Some([forecast.likely, forecast.low, forecast.high].map(micros));
                }
                Err(reason) => of_budget.forecast_missing = Some(reason.to_string()),
            }
        }
    }
    usage.budget = Some(of_budget);
    usage
}

/// Rounded down: a threshold is not reached before it is.
fn micros(amount: Decimal) -> i64 {
    let micros = amount.checked_mul(Decimal::from(1_000_000));
    let whole = micros.and_then(|micros| micros.floor().to_i64());
    whole.unwrap_or(i64::MAX)
}
