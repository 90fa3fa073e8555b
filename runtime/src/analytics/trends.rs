//! How a service changed: its hours as series, with what repeats, what changed and what rises.

use jiff::tz::TimeZone;

use super::Analytics;
use super::statistics::{
    ChangePoint, HOUR_MS, MAX_HOURS, Series, Slope, change_points, seasons, slope,
};
use crate::domain::{Tier, UnixMillis};
use crate::store::{HistorySlot, PhaseSums, ResultError};

/// Slots that the store answers with at once.
const SLOTS_AT_ONCE: i64 = 1_000;

const WEEK_MS: UnixMillis = 168 * HOUR_MS;

/// Share of the level before, below which a change of the latency is not worth a sentence.
const MIN_LATENCY_CHANGE: f64 = 0.1;

/// The same of the availability.
const MIN_AVAILABILITY_CHANGE: f64 = 0.002;

/// One series of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct TrendOf {
    pub series: Series,
    /// Strengths of the seasons, 0 to 1; none: too short.
    pub daily: Option<f64>,
    pub weekly: Option<f64>,
    /// Changes without strong seasons, oldest first.
    pub changes: Vec<ChangePoint>,
    pub slope: Option<Slope>,
}

/// A week by its runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WeekFigures {
    pub up: u64,
    pub down: u64,
    pub p50_us: Option<u64>,
    pub p95_us: Option<u64>,
}

/// A service over a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    pub service: String,
    /// 95th percentile of each hour, in ms.
    pub p95: TrendOf,
    /// Percent of each hour's runs.
    pub availability: TrendOf,
    /// Last week of the span and the one before; none: the span is shorter than both.
    pub weeks: Option<(WeekFigures, WeekFigures)>,
    pub phases: PhaseSums,
    /// Calls by weekday from Monday, and hour of the zone; empty without calls.
    pub usage: Vec<[u64; 24]>,
}

impl Analytics {
    /// Returns the trend of a service over whole hours, the last [`MAX_HOURS`] of a longer span.
    pub async fn trend(
        &self,
        service: &str,
        span: (UnixMillis, UnixMillis),
        zone: &TimeZone,
    ) -> Result<Trend, ResultError> {
        let span = bounded(span);
        let (since_ms, until_ms) = span;
        let mut slots = Vec::new();
        let mut from_ms = since_ms;
        while from_ms < until_ms {
            let to_ms = until_ms.min(from_ms + SLOTS_AT_ONCE * HOUR_MS);
            let found =
                self.results
                    .service_history(service, Tier::Hour, HOUR_MS, (from_ms, to_ms));
            slots.extend(found.await?);
            from_ms = to_ms;
        }
        let phases = self.results.phase_sums(service, span).await?;
        let calls = self.results.usage_by_hour(service, span).await?;
        let weeks = (until_ms - since_ms >= 2 * WEEK_MS).then(|| {
            let (last_ms, before_ms) = (until_ms - WEEK_MS, until_ms - 2 * WEEK_MS);
            (
                week(&slots, (last_ms, until_ms)),
                week(&slots, (before_ms, last_ms)),
            )
        });
        let usage = by_weekday(&calls, zone);
        let zone = zone.clone();
        // Tens of milliseconds of computing.
        let computed = tokio::task::spawn_blocking(move || computed(&slots, span, &zone));
        let (p95, availability) = computed.await.map_err(|_| ResultError::Closed)?;
        Ok(Trend {
            service: service.to_owned(),
            p95,
            availability,
            weeks,
            phases,
            usage,
        })
    }
}

/// Ends where the span ends: its newest hours matter most.
fn bounded((since_ms, until_ms): (UnixMillis, UnixMillis)) -> (UnixMillis, UnixMillis) {
    (since_ms.max(until_ms - MAX_HOURS * HOUR_MS), until_ms)
}

fn computed(
    slots: &[HistorySlot],
    span: (UnixMillis, UnixMillis),
    zone: &TimeZone,
) -> (TrendOf, TrendOf) {
    let p95 = slots.iter().filter_map(|slot| {
        let us = slot.latencies.quantile_us(0.95)?;
        Some((slot.from_ms, us as f64 / 1_000.0))
    });
    let availability = slots.iter().filter_map(|slot| {
        let counted = slot.up() + slot.down();
        (counted > 0).then(|| (slot.from_ms, slot.up() as f64 * 100.0 / counted as f64))
    });
    (
        trend_of(Series::new(p95, span, zone), MIN_LATENCY_CHANGE),
        trend_of(
            Series::new(availability, span, zone),
            MIN_AVAILABILITY_CHANGE,
        ),
    )
}

