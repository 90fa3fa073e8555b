//! Runs that come late.

use super::*;
use crate::domain::Status;

#[test]
fn a_late_run_is_seen_at_once_and_counted_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(folder.path());
    fill(&connection, T0 + 3 * HOUR, T0 + 4 * HOUR);
    fill(&connection, T0 + 47 * HOUR, T0 + 2 * DAY + 8 * MINUTE);
    let now = T0 + 2 * DAY + 10 * MINUTE;
    count_all(&mut connection, now, &FOR_EVER, |_| {});
    let late = [
        T0 + 47 * HOUR + 59 * MINUTE,
        T0 + 3 * HOUR + 4 * MINUTE,
        T0 - 10 * DAY,
        T0 + 2 * DAY + 9 * MINUTE,
    ];
    for (index, moment) in late.into_iter().enumerate() {
        let run = Observation {
            status: Status::Degraded,
            ..run_at(1_000_000 + index as i64, moment)
        };
        append(&mut connection, vec![run]);
        assert_agrees(&connection);
    }
    let steps = count_all(&mut connection, now, &FOR_EVER, |_| {});
    assert_agrees(&connection);
    assert!(steps < 40, "days without runs are skipped: {steps}");
    let marks = Marks::read(&connection).unwrap();
    assert!(
        marks.tiers.iter().all(|mark| mark.dirty.is_none()),
        "{marks:?}"
    );
}

#[test]
fn a_late_run_behind_what_is_kept_is_counted_with_its_whole_day() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(folder.path());
    fill_days(&connection, 6);
    let days = |days: u64| Some(std::time::Duration::from_secs(days * 86_400));
    let retention = TierRetention {
        five_minutes: days(1),
        hours: days(3),
        ..FOR_EVER
    };
    let now = T0 + 6 * DAY + 10 * MINUTE;
    count_all(&mut connection, now, &retention, |_| {});
    for (run, moment) in [(1, T0 + HOUR), (2, T0 + 5 * DAY + HOUR), (3, T0 + 2 * DAY)] {
        append(&mut connection, vec![run_at(1_000_000 + run, moment)]);
        // In the middle of counting again the next one arrives.
        for _ in 0..5 {
            step(&mut connection, now / 1_000, &retention).unwrap();
        }
    }
    count_all(&mut connection, now, &retention, |_| {});
    bind(&connection).unwrap();
    assert_eq!(differences(&connection, Tier::Day), 0);
    // What was made anew goes with the next day.
    count_all(&mut connection, now + DAY, &retention, |_| {});
    let kept = [
        rows(&connection, "fact.roll_5m"),
        rows(&connection, "fact.roll_1h"),
    ];
    assert_eq!(kept, [0, 2 * 3 + 1], "two days, and the late run of one");
    bind(&connection).unwrap();
    assert_eq!(differences(&connection, Tier::Day), 0);
}

#[test]
fn a_run_of_no_possible_moment_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(folder.path());
    fill(&connection, T0, T0 + 10 * MINUTE);
    let now = T0 + HOUR;
    count_all(&mut connection, now, &FOR_EVER, |_| {});
    for (run_id, ts_ms) in [(1_000_000, i64::MIN), (1_000_001, i64::MAX)] {
        let run = Observation {
            ts_ms,
            ..observation(run_id)
        };
        append(&mut connection, vec![run]);
        assert_agrees(&connection);
    }
    let steps = count_all(&mut connection, now, &FOR_EVER, |_| {});
    assert!(steps < 20, "{steps}");
    assert_agrees(&connection);
}

#[test]
fn a_run_older_than_the_runs_that_are_kept_changes_no_tier() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(folder.path());
    fill_days(&connection, 4);
    let retention = TierRetention {
        runs: Some(std::time::Duration::from_secs(2 * 86_400)),
        ..FOR_EVER
    };
    let now = T0 + 4 * DAY + 10 * MINUTE;
    count_all(&mut connection, now, &retention, |_| {});
    let before = Marks::read(&connection).unwrap();
    append(&mut connection, vec![run_at(1_000_000, T0 + HOUR)]);
    assert_eq!(Marks::read(&connection).unwrap(), before);
}
