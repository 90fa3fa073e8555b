//! Cost of a cycle at its end, estimated from the days before: the median of each weekday, with a
//! band that narrows as the end comes near. A forecast is an estimate, and is computed with floats.

use std::collections::BTreeMap;

use chrono::{Datelike, Days, NaiveDate, Weekday};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use rust_decimal::prelude::{FromPrimitive, ToPrimitive};

use super::decimal::add;
use super::{CostError, Cycle, CycleSpan, start_of_day_ms};
use crate::domain::UnixMillis;

/// Cost of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayCost {
    pub day: NaiveDate,
    pub cost: Decimal,
}

/// Facts about the cycle so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoFar {
    /// The day that is not over.
    pub today: NaiveDate,
    /// Share of today that is still to come, 0 to 1.
    pub left: f64,
    /// Cost of today and of the cycle's days before.
    pub used: Decimal,
}

impl SoFar {
    /// Returns the facts at a moment, by the clocks of a zone.
    pub fn at(zone: Tz, now_ms: UnixMillis, used: Decimal) -> Result<Self, CostError> {
        let today = Cycle { day: 1, zone }.day_of(now_ms)?;
        let start = start_of_day_ms(zone, today)?;
        let end = start_of_day_ms(zone, next(today)?)?;
        Ok(Self {
            today,
            left: (end - now_ms) as f64 / (end - start).max(1) as f64,
            used,
        })
    }
}

/// Cost of a cycle at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    pub likely: Decimal,
    /// Four of five cycles end between these two, if days go on as they did.
    pub low: Decimal,
    pub high: Decimal,
    /// Days that it is made from.
    pub days: usize,
    /// Whether they were enough to judge each weekday by itself.
    pub by_weekday: bool,
}

/// Reason for which there is no forecast.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoForecast {
    #[error("only {found} whole days are known, and {MIN_DAYS} are needed")]
    TooFewDays { found: usize },
    #[error("the cycle is over")]
    Over,
    #[error(transparent)]
    Amount(#[from] CostError),
}

/// Days that are looked at, the newest: four of each weekday.
pub const FORECAST_DAYS: usize = 28;
/// Fewer days are no basis for a forecast.
const MIN_DAYS: usize = 3;
/// Days of the same weekday from which on it is judged by itself.
const MIN_OF_WEEKDAY: usize = 2;
/// Four of five values of a normal distribution lie within so many standard deviations.
const BAND: f64 = 1.2816;
/// The standard deviation by the mean absolute one; and that of a median by that of a mean.
const BY_MEAN_DEVIATION: f64 = 1.2533;

/// Estimates the cost at the end of the cycle. `days` are whole days before today without a gap,
/// oldest first, also those of earlier cycles.
pub fn forecast(days: &[DayCost], so_far: SoFar, span: &CycleSpan) -> Result<Forecast, NoForecast> {
    if so_far.today >= span.end_day {
        return Err(NoForecast::Over);
    }
    let days = &days[days.len().saturating_sub(FORECAST_DAYS)..];
    if days.len() < MIN_DAYS {
        return Err(NoForecast::TooFewDays { found: days.len() });
    }
    let usual = Usual::of(days);
    let mut coming = Decimal::ZERO;
    let mut count = 0.0;
    let mut day = so_far.today;
    while day < span.end_day {
        let share = if day == so_far.today {
            so_far.left.clamp(0.0, 1.0)
        } else {
            1.0
        };
        let part = usual.on(day.weekday()).to_f64().unwrap_or_default() * share;
        coming = add(coming, decimal(part)?)?;
        count += share;
        day = next(day)?;
    }
    let likely = add(so_far.used, coming)?;
    let spread = decimal(usual.spread(count, days.len()))?;
    Ok(Forecast {
        likely,
        low: add(likely, -spread)?.max(so_far.used),
        high: add(likely, spread)?,
        days: days.len(),
        by_weekday: usual.by_weekday,
    })
}

/// Returns the moment at which usage will have cost so much, if usual days follow; none: not in this
/// cycle, or too few days are known.
pub fn reached_ms(
    days: &[DayCost],
    so_far: SoFar,
    span: &CycleSpan,
    zone: Tz,
    amount: Decimal,
) -> Option<UnixMillis> {
    let days = &days[days.len().saturating_sub(FORECAST_DAYS)..];
    if days.len() < MIN_DAYS {
        return None;
    }
    let usual = Usual::of(days);
    let mut missing = amount.checked_sub(so_far.used)?.to_f64()?;
    let mut day = so_far.today;
    while day < span.end_day {
        let start = start_of_day_ms(zone, day).ok()?;
        let end = start_of_day_ms(zone, next(day).ok()?).ok()?;
        let share = if day == so_far.today {
            so_far.left.clamp(0.0, 1.0)
        } else {
            1.0
        };
        let part = usual.on(day.weekday()).to_f64().unwrap_or_default() * share;
        if part > 0.0 && missing <= part {
            let length = (end - start) as f64 * share;
            let rest = length * (1.0 - missing.max(0.0) / part);
            return Some(end - rest as i64);
        }
        missing -= part;
        day = next(day).ok()?;
    }
    None
}

