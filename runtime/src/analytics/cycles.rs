//! The present cycle of each service: what is owed, and what it will have cost at its end.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;

use super::{Group, Question};
use crate::domain::cost::{
    Bounds, Cycle, CycleSpan, DayCost, FORECAST_DAYS, PriceList, SoFar, YearToDate, forecast,
    start_of_day_ms,
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
            let offset_ms = offset_ms(list.cycle.zone, now_ms);
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

/// Returns how far the clocks of a zone are before UTC. Days before clocks were changed are off by
/// that change, which a median of days does not notice.
fn offset_ms(zone: Tz, now_ms: UnixMillis) -> i64 {
    let now = DateTime::<Utc>::from_timestamp_millis(now_ms).unwrap_or_default();
    let offset = zone.offset_from_utc_datetime(&now.naive_utc()).fix();
    i64::from(offset.local_minus_utc()) * 1_000
}

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
    let foreseen = so_far(list, used, now_ms).and_then(|so_far| {
        let days = whole_days(days, so_far.today);
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

fn so_far(list: &PriceList, used: Bounds, now_ms: UnixMillis) -> Result<SoFar, String> {
    let zone = list.cycle.zone;
    let today = list.cycle.day_of(now_ms).map_err(|it| it.to_string())?;
    let tomorrow = today
        .checked_add_days(Days::new(1))
        .ok_or_else(|| "the calendar ends today".to_owned())?;
    let start = start_of_day_ms(zone, today).map_err(|it| it.to_string())?;
    let end = start_of_day_ms(zone, tomorrow).map_err(|it| it.to_string())?;
    Ok(SoFar {
        today,
        left: (end - now_ms) as f64 / (end - start).max(1) as f64,
        used: used.low,
    })
}

/// Returns the days before today from the first with a cost on; those in between without one cost
/// nothing.
fn whole_days(days: Option<&BTreeMap<i64, Decimal>>, today: NaiveDate) -> Vec<DayCost> {
    let Some(days) = days else {
        return Vec::new();
    };
    let number = |day: NaiveDate| day.signed_duration_since(NaiveDate::default()).num_days();
    let today = number(today);
    let oldest = today - FORECAST_DAYS as i64;
    let Some(first) = days.keys().find(|day| **day >= oldest).copied() else {
        return Vec::new();
    };
    let whole = (first..today).filter_map(|number| {
        let since = Days::new(u64::try_from(number).ok()?);
        Some(DayCost {
            day: NaiveDate::default().checked_add_days(since)?,
            cost: days.get(&number).copied().unwrap_or_default(),
        })
    });
    whole.collect()
}