fn trend_of(series: Series, min_change: f64) -> TrendOf {
    let found = seasons(&series);
    TrendOf {
        daily: found.daily,
        weekly: found.weekly,
        changes: change_points(&found.rest, min_change),
        slope: slope(&found.rest),
        series,
    }
}

fn week(slots: &[HistorySlot], (since_ms, until_ms): (UnixMillis, UnixMillis)) -> WeekFigures {
    let mut sum = HistorySlot::default();
    slots
        .iter()
        .filter(|slot| (since_ms..until_ms).contains(&slot.from_ms))
        .for_each(|slot| sum.add(slot));
    WeekFigures {
        up: sum.up(),
        down: sum.down(),
        p50_us: sum.latencies.quantile_us(0.5),
        p95_us: sum.latencies.quantile_us(0.95),
    }
}

fn by_weekday(calls: &[(UnixMillis, i64)], zone: &TimeZone) -> Vec<[u64; 24]> {
    if calls.is_empty() {
        return Vec::new();
    }
    let mut counts: Vec<[u64; 24]> = vec![[0; 24]; 7];
    for (hour_ms, calls) in calls {
        let moment = jiff::Timestamp::from_millisecond(*hour_ms).unwrap_or_default();
        let local = moment.to_zoned(zone.clone());
        let day = usize::from(local.weekday().to_monday_zero_offset().unsigned_abs());
        let hour = usize::from(local.hour().unsigned_abs());
        if let Some(count) = counts.get_mut(day).and_then(|hours| hours.get_mut(hour)) {
            *count += calls.unsigned_abs();
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time_zone;
    use crate::store::Latencies;

    const MONDAY_MS: UnixMillis = 1_793_577_600_000;

    fn slot(hour: i64, latency_us: u64, down: u64) -> HistorySlot {
        HistorySlot {
            from_ms: MONDAY_MS + hour * HOUR_MS,
            healthy: 60 - down,
            error: down,
            latencies: Latencies::of(vec![latency_us; 60]),
            ..HistorySlot::default()
        }
    }

    #[test]
    fn latency_and_availability_change_each_at_its_time() {
        let slots: Vec<HistorySlot> = (0..400)
            .map(|hour| {
                let latency_us =
                    240_000 + u64::from(hour >= 200) * 240_000 + (hour as u64 % 5) * 9_000;
                slot(hour, latency_us, if hour >= 300 { 3 } else { 0 })
            })
            .collect();
        let span = (MONDAY_MS, MONDAY_MS + 400 * HOUR_MS);
        let (p95, availability) = computed(&slots, span, &TimeZone::UTC);
        let hours = |trend: &TrendOf| -> Vec<i64> {
            let changes = trend.changes.iter();
            changes
                .map(|change| (change.at_ms - MONDAY_MS) / HOUR_MS)
                .collect()
        };
        assert_eq!((hours(&p95), hours(&availability)), (vec![200], vec![300]));
        assert_eq!(availability.changes[0].after, 95.0);
        let of_week = week(&slots, (MONDAY_MS, MONDAY_MS + WEEK_MS));
        assert_eq!((of_week.up, of_week.down), (168 * 60, 0));
        assert!(of_week.p95_us.unwrap() > of_week.p50_us.unwrap());
    }

    #[test]
    fn a_span_that_is_too_long_keeps_its_newest_hours() {
        // 90 days that begin within an hour.
        let end_ms = MONDAY_MS + 2_161 * HOUR_MS;
        assert_eq!(bounded((MONDAY_MS, end_ms)), (MONDAY_MS + HOUR_MS, end_ms));
        let short = (MONDAY_MS, MONDAY_MS + HOUR_MS);
        assert_eq!(bounded(short), short);
    }

    #[test]
    fn calls_are_sorted_into_the_weekdays_of_the_zone() {
        // Sunday 23:00 UTC is Monday 00:00 in Berlin.
        let calls = [(MONDAY_MS - HOUR_MS, 5), (MONDAY_MS + 14 * HOUR_MS, 7)];
        let berlin = time_zone(chrono_tz::Europe::Berlin);
        let counts = by_weekday(&calls, &berlin);
        assert_eq!((counts[0][0], counts[0][15]), (5, 7));
        let counts = by_weekday(&calls, &TimeZone::UTC);
        assert_eq!((counts[6][23], counts[0][14]), (5, 7));
        assert!(by_weekday(&[], &berlin).is_empty());
    }
}
