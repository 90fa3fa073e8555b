//! Series of readings, and what is to be expected after them.

use proptest::prelude::*;

use super::*;

const HOUR_MS: u64 = 3_600_000;

/// Readings by second and what is left.
fn series(points: &[(u64, u64)], reset_s: Option<u64>) -> Vec<Reading> {
    points
        .iter()
        .map(|(second, remaining)| Reading {
            ts_ms: second * 1_000,
            remaining: *remaining,
            reset_ms: reset_s.map(|second| second * 1_000),
        })
        .collect()
}

fn expected(points: &[(u64, u64)], reset_s: Option<u64>) -> Outlook {
    let readings = series(points, reset_s);
    let now_ms = readings.last().map_or(0, |last| last.ts_ms);
    outlook(&readings, &Limit::default(), now_ms)
}

fn decline(outlook: Outlook) -> Decline {
    match outlook {
        Outlook::Declines(decline) => decline,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_steady_pace_is_followed_to_its_end() {
    for points in [
        vec![(0, 100), (30, 90), (60, 80), (90, 70)],
        vec![(0, 5), (30, 2), (60, 100), (90, 90), (120, 80), (150, 70)],
    ] {
        let last_ms = points.last().unwrap().0 * 1_000;
        let found = decline(expected(&points, None));
        assert_eq!((found.likely_ms - last_ms) / 1_000, 210);
        assert_eq!(found.earliest_ms, found.likely_ms);
        assert_eq!(found.latest_ms, Some(found.likely_ms));
        assert!((found.per_minute - 20.0).abs() < 1e-6);
        assert!(found.runs_out(HOUR_MS) && !found.runs_out(last_ms + 200_000));
    }
}

#[test]
fn what_makes_no_line_is_no_forecast() {
    for (name, points, wanted) in [
        ("none", vec![], Outlook::Unknown),
        (
            "three readings",
            vec![(0, 100), (30, 90), (60, 80)],
            Outlook::Unknown,
        ),
        (
            "all at once",
            vec![(0, 100), (1, 90), (2, 80), (3, 70)],
            Outlook::Unknown,
        ),
        (
            "nothing is used",
            vec![(0, 90), (30, 90), (60, 90), (90, 90)],
            Outlook::Unused,
        ),
        (
            "one burst",
            vec![(0, 90), (30, 90), (60, 90), (90, 90), (120, 90), (150, 20)],
            Outlook::Unused,
        ),
        (
            "anew just now",
            vec![(0, 50), (30, 40), (60, 30), (90, 100)],
            Outlook::Unknown,
        ),
        (
            "nothing is left",
            vec![(0, 50), (30, 40), (60, 30), (90, 0)],
            Outlook::Exhausted,
        ),
    ] {
        assert_eq!(expected(&points, None), wanted, "{name}");
    }
}

#[test]
fn the_reset_wins_over_a_pace_that_is_too_slow() {
    let points = [(0, 1_000), (30, 990), (60, 980), (90, 970), (120, 960)];
    let found = decline(expected(&points, Some(600)));
    assert!(!found.runs_out(0) && !found.may_run_out(0), "{found:?}");
    let found = decline(expected(&points, Some(6_000)));
    assert!(found.runs_out(0), "{found:?}");
    let over = series(&points, Some(100));
    assert_eq!(outlook(&over, &Limit::default(), 130_000), Outlook::Anew);
}

#[test]
fn an_answer_that_overtook_another_starts_no_window() {
    let points = [(0, 100), (30, 88), (60, 90), (90, 70), (120, 60)];
    assert!(matches!(
        expected(&points, Some(6_000)),
        Outlook::Declines(_)
    ));
    assert_eq!(expected(&points, None), Outlook::Unknown);
}

#[test]
fn a_pace_that_is_not_sure_is_shown_with_its_range_and_does_not_run_out() {
    let points = [
        (0, 900),
        (30, 900),
        (60, 900),
        (90, 200),
        (120, 200),
        (150, 200),
    ];
    let found = decline(expected(&points, None));
    assert_eq!(found.latest_ms, None);
    assert!(found.may_run_out(HOUR_MS) && !found.runs_out(HOUR_MS));
}

#[test]
fn a_figure_that_stays_where_it_is_does_not_follow_the_use() {
    // Cloudflare: 1199 left, new in a second, of 1200 in 300 s.
    let readings: Vec<Reading> = (0..40)
        .map(|index| Reading {
            ts_ms: index * 30_000,
            remaining: if index == 7 { 1_198 } else { 1_199 },
            reset_ms: Some(index * 30_000 + 1_000),
        })
        .collect();
    let limit = Limit {
        window_ms: Some(300_000),
        ..Limit::default()
    };
    for now_ms in [39 * 30_000, 40 * 30_000] {
        assert_eq!(
            outlook(&readings, &limit, now_ms),
            Outlook::DoesNotFollow { readings: 40 }
        );
    }
    // Once an hour, each time the first of its window: that is nothing to complain of.
    let hourly: Vec<Reading> = (0..20)
        .map(|index| Reading {
            ts_ms: index * HOUR_MS,
            remaining: 4_999,
            reset_ms: Some(index * HOUR_MS + 600_000 + index * 60_000),
        })
        .collect();
    let limit = Limit {
        window_ms: Some(HOUR_MS),
        ..Limit::default()
    };
    assert_eq!(outlook(&hourly, &limit, 19 * HOUR_MS), Outlook::Unknown);
}

#[test]
fn a_limit_that_fills_up_is_a_level_with_an_inflow() {
    let limit = Limit {
        refill_per_hour: Some(36_000),
        ..Limit::default()
    };
    // It falls by one a second although ten come back; rises between do not start it anew.
    let readings: Vec<Reading> = (0..30)
        .map(|index| Reading {
            ts_ms: index * 10_000,
            remaining: 1_000 - index * 10 + (index % 2) * 3,
            reset_ms: Some(index * 10_000 + 5_000),
        })
        .collect();
    let found = decline(outlook(&readings, &limit, 300_000));
    assert!((found.per_minute - 60.0).abs() < 6.0, "{found:?}");
    assert_eq!(found.reset_ms, None);
}

proptest! {
    #[test]
    fn a_forecast_is_never_before_the_last_reading_and_its_moments_are_in_order(
        steps in prop::collection::vec((1u64..400_000, -30i64..300), 0..120),
        start in 0u64..100_000,
        reset in prop::option::of(0u64..20_000_000),
        window_ms in prop::option::of(0u64..10_000_000),
        refill_per_hour in prop::option::of(0u64..100_000),
        later_ms in 0u64..1_000_000,
    ) {
        let (mut ts_ms, mut remaining) = (1_700_000_000_000, start);
        let reset_ms = reset.map(|reset| ts_ms + reset);
        let readings: Vec<Reading> = steps.iter().map(|(apart_ms, used)| {
            ts_ms += apart_ms;
            remaining = remaining.saturating_add_signed(-used);
            Reading { ts_ms, remaining, reset_ms }
        }).collect();
        let limit = Limit { window_ms, refill_per_hour };
        if let Outlook::Declines(found) = outlook(&readings, &limit, ts_ms + later_ms) {
            prop_assert!(found.earliest_ms >= ts_ms);
            prop_assert!(found.earliest_ms <= found.likely_ms);
            prop_assert!(found.latest_ms.is_none_or(|latest_ms| latest_ms >= found.likely_ms));
            prop_assert!(found.per_minute > 0.0 && found.per_minute.is_finite());
            prop_assert!(found.per_minute_low <= found.per_minute && found.per_minute <= found.per_minute_high);
            if found.runs_out(u64::MAX) {
                prop_assert!(found.may_run_out(u64::MAX));
                prop_assert!(found.reset_ms.is_none_or(|reset_ms| found.likely_ms < reset_ms));
            }
        }
    }

    #[test]
    fn a_straight_line_is_found_whatever_its_pace(pace in 1u64..500, count in 4u64..60, apart_s in 20u64..300) {
        let most = pace * count * 3;
        let points: Vec<(u64, u64)> = (0..count).map(|index| (index * apart_s, most - index * pace)).collect();
        let found = decline(expected(&points, None));
        let wanted = pace as f64 / apart_s as f64 * 60.0;
        prop_assert!((found.per_minute - wanted).abs() < wanted * 1e-6);
    }
}
