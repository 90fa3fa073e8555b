//! The account of a budget: what its calls cost day by day, and how much of it is used.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rust_decimal::Decimal;

use super::decimal::{LIMIT, add, subtract};
use super::{
    Bounds, BudgetPeriod, CostBudget, CostError, Cycle, CycleSpan, FORECAST_DAYS, Forecast,
    NoForecast, PriceList, SoFar, YearToDate, day_number, forecast, reached_ms, whole_days,
};
use crate::domain::{Catalog, UnixMillis, UsageTotal};

/// Days that are kept: those of the longest cycle and those that a forecast looks at.
const KEPT_DAYS: i64 = 31 + FORECAST_DAYS as i64 + 2;

/// Calls of a service on a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    pub cost: Bounds,
    /// Calls with a cost in the budget's currency.
    pub priced: u64,
    /// Calls whose cost is unknown, or in another currency.
    pub unpriced: u64,
}

impl Spent {
    /// Adds up; what does not fit stays at the most that does.
    fn add(&mut self, more: Spent) {
        self.cost = Bounds {
            low: self.cost.low.saturating_add(more.cost.low),
            high: self.cost.high.saturating_add(more.cost.high),
        };
        self.priced += more.priced;
        self.unpriced += more.unpriced;
    }
}

/// Costs of one budget's calls. Pure: who counts hands over what there is.
#[derive(Debug, Clone)]
pub struct BudgetAccount {
    budget: Arc<CostBudget>,
    /// Slugs; none: all.
    services: Option<BTreeSet<String>>,
    cycle: Cycle,
    /// Price lists whose fees count, by slug.
    fees: BTreeMap<String, Arc<PriceList>>,
    /// Days since 1970 by the clocks of the cycle's zone, then slugs.
    days: BTreeMap<i64, BTreeMap<String, Spent>>,
}

/// How much of a budget is used at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetFigures {
    pub span: CycleSpan,
    /// Cost of usage and fees, at least and at most.
    pub used: Bounds,
    /// Fees and missing parts of commitments among that.
    pub fees: Decimal,
    pub priced: u64,
    pub unpriced: u64,
    /// Cost at the end of the period.
    pub forecast: Result<Forecast, NoForecast>,
    /// When the amount will be reached, within the period; none if it is already, too.
    pub used_up_ms: Option<UnixMillis>,
}

/// What a budget comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetState {
    Within,
    /// The forecast is above the amount.
    AtRisk,
    /// The amount is reached.
    Exceeded,
}

/// A budget with its figures, or why there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetStanding {
    pub budget: Arc<CostBudget>,
    pub figures: Result<BudgetFigures, String>,
}

impl BudgetAccount {
    pub fn new(budget: Arc<CostBudget>, catalog: &Catalog) -> Self {
        let services = budget.scope.services_in(catalog);
        let cycle = budget.cycle_in(catalog, services.as_ref());
        let mut account = Self {
            budget,
            services,
            cycle,
            fees: BTreeMap::new(),
            days: BTreeMap::new(),
        };
        account.follow_fees(catalog);
        account
    }

    pub fn budget(&self) -> &Arc<CostBudget> {
        &self.budget
    }

    pub fn cycle(&self) -> &Cycle {
        &self.cycle
    }

    /// Slug of its service, if it is for one alone.
    pub fn only_service(&self) -> Option<&str> {
        let services = self.services.as_ref()?;
        (services.len() == 1).then(|| services.first().map(String::as_str))?
    }

    /// Whether what is counted here holds for another one as well.
    pub fn counts_as(&self, other: &Self) -> bool {
        self.budget.scope == other.budget.scope
            && self.budget.per == other.budget.per
            && self.budget.currency == other.budget.currency
            && self.services == other.services
            && self.cycle == other.cycle
    }

    /// Takes over what was counted by another one.
    pub fn take_over(&mut self, other: Self) {
        self.days = other.days;
    }

    /// Takes over changed price lists.
    pub fn follow_fees(&mut self, catalog: &Catalog) {
        let is_whole =
            self.budget.per == BudgetPeriod::Month && self.budget.scope.is_of_whole_services();
        let lists = catalog.prices.iter().filter(|(slug, list)| {
            is_whole
                && self.covers(slug)
                && list.cycle == self.cycle
                && list.currency == self.budget.currency
        });
        self.fees = lists
            .map(|(slug, list)| (slug.clone(), Arc::clone(list)))
            .collect();
    }

    pub fn covers(&self, slug: &str) -> bool {
        let services = self.services.as_ref();
        services.is_none_or(|services| services.contains(slug))
    }

    /// Counts calls of a minute, if they are the budget's. Amounts of units are nothing to it.
    pub fn count(&mut self, total: &UsageTotal) {
        let (key, figures) = (&total.key, &total.figures);
        let is_ours = key.unit.is_none()
            && self.covers(&key.service)
            && self.budget.scope.fits(key.consumer.as_deref(), &key.route);
        let Ok(day) = self.cycle.day_of(key.minute_ms) else {
            return;
        };
        if !is_ours {
            return;
        }
        let spent = if key.currency.as_deref() == Some(self.budget.currency.code().as_ref()) {
            Spent {
                cost: Bounds {
                    low: figures.cost_min,
                    high: figures.cost_max,
                },
                priced: figures.calls,
                unpriced: 0,
            }
        } else {
            Spent {
                unpriced: figures.calls,
                ..Spent::default()
            }
        };
        self.add(day_number(day), &key.service, spent);
    }