/// Returns the days before today from the first with a cost on, by days since 1970; those in between
/// without one cost nothing.
pub fn whole_days(costs: &BTreeMap<i64, Decimal>, today: NaiveDate) -> Vec<DayCost> {
    let today = day_number(today);
    let oldest = today - FORECAST_DAYS as i64;
    let Some((first, _)) = costs.range(oldest..today).next() else {
        return Vec::new();
    };
    let whole = (*first..today).filter_map(|number| {
        let since = Days::new(u64::try_from(number).ok()?);
        Some(DayCost {
            day: NaiveDate::default().checked_add_days(since)?,
            cost: costs.get(&number).copied().unwrap_or_default(),
        })
    });
    whole.collect()
}

/// Days since 1970.
pub fn day_number(day: NaiveDate) -> i64 {
    day.signed_duration_since(NaiveDate::default()).num_days()
}

fn next(day: NaiveDate) -> Result<NaiveDate, CostError> {
    day.checked_add_days(Days::new(1)).ok_or(CostError::Moment)
}

/// Cost of a usual day.
struct Usual {
    /// Medians from Monday on.
    medians: [Decimal; 7],
    by_weekday: bool,
    /// Mean distance of days from their medians.
    deviation: f64,
}

impl Usual {
    fn of(days: &[DayCost]) -> Self {
        let of_weekday = |index: usize| -> Vec<Decimal> {
            let same = days
                .iter()
                .filter(|day| day.day.weekday().num_days_from_monday() as usize == index);
            same.map(|day| day.cost).collect()
        };
        let by_weekday = (0..7).all(|index| of_weekday(index).len() >= MIN_OF_WEEKDAY);
        let medians = std::array::from_fn(|index| {
            if by_weekday {
                median(of_weekday(index))
            } else {
                median(days.iter().map(|day| day.cost).collect())
            }
        });
        let mut usual = Self {
            medians,
            by_weekday,
            deviation: 0.0,
        };
        let distances = days.iter().map(|day| {
            let distance = day.cost.checked_sub(usual.on(day.day.weekday()));
            distance
                .and_then(|it| it.to_f64())
                .unwrap_or_default()
                .abs()
        });
        usual.deviation = distances.sum::<f64>() / days.len() as f64;
        usual
    }

    fn on(&self, weekday: Weekday) -> Decimal {
        self.medians[weekday.num_days_from_monday() as usize]
    }

    /// Returns half of the band around so many coming days: that they differ from each other, and
    /// that the medians are from few days.
    fn spread(&self, coming: f64, known: usize) -> f64 {
        let sigma = self.deviation * BY_MEAN_DEVIATION;
        let of_medians = coming * sigma * BY_MEAN_DEVIATION / (known as f64).sqrt();
        BAND * (coming * sigma * sigma + of_medians * of_medians).sqrt()
    }
}

fn median(mut costs: Vec<Decimal>) -> Decimal {
    costs.sort_unstable();
    let middle = costs.len() / 2;
    match costs.as_slice() {
        [] => Decimal::ZERO,
        odd if odd.len() % 2 == 1 => odd[middle],
        even => {
            let sum = even[middle - 1].checked_add(even[middle]);
            sum.and_then(|sum| sum.checked_div(Decimal::TWO))
                .unwrap_or(even[middle])
        }
    }
}

