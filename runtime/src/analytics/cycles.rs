//! The present cycle of each service: what is owed, and what it will have cost at its end.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::{Group, Question};
use crate::domain::cost::{
    Bounds, Cycle, CycleSpan, FORECAST_DAYS, PriceList, SoFar, YearToDate, forecast, whole_days,
};
use crate::domain::{Catalog, UnixMillis};
use crate::store::{UsageQuestion, UsageSum};

/// The present cycle of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CycleOfService {
    pub span: CycleSpan,
    pub fees: Decimal,
    /// Money missing to the commitment.
    pub true_up: Decimal,
    pub owed: Bounds,
    /// Money that will be owed at its end, or why there is no forecast.
    pub forecast: Result<CycleForecast, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CycleForecast {
    pub likely: Decimal,
    pub low: Decimal,
    pub high: Decimal,
    /// Whole days that it is made from.
    pub days: usize,
    pub by_weekday: bool,
}

/// One question to the store, and the services whose rows of the answer count.
pub(super) struct Part {
    pub(super) question: UsageQuestion,
    /// Slugs; none: all services.
    services: Option<BTreeSet<String>>,
}

impl Part {
    pub(super) fn holds(&self, slug: &str) -> bool {
        let services = self.services.as_ref();
        services.is_none_or(|services| services.contains(slug))
    }
}

/// Returns one question, or one for each cycle that services are in. Services without a price list
/// have the calendar month.
pub(super) fn parts(catalog: &Catalog, question: &Question, now_ms: UnixMillis) -> Vec<Part> {
    let base = UsageQuestion {
        service: question.service.clone(),
        by_consumer: question.by.contains(&Group::Consumer),
        by_route: question.by.contains(&Group::Route),
        by_day: question.by.contains(&Group::Day),
        ..UsageQuestion::default()
    };
    if let Some((from_ms, until_ms)) = question.range {
        let question = UsageQuestion {
            from_ms,
            until_ms,
            ..base
        };
        let services = None;
        return vec![Part { question, services }];
    }
    let mut spans: BTreeMap<(UnixMillis, UnixMillis), BTreeSet<String>> = BTreeMap::new();
    let services = catalog.services.keys().chain(catalog.stopped.keys());
    let slugs: BTreeSet<&String> = services.chain(catalog.prices.keys()).collect();
    for slug in slugs {
        let list = catalog.prices.get(slug);
        let cycle = list.map_or_else(Cycle::default, |list| list.cycle);
        if question.asks_for(slug)
            && let Ok(span) = cycle.around(now_ms)
        {
            let services = spans.entry((span.from_ms, span.until_ms)).or_default();
            services.insert(slug.clone());
        }
    }
    let parts = spans
        .into_iter()
        .map(|((from_ms, until_ms), services)| Part {
            question: UsageQuestion {
                from_ms,
                until_ms,
                ..base.clone()
            },
            services: Some(services),
        });
    parts.collect()
}

/// Returns one question for each zone of price lists: the days that forecasts are made from.
pub(super) fn day_parts(catalog: &Catalog, question: &Question, now_ms: UnixMillis) -> Vec<Part> {
    let mut zones: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for (slug, list) in &catalog.prices {
        if question.asks_for(slug) {
            // A median of days does not notice that clocks were changed.
            let offset_ms = list.cycle.offset_ms(now_ms);
            zones.entry(offset_ms).or_default().insert(slug.clone());
        }
    }
    let looked_back_ms = (FORECAST_DAYS as i64 + 1) * DAY_MS;
    let parts = zones.into_iter().map(|(offset_ms, services)| Part {
        question: UsageQuestion {
            from_ms: now_ms - looked_back_ms,
            until_ms: now_ms + DAY_MS,
            service: question.service.clone(),
            by_day: true,
            offset_ms,
            ..UsageQuestion::default()
        },
        services: Some(services),
    });
    parts.collect()
}

const DAY_MS: i64 = 86_400_000;

/// Costs by service and currency, then by days since 1970.
pub(super) type CostByDay = BTreeMap<(String, String), BTreeMap<i64, Decimal>>;

pub(super) fn add_days<'a>(days: &mut CostByDay, sums: impl Iterator<Item = &'a UsageSum>) {
    for sum in sums {
        let (Some(currency), Some(day)) = (&sum.currency, sum.key.day) else {
            continue;
        };
        let of_service = days
            .entry((sum.key.service.clone(), currency.clone()))
            .or_default();
        let cost = of_service.entry(day).or_default();
        *cost = cost.saturating_add(sum.all.cost.low);
    }
}

/// Returns the figures of the present cycle; none for a moment without one.
pub(super) fn cycle_of(
    list: &PriceList,
    used: Bounds,
    days: Option<&BTreeMap<i64, Decimal>>,
    year: Decimal,
    now_ms: UnixMillis,
) -> Option<CycleOfService> {
    let span = list.cycle.around(now_ms).ok()?;
    let year = YearToDate { used: year };
    let bill = list.settle(&span, used, year).ok()?;
    let owed_for = |used| -> Result<Decimal, String> {
        let bill = list.settle(&span, Bounds::exactly(used), year);
        bill.map(|bill| bill.owed.low)
            .map_err(|error| error.to_string())
    };
    let so_far = SoFar::at(list.cycle.zone, now_ms, used.low).map_err(|it| it.to_string());
    let foreseen = so_far.and_then(|so_far| {
        let days = days.map_or_else(Vec::new, |days| whole_days(days, so_far.today));
        forecast(&days, so_far, &span).map_err(|error| error.to_string())
    });
    let forecast = foreseen.and_then(|found| {
        Ok(CycleForecast {
            likely: owed_for(found.likely)?,
            low: owed_for(found.low)?,
            high: owed_for(found.high)?,
            days: found.days,
            by_weekday: found.by_weekday,
        })
    });
    Some(CycleOfService {
        span,
        fees: bill.fees,
        true_up: bill.true_up,
        owed: bill.owed,
        forecast,
    })
}
