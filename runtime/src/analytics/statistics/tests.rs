//! Series with known answers.

use jiff::tz::TimeZone;

use super::*;
use crate::domain::{UnixMillis, time_zone};

/// Monday, 2 November 2026, 00:00 UTC.
const START_MS: UnixMillis = 1_793_577_600_000;

/// Noise around zero by a seed, nearly normal: the sum of twelve even ones.
struct Noise(u64);

impl Noise {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn even(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn next(&mut self) -> f64 {
        (0..12).map(|_| self.even()).sum::<f64>() - 6.0
    }
}

fn hourly(hours: i64, zone: &TimeZone, value: impl Fn(i64) -> Option<f64>) -> Series {
    let points = (0..hours).filter_map(|hour| Some((START_MS + hour * HOUR_MS, value(hour)?)));
    let points: Vec<_> = points.collect();
    Series::new(points, (START_MS, START_MS + hours * HOUR_MS), zone)
}

/// Values for the hours, with noise of a standard deviation.
fn noisy(seed: u64, hours: i64, deviation: f64, level: impl Fn(i64) -> f64) -> Series {
    let mut noise = Noise::new(seed);
    let values: Vec<f64> = (0..hours)
        .map(|hour| level(hour) + deviation * noise.next())
        .collect();
    hourly(hours, &TimeZone::UTC, |hour| Some(values[hour as usize]))
}

fn daily(hour: i64) -> f64 {
    (hour as f64 / 24.0 * std::f64::consts::TAU).sin()
}

fn assert_none(found: &[ChangePoint]) {
    assert!(found.is_empty(), "{found:?}");
}

/// Asserts one change within so many hours of the one that was made.
fn assert_one(found: &[ChangePoint], hour: i64, within: i64) {
    let [change] = found else {
        panic!("one change at hour {hour} was made, found {found:?}");
    };
    let off = (change.at_ms - START_MS) / HOUR_MS - hour;
    assert!(off.abs() <= within, "{off} hours off: {change:?}");
    assert!(change.p < 0.001, "{change:?}");
}

#[test]
fn a_step_is_found_where_it_is_with_both_levels() {
    for seed in 1..=10 {
        let level = |hour: i64| if hour < 150 { 240.0 } else { 480.0 };
        let found = change_points(&noisy(seed, 400, 20.0, level), 0.1);
        assert_one(&found, 150, 1);
        assert!((found[0].before - 240.0).abs() < 8.0, "{found:?}");
        assert!((found[0].after - 480.0).abs() < 8.0, "{found:?}");
    }
}

#[test]
fn a_step_without_noise_and_two_steps_are_found() {
    let still = hourly(100, &TimeZone::UTC, |hour| {
        Some(if hour < 40 { 5.0 } else { 10.0 })
    });
    assert_one(&change_points(&still, 0.1), 40, 0);
    let level = |hour: i64| match hour {
        0..100 => 100.0,
        100..200 => 160.0,
        _ => 90.0,
    };
    let found = change_points(&noisy(3, 300, 8.0, level), 0.1);
    let hours: Vec<i64> = found
        .iter()
        .map(|change| (change.at_ms - START_MS) / HOUR_MS)
        .collect();
    assert_eq!(hours.len(), 2, "{found:?}");
    assert!(
        (hours[0] - 100).abs() <= 1 && (hours[1] - 200).abs() <= 1,
        "{hours:?}"
    );
}

#[test]
fn thirty_days_that_begin_within_an_hour_are_searched_by_hours() {
    let series = hourly(721, &TimeZone::UTC, |hour| {
        Some(if hour < 301 { 5.0 } else { 10.0 })
    });
    assert_one(&change_points(&series, 0.1), 301, 0);
}

#[test]
fn noise_alone_has_no_change_in_95_of_100_series() {
    let seeds = 1..=60_u64;
    let count = seeds.clone().count();
    let wrong = seeds
        .filter(|seed| !change_points(&noisy(*seed, 240, 15.0, |_| 200.0), 0.0).is_empty())
        .count();
    assert!(wrong * 20 <= count, "{wrong} of {count}");
}

#[test]
fn single_outliers_and_short_bursts_are_no_change() {
    let level = |hour: i64| match hour {
        50 | 90 | 151..154 => 2_000.0,
        _ => 200.0,
    };
    assert_none(&change_points(&noisy(5, 240, 10.0, level), 0.1));
}

#[test]
fn a_small_change_is_left_out_however_certain() {
    let level = |hour: i64| if hour < 200 { 200.0 } else { 208.0 };
    let series = noisy(6, 400, 1.0, level);
    assert_one(&change_points(&series, 0.0), 200, 1);
    assert_none(&change_points(&series, 0.1));
}

#[test]
fn what_never_changes_has_neither_change_nor_season_nor_slope() {
    let series = hourly(720, &TimeZone::UTC, |_| Some(100.0));
    assert_none(&change_points(&series, 0.0));
    let found = seasons(&series);
    assert_eq!((found.daily, found.weekly), (Some(0.0), Some(0.0)));
    assert_eq!(found.rest, series);
    let slope = slope(&series).unwrap();
    assert_eq!((slope.per_day, slope.days), (0.0, 30));
    assert_eq!(slope.p, 1.0);
    for hours in [0, 1, 23] {
        let short = hourly(hours, &TimeZone::UTC, |_| Some(1.0));
        assert_none(&change_points(&short, 0.0));
        assert_eq!(super::slope(&short), None);
        assert_eq!(seasons(&short).daily, None);
    }
}

#[test]
fn a_ramp_is_a_slope() {
    let series = noisy(7, 480, 10.0, |hour| 100.0 + 2.0 * hour as f64 / 24.0);
    let found = slope(&series).unwrap();
    assert!((found.per_day - 2.0).abs() < 0.4, "{found:?}");
    assert!(found.p < 0.001, "{found:?}");
    let flat = slope(&noisy(8, 480, 10.0, |_| 100.0)).unwrap();
    assert!(flat.p > 0.001 && flat.per_day.abs() < 0.5, "{flat:?}");
}

#[test]
fn a_step_in_a_daily_season_is_found_once_and_the_season_is_no_change() {
    let steady = noisy(9, 336, 8.0, |hour| 300.0 + 100.0 * daily(hour));
    let found = seasons(&steady);
    assert!(found.daily.unwrap() > 0.8, "{:?}", found.daily);
    assert_none(&change_points(&found.rest, 0.1));

    let level = |hour: i64| 300.0 + 100.0 * daily(hour) + if hour < 180 { 0.0 } else { 250.0 };
    let found = seasons(&noisy(10, 336, 8.0, level));
    assert_one(&change_points(&found.rest, 0.1), 180, 3);
}

#[test]
fn a_week_with_quiet_weekends_has_a_weekly_season_and_noise_has_none() {
    let level = |hour: i64| if hour / 24 % 7 < 5 { 300.0 } else { 150.0 };
    let found = seasons(&noisy(11, 840, 8.0, level));
    assert!(found.weekly.unwrap() > 0.6, "{:?}", found.weekly);
    let found = seasons(&noisy(12, 840, 8.0, |_| 300.0));
    let strongest = found.daily.unwrap().max(found.weekly.unwrap());
    assert!(strongest < 0.4, "{found:?}");
}

#[test]
fn gaps_stay_gaps_and_move_no_change() {
    let value = |hour: i64| {
        let is_gap = (60..90).contains(&hour) || hour % 7 == 0;
        (!is_gap).then_some(if hour < 150 { 100.0 } else { 200.0 } + (hour % 3) as f64)
    };
    let series = hourly(300, &TimeZone::UTC, value);
    assert_eq!(series.values[70], None);
    assert_eq!(series.filled().unwrap().len(), 300);
    assert_one(&change_points(&series, 0.1), 150, 2);
    let empty = hourly(300, &TimeZone::UTC, |_| None);
    assert_eq!((empty.filled(), empty.measured()), (None, 0));
    assert_none(&change_points(&empty, 0.0));
}

#[test]
fn gaps_are_filled_by_straight_lines() {
    let values = [None, Some(1.0), None, None, Some(4.0), None];
    let series = hourly(6, &TimeZone::UTC, |hour| values[hour as usize]);
    assert_eq!(series.filled().unwrap(), [1.0, 1.0, 2.0, 3.0, 4.0, 4.0]);
}

/// Berlin put its clocks forward on 28 March 2027 and back on 25 October 2026, each at 01:00 UTC.
#[test]
fn days_of_23_and_25_hours_keep_the_hours_of_the_wall() {
    let berlin = time_zone(chrono_tz::Europe::Berlin);
    for (begin, hours, skipped) in [
        ("2026-10-18T22:00:00Z", 337, 0),
        ("2027-03-21T23:00:00Z", 335, 1),
    ] {
        let begin: jiff::Timestamp = begin.parse().unwrap();
        let begin_ms = begin.as_millisecond();
        // Slow from 9 to 17 o'clock on the wall.
        let points = (0..hours).map(|hour| {
            let ms = begin_ms + hour * HOUR_MS;
            let local = jiff::Timestamp::from_millisecond(ms)
                .unwrap()
                .to_zoned(berlin.clone());
            (
                ms,
                if (9..17).contains(&local.hour()) {
                    300.0
                } else {
                    100.0
                },
            )
        });
        let series = Series::new(points, (begin_ms, begin_ms + hours * HOUR_MS), &berlin);
        assert_eq!(series.values.len(), 336, "two weeks on the wall");
        assert_eq!(336 - series.measured(), skipped);
        for (slot, value) in series.values.iter().enumerate() {
            let wanted = if (9..17).contains(&(slot % 24)) {
                300.0
            } else {
                100.0
            };
            assert!(
                value.is_none_or(|value| value == wanted),
                "slot {slot}: {value:?}"
            );
        }
        let found = seasons(&series);
        assert!(found.daily.unwrap() > 0.95, "{:?}", found.daily);
        assert_none(&change_points(&found.rest, 0.1));
    }
}

#[test]
fn the_hours_of_an_answer_are_bounded() {
    let series = hourly(5_000, &TimeZone::UTC, |_| Some(1.0));
    assert_eq!(series.values.len(), 2_160);
    assert_eq!(series.thinned(720).values.len(), 720);
}

#[test]
fn sentences_name_the_moment_both_levels_and_the_certainty() {
    let change = |before, after, p| ChangePoint {
        at_ms: 1_795_269_600_000,
        before,
        after,
        p,
    };
    let said = |change: ChangePoint, zone: &TimeZone| {
        sentence("p95", &change, "ms", |value| format!("{value:.0}"), zone)
    };
    let doubled = change(240.0, 480.0, 1e-9);
    assert_eq!(
        said(doubled, &TimeZone::UTC),
        "p95 doubled on 21 Nov 14:00 (240 → 480 ms, p < 0.001)"
    );
    let berlin = time_zone(chrono_tz::Europe::Berlin);
    assert!(said(doubled, &berlin).contains("21 Nov 15:00"));
    for (before, after, wanted) in [
        (200.0, 236.0, "p95 rose by 18 % on"),
        (200.0, 150.0, "p95 fell by 25 % on"),
        (100.0, 99.75, "p95 fell by 0.25 % on"),
        (99.5, 99.9, "p95 rose by 0.40 % on"),
        (200.0, 101.0, "p95 halved on"),
        (200.0, 10.0, "p95 fell to less than half on"),
        (100.0, 300.0, "p95 tripled on"),
        (100.0, 550.0, "p95 rose to 5.5 times on"),
        (0.0, 5.0, "p95 rose on"),
    ] {
        let said = said(change(before, after, 0.5), &TimeZone::UTC);
        assert!(said.starts_with(wanted), "{said}");
    }
    for (p, wanted) in [(0.0, "p < 0.001"), (0.032, "p = 0.032"), (0.4, "p > 0.1")] {
        assert_eq!(p_text(p), wanted);
    }
}