fn decimal(amount: f64) -> Result<Decimal, CostError> {
    let amount = Decimal::from_f64(amount).ok_or(CostError::TooLarge)?;
    Ok(amount.round_dp(super::MAX_SCALE))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::cost::Cycle;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    /// Days up to the day before this one, the newest last.
    fn before(today: NaiveDate, count: u64, cost: impl Fn(NaiveDate) -> i64) -> Vec<DayCost> {
        let days = (1..=count).rev().map(|ago| today - Days::new(ago));
        days.map(|day| DayCost {
            day,
            cost: Decimal::from(cost(day)),
        })
        .collect()
    }

    fn november() -> CycleSpan {
        Cycle::default().around(1_794_000_000_000).unwrap()
    }

    fn so_far(today: &str, left: f64, used: i64) -> SoFar {
        SoFar {
            today: day(today),
            left,
            used: Decimal::from(used),
        }
    }

    fn weekdays_only(day: NaiveDate) -> i64 {
        if day.weekday().num_days_from_monday() < 5 {
            100
        } else {
            0
        }
    }

    #[test]
    fn weekends_are_not_working_days() {
        assert_eq!(november().label(), "2026-11");
        // Friday the 20th at noon: 14 working days, today half, and 6 more from Monday to the 30th.
        let days = before(day("2026-11-20"), 28, weekdays_only);
        let found = forecast(&days, so_far("2026-11-20", 0.5, 1_450), &november()).unwrap();
        assert_eq!(found.likely, Decimal::from(1_450 + 50 + 6 * 100));
        assert_eq!((found.low, found.high), (found.likely, found.likely));
        assert!(found.by_weekday);
    }

    #[test]
    fn one_outlier_moves_the_band_and_not_the_middle() {
        let days = before(day("2026-11-20"), 28, |day| {
            if day.day() == 3 { 5_000 } else { 10 }
        });
        let found = forecast(&days, so_far("2026-11-20", 1.0, 5_180), &november()).unwrap();
        assert_eq!(found.likely, Decimal::from(5_180 + 11 * 10));
        assert!(found.high > found.likely && found.low < found.likely);
    }

    #[test]
    fn the_band_narrows_towards_the_end() {
        let width = |today: &str| {
            let days = before(day(today), 28, |day| i64::from(day.day() * 7 % 11));
            let found = forecast(&days, so_far(today, 1.0, 100), &november()).unwrap();
            found.high - found.low
        };
        assert!(width("2026-11-05") > width("2026-11-15"));
        assert!(width("2026-11-15") > width("2026-11-29"));
    }

    #[test]
    fn few_days_are_taken_together_and_two_say_nothing() {
        let days = before(day("2026-11-04"), 3, |day| i64::from(day.day()));
        let found = forecast(&days, so_far("2026-11-04", 1.0, 6), &november()).unwrap();
        assert!(!found.by_weekday);
        assert_eq!(found.likely, Decimal::from(6 + 27 * 2));
        let refused = forecast(&days[..2], so_far("2026-11-04", 1.0, 6), &november());
        assert_eq!(refused, Err(NoForecast::TooFewDays { found: 2 }));
    }

    #[test]
    fn an_amount_is_reached_on_the_day_on_which_usual_days_add_up_to_it() {
        let ms = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let days = before(day("2026-11-20"), 28, |_| 10);
        let so_far = SoFar::at(Tz::UTC, ms("2026-11-20T12:00:00Z"), Decimal::from(100)).unwrap();
        assert_eq!((so_far.today, so_far.left), (day("2026-11-20"), 0.5));
        let reached =
            |amount: i64| reached_ms(&days, so_far, &november(), Tz::UTC, Decimal::from(amount));
        // Five more today, ten each day after it.
        assert_eq!(reached(105), Some(ms("2026-11-21T00:00:00Z")));
        assert_eq!(reached(110), Some(ms("2026-11-21T12:00:00Z")));
        assert_eq!(reached(205), Some(ms("2026-12-01T00:00:00Z")));
        assert_eq!(reached(206), None);
        assert_eq!(reached(90), Some(ms("2026-11-20T12:00:00Z")));
    }

    #[test]
    fn days_without_a_cost_count_once_there_was_one() {
        let today = day("2026-11-20");
        let ago = |days: i64| day_number(today) - days;
        let cost = Decimal::from(7);
        let costs = BTreeMap::from([(ago(40), cost), (ago(3), cost), (ago(0), cost)]);
        let found: Vec<_> = whole_days(&costs, today).iter().map(|it| it.cost).collect();
        assert_eq!(found, [cost, Decimal::ZERO, Decimal::ZERO]);
        let none = BTreeMap::from([(ago(0), cost)]);
        assert_eq!(whole_days(&none, today), []);
    }

    #[test]
    fn the_last_moment_of_a_cycle_is_what_was_used() {
        let days = before(day("2026-11-30"), 28, |_| 10);
        let found = forecast(&days, so_far("2026-11-30", 0.0, 300), &november()).unwrap();
        assert_eq!(found.likely, Decimal::from(300));
        let over = forecast(&days, so_far("2026-12-01", 1.0, 300), &november());
        assert_eq!(over, Err(NoForecast::Over));
    }

    proptest! {
        #[test]
        fn bounds_are_in_order_and_nothing_used_is_lost(
            costs in prop::collection::vec(0..1_000_000_i64, 0..60), today in 1..=30_u32, left in -1.0..2.0_f64,
            used in 0..1_000_000_000_i64,
        ) {
            let today = NaiveDate::from_ymd_opt(2026, 11, today).unwrap();
            let count = costs.len() as u64;
            let days = costs.iter().zip((1..=count).rev()).map(|(cost, ago)| DayCost {
                day: today - Days::new(ago),
                cost: Decimal::new(*cost, 2),
            });
            let days: Vec<DayCost> = days.collect();
            let so_far = SoFar { today, left, used: Decimal::new(used, 2) };
            if let Ok(found) = forecast(&days, so_far, &november()) {
                prop_assert!(so_far.used <= found.low);
                prop_assert!((found.low..=found.high).contains(&found.likely));
            }
        }
    }
}
