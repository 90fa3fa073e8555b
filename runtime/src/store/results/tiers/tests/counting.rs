//! What is counted, and what of it is kept.

use super::*;
use crate::domain::{LATENCY_BASE, latency_bin};

#[test]
fn tiers_are_what_the_runs_come_to_wherever_counting_has_got_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(folder.path());
    assert_agrees(&connection);
    fill(&connection, T0 + 23 * HOUR, T0 + 25 * HOUR + 7 * MINUTE);
    // A year earlier, with nothing between.
    fill(&connection, T0 - 365 * DAY, T0 - 365 * DAY + 20 * MINUTE);
    assert_agrees(&connection);
    let now = T0 + 25 * HOUR + 10 * MINUTE;
    let steps = count_all(&mut connection, now, &FOR_EVER, assert_agrees);
    assert!(steps < 40, "a gap is skipped: {steps}");
    let marks = Marks::read(&connection).unwrap();
    let done = Tier::ALL.map(|tier| marks.of(tier).clean_until() - T0);
    assert_eq!(done, [25 * HOUR + 5 * MINUTE, 25 * HOUR, DAY]);
    let runs = rows(&connection, "fact.observations");
    for (table, wanted) in [("fact.roll_5m", 2 * 3), ("main.roll_1d", 0)] {
        let sql = format!("SELECT sum(runs)::BIGINT AS runs FROM {table}");
        let found: i64 = connection
            .query_row(&sql, [], |row| row.get("runs"))
            .unwrap();
        assert_eq!(found, runs - wanted, "{table}");
    }
}

#[test]
fn each_run_counts_once_and_only_available_ones_have_latencies() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(folder.path());
    fill(&connection, T0, T0 + 4 * HOUR);
    let sql = "SELECT count(*) AS slots, count(*) FILTER (
            runs <> missed + broken + paused + maintenance + healthy + degraded + unhealthy + error
            OR lat_n <> healthy + degraded) AS wrong,
        min(missed_all) AS missed, min(broken_all) AS broken, min(unhealthy_all) AS unhealthy
        FROM main.roll_5m, (SELECT sum(missed) AS missed_all, sum(broken) AS broken_all, sum(unhealthy) AS unhealthy_all
            FROM main.roll_5m)";
    let found: (i64, i64, bool) = connection
        .query_row(sql, [], |row| {
            let some = |name| row.get::<_, i64>(name).map(|runs| runs > 0);
            Ok((
                row.get("slots")?,
                row.get("wrong")?,
                some("missed")? && some("broken")? && some("unhealthy")?,
            ))
        })
        .unwrap();
    assert_eq!(found, (4 * 12 * 3, 0, true));
}

#[test]
fn bins_in_sql_are_those_of_the_code() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(folder.path());
    let edges = (0..456).flat_map(|bin| {
        let edge = LATENCY_BASE.powi(bin);
        [
            edge.floor() - 1.0,
            edge.floor(),
            edge.ceil(),
            edge.ceil() + 1.0,
        ]
    });
    let latencies: Vec<u32> = edges
        .map(|edge| edge as u32)
        .chain([0, 1, u32::MAX])
        .chain((0..20_000_u32).map(|n| n.wrapping_mul(2_654_435_761)))
        .collect();
    let list: Vec<String> = latencies.iter().map(u32::to_string).collect();
    let sql = format!(
        "SELECT us, fact.latency_bin(us) AS bin FROM unnest([{}]::UINTEGER[]) AS latencies(us)",
        list.join(",")
    );
    let mut statement = connection.prepare(&sql).unwrap();
    let bins = statement
        .query_map([], |row| {
            Ok((row.get::<_, u32>("us")?, row.get::<_, i16>("bin")?))
        })
        .unwrap();
    let mut compared = 0;
    for found in bins {
        let (us, bin) = found.unwrap();
        assert_eq!(bin.unsigned_abs(), latency_bin(us.into()), "{us} µs");
        compared += 1;
    }
    assert_eq!(compared, latencies.len());
}

#[test]
fn old_rows_go_by_days_once_the_next_tier_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(folder.path());
    fill_days(&connection, 5);
    let days = |days: u64| Some(std::time::Duration::from_secs(days * 86_400));
    let retention = TierRetention {
        runs: days(1),
        five_minutes: days(2),
        hours: days(3),
        days: None,
    };
    let now = T0 + 5 * DAY + 10 * MINUTE;
    count_all(&mut connection, now, &retention, |_| {});
    bind(&connection).unwrap();
    for (table, days) in [
        ("fact.observations", 1),
        ("fact.roll_5m", 2),
        ("main.roll_1h", 3),
        ("main.roll_1d", 5),
    ] {
        let sql = format!("SELECT count(DISTINCT ts::DATE) AS days FROM {table}");
        let found: i64 = connection
            .query_row(&sql, [], |row| row.get("days"))
            .unwrap();
        assert_eq!(found, days, "{table}");
    }
    let counted: i64 = connection
        .query_row(
            "SELECT sum(runs)::BIGINT AS runs FROM main.roll_1d",
            [],
            |row| row.get("runs"),
        )
        .unwrap();
    assert_eq!(counted, 5 * 30 * 3);
}