    /// Adds what was spent on a day, given in days since 1970.
    pub fn add(&mut self, day: i64, service: &str, spent: Spent) {
        let of_day = self.days.entry(day).or_default();
        of_day.entry(service.to_owned()).or_default().add(spent);
    }

    /// Adds all that another account of the same budget has.
    pub fn add_all(&mut self, other: &Self) {
        for (day, services) in &other.days {
            for (service, spent) in services {
                self.add(*day, service, *spent);
            }
        }
    }

    /// Returns the same without anything counted.
    pub fn emptied(&self) -> Self {
        Self {
            days: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// Returns the first moment that it looks at, and the beginning of its present period.
    pub fn range(&self, now_ms: UnixMillis) -> Result<(UnixMillis, CycleSpan), CostError> {
        let span = self.budget.per.around(&self.cycle, now_ms)?;
        let day_ms = 86_400_000;
        let looked_back = now_ms - (FORECAST_DAYS as i64 + 1) * day_ms;
        let floored = looked_back.div_euclid(day_ms) * day_ms;
        Ok((floored.min(span.from_ms), span))
    }

    /// Forgets days that nothing looks at any more.
    pub fn forget_before(&mut self, now_ms: UnixMillis) {
        if let Ok(today) = self.cycle.day_of(now_ms) {
            self.days = self.days.split_off(&(day_number(today) - KEPT_DAYS));
        }
    }

    pub fn figures(&self, now_ms: UnixMillis) -> Result<BudgetFigures, CostError> {
        let span = self.budget.per.around(&self.cycle, now_ms)?;
        let zone = self.cycle.zone;
        let (usage, used, counts) = self.used(&span)?;
        let extra = subtract(used.low, usage.low)?;
        let so_far = SoFar::at(zone, now_ms, usage.low)?;
        let days = whole_days(&self.costs(), so_far.today);
        let foreseen = forecast(&days, so_far, &span).and_then(|found| {
            // What is owed at least does not become less by more usage.
            let with_fees = |amount| Ok::<_, CostError>(add(amount, extra)?.max(used.low));
            Ok(Forecast {
                likely: with_fees(found.likely)?,
                low: with_fees(found.low)?,
                high: with_fees(found.high)?,
                ..found
            })
        });
        let is_reached = used.low >= self.budget.amount;
        let left = subtract(self.budget.amount, extra)?;
        let used_up_ms = reached_ms(&days, so_far, &span, zone, left).filter(|_| !is_reached);
        Ok(BudgetFigures {
            span,
            used,
            fees: extra,
            priced: counts.priced,
            unpriced: counts.unpriced,
            forecast: foreseen,
            used_up_ms,
        })
    }

    /// Returns the cost of usage, the same with fees, and the calls.
    fn used(&self, span: &CycleSpan) -> Result<(Bounds, Bounds, Spent), CostError> {
        let mut by_service: BTreeMap<&str, Spent> = BTreeMap::new();
        // Services without calls have fees all the same.
        for slug in self.fees.keys() {
            by_service.insert(slug, Spent::default());
        }
        let (first, end) = (day_number(span.first_day), day_number(span.end_day));
        for (slug, spent) in self.days.range(first..end).flat_map(|(_, day)| day) {
            by_service.entry(slug).or_default().add(*spent);
        }
        let (mut usage, mut used) = (Bounds::default(), Bounds::default());
        let mut counts = Spent::default();
        for (slug, spent) in by_service {
            counts.add(spent);
            usage = usage.plus(spent.cost)?;
            let owed = match self.fees.get(slug) {
                // What is missing to a commitment of a year is no cost of one of its months.
                Some(list) => {
                    list.settle(span, spent.cost, YearToDate { used: LIMIT })?
                        .owed
                }
                None => spent.cost,
            };
            used = used.plus(owed)?;
        }
        Ok((usage, used, counts))
    }

    /// Returns costs at least, by days.
    fn costs(&self) -> BTreeMap<i64, Decimal> {
        let cost = |services: &BTreeMap<String, Spent>| {
            let costs = services.values().map(|spent| spent.cost.low);
            costs.fold(Decimal::ZERO, Decimal::saturating_add)
        };
        let days = self
            .days
            .iter()
            .map(|(day, services)| (*day, cost(services)));
        days.filter(|(_, cost)| !cost.is_zero()).collect()
    }
}

impl BudgetFigures {
    pub fn state(&self, budget: &CostBudget) -> BudgetState {
        let is_at_risk = |forecast: &Forecast| forecast.likely > budget.amount;
        if self.used.low >= budget.amount {
            BudgetState::Exceeded
        } else if self.forecast.as_ref().is_ok_and(is_at_risk) {
            BudgetState::AtRisk
        } else {
            BudgetState::Within
        }
    }

    /// Percent of the amount that is used.
    pub fn share(&self, budget: &CostBudget) -> Decimal {
        let share = self.used.low.checked_div(budget.amount);
        let percent = share.and_then(|share| share.checked_mul(Decimal::ONE_HUNDRED));
        percent.unwrap_or(Decimal::MAX)
    }
}

impl BudgetState {
    pub fn as_str(self) -> &'static str {
        match self {
            BudgetState::Within => "within",
            BudgetState::AtRisk => "atRisk",
            BudgetState::Exceeded => "exceeded",
        }
    }
}

#[cfg(test)]
mod tests;
