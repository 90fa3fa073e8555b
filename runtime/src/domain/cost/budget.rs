//! Budgets: money that may be spent on calls in a period.

use std::collections::BTreeSet;

use chrono::{Datelike, Days, NaiveDate};
use rust_decimal::Decimal;

use super::guard::is_match;
use super::{CostError, Currency, Cycle, CycleSpan, start_of_day_ms};
use crate::domain::{Catalog, UnixMillis};

/// Time after which a budget begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetPeriod {
    /// Billing cycle.
    Month,
    /// From Monday.
    Week,
    Day,
}

impl BudgetPeriod {
    pub fn as_str(self) -> &'static str {
        match self {
            BudgetPeriod::Month => "month",
            BudgetPeriod::Week => "week",
            BudgetPeriod::Day => "day",
        }
    }

    /// Returns the period that a moment lies in, by the clocks of the cycle's zone.
    pub fn around(self, cycle: &Cycle, now_ms: UnixMillis) -> Result<CycleSpan, CostError> {
        let today = cycle.day_of(now_ms)?;
        let (first_day, days) = match self {
            BudgetPeriod::Month => return cycle.around(now_ms),
            BudgetPeriod::Week => {
                let since_monday = today.weekday().num_days_from_monday();
                (earlier(today, since_monday.into())?, 7)
            }
            BudgetPeriod::Day => (today, 1),
        };
        let end_day = first_day
            .checked_add_days(Days::new(days))
            .ok_or(CostError::Moment)?;
        Ok(CycleSpan {
            first_day,
            end_day,
            from_ms: start_of_day_ms(cycle.zone, first_day)?,
            until_ms: start_of_day_ms(cycle.zone, end_day)?,
        })
    }
}

fn earlier(day: NaiveDate, days: u64) -> Result<NaiveDate, CostError> {
    day.checked_sub_days(Days::new(days))
        .ok_or(CostError::Moment)
}

/// Calls that a budget is for; all conditions have to hold. Empty: every call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BudgetScope {
    /// Slugs.
    pub services: Vec<String>,
    /// Tags of services, of which each has one at least.
    pub tags: Vec<String>,
    /// Names of callers.
    pub consumers: Vec<String>,
    /// Patterns with `*` for any characters.
    pub routes: Vec<String>,
}

impl BudgetScope {
    /// Returns the slugs of the services that it is for; none: all, also those that are gone.
    pub fn services_in(&self, catalog: &Catalog) -> Option<BTreeSet<String>> {
        if self.tags.is_empty() {
            return (!self.services.is_empty()).then(|| self.services.iter().cloned().collect());
        }
        let all = catalog.services.iter().chain(&catalog.stopped);
        let tagged = all.filter(|(slug, service)| {
            (self.services.is_empty() || self.services.contains(*slug))
                && self.tags.iter().any(|tag| service.tags.contains(tag))
        });
        Some(tagged.map(|(slug, _)| slug.clone()).collect())
    }

    /// Whether a call of one of its services counts.
    pub fn fits(&self, consumer: Option<&str>, route: &str) -> bool {
        let is_consumer = self.consumers.is_empty()
            || consumer.is_some_and(|name| self.consumers.iter().any(|known| known == name));
        let is_route =
            self.routes.is_empty() || self.routes.iter().any(|pattern| is_match(pattern, route));
        is_consumer && is_route
    }

    /// Whether all calls of its services count, so that their fees do as well.
    pub fn is_of_whole_services(&self) -> bool {
        self.consumers.is_empty() && self.routes.is_empty()
    }
}

/// Money that may be spent in a period, and when that is an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostBudget {
    /// Unique; made of the name.
    pub slug: String,
    pub name: String,
    /// Above zero, with at most six digits behind the point.
    pub amount: Decimal,
    pub currency: Currency,
    pub per: BudgetPeriod,
    pub scope: BudgetScope,
    /// Percent of the amount at which there is an alert each, the least first.
    pub alert_at: Vec<Decimal>,
    /// Whether a forecast above the amount is an alert.
    pub alerts_on_forecast: bool,
}

impl CostBudget {
    /// Returns the cycle by which its days and months are counted: that of its services' price
    /// lists if they agree, else the calendar in UTC.
    pub fn cycle_in(&self, catalog: &Catalog, services: Option<&BTreeSet<String>>) -> Cycle {
        let mut lists = catalog
            .prices
            .iter()
            .filter(|(slug, _)| services.is_none_or(|services| services.contains(*slug)))
            .map(|(_, list)| list.cycle);
        let Some(first) = lists.next() else {
            return Cycle::default();
        };
        if lists.all(|cycle| cycle == first) {
            first
        } else {
            Cycle::default()
        }
    }
}

/// Returns the subject of a budget's alerts, in the place of a service; no slug has a `:`.
pub fn budget_subject(slug: &str) -> String {
    format!("budget:{slug}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> UnixMillis {
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn periods_begin_at_midnights_of_the_zone() {
        let cycle = |zone: &str| Cycle {
            day: 15,
            zone: zone.parse().unwrap(),
        };
        // A Sunday evening in Berlin, on which clocks went back.
        let now_ms = ms("2026-10-25T22:30:00Z");
        for (per, zone, from, until) in [
            (
                BudgetPeriod::Day,
                "UTC",
                "2026-10-25T00:00:00Z",
                "2026-10-26T00:00:00Z",
            ),
            (
                BudgetPeriod::Day,
                "Europe/Berlin",
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
            (
                BudgetPeriod::Week,
                "Europe/Berlin",
                "2026-10-18T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
            (
                BudgetPeriod::Week,
                "Asia/Tokyo",
                "2026-10-25T15:00:00Z",
                "2026-11-01T15:00:00Z",
            ),
            (
                BudgetPeriod::Month,
                "UTC",
                "2026-10-15T00:00:00Z",
                "2026-11-15T00:00:00Z",
            ),
        ] {
            let span = per.around(&cycle(zone), now_ms).unwrap();
            assert_eq!(
                (span.from_ms, span.until_ms),
                (ms(from), ms(until)),
                "{per:?} {zone}"
            );
        }
    }

    #[test]
    fn all_conditions_of_a_scope_have_to_hold() {
        let scope = BudgetScope {
            consumers: vec!["shop".to_owned()],
            routes: vec!["/v1/*".to_owned(), "/lookups".to_owned()],
            ..BudgetScope::default()
        };
        for (consumer, route, fits) in [
            (Some("shop"), "/v1/charges", true),
            (Some("shop"), "/lookups", true),
            (Some("shop"), "/lookups/{id}", false),
            (Some("other"), "/v1/charges", false),
            (None, "/v1/charges", false),
        ] {
            assert_eq!(scope.fits(consumer, route), fits, "{consumer:?} {route}");
        }
        assert!(BudgetScope::default().fits(None, "/"));
    }
}
