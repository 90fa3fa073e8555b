use duckdb::params;

use super::*;
use crate::domain::TierRetention;
use crate::store::results::{ResultError, schema};

/// 2025-10-01T00:00:00Z
const OCTOBER: Micros = 1_759_276_800_000_000;
const HOUR: Micros = 3_600_000_000;
const MINUTE: Micros = 60_000_000;
const FOR_EVER: TierRetention = TierRetention::FOR_EVER;

fn open(folder: &std::path::Path) -> Connection {
    let path = folder.join("results.duckdb");
    let open = |path: &std::path::Path| {
        Connection::open(path).map_err(|source| ResultError::Database {
            doing: "open",
            source,
        })
    };
    schema::migrate(open(&path).unwrap(), &path, open).unwrap()
}

/// Runs of a service, one in ten minutes.
fn fill(connection: &Connection, service: &str, status: &str, (from, until): (Micros, Micros)) {
    connection
        .execute(
            "INSERT INTO fact.observations BY NAME
             SELECT make_timestamp(moment) AS ts, ?::VARCHAR AS service, 'http' AS probe, 'local' AS location,
                 ?::VARCHAR AS status, 1000::UINTEGER AS latency_us, 0 AS bytes, 'http' AS plugin, '1' AS plugin_version,
                 moment // 600000000 AS run_id, false AS missed
             FROM range(?::BIGINT, ?::BIGINT, 600000000) AS moments(moment)",
            params![service, status, from, until],
        )
        .unwrap();
}

/// Does all that is due at a moment, as the committer does.
fn settle(connection: &mut Connection, now: Micros, check: &mut MonthCheck) {
    for _ in 0..10_000 {
        let stepped = tiers::step(connection, now / 1_000, &FOR_EVER).unwrap();
        check.notice(&stepped.marks);
        if stepped.has_worked {
            continue;
        }
        if !step(connection, now / 1_000, &stepped.marks, check).unwrap() {
            return;
        }
    }
    panic!("there is always something to do");
}

/// Service, first day, revision, and the seconds: good, bad, unknown, maintenance.
fn frozen(connection: &Connection) -> Vec<(String, i32, [i64; 4])> {
    let sql = "SELECT service, revision, good_s, bad_s, unknown_s, maintenance_s FROM fact.month_frozen \
               ORDER BY service, month, revision";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| {
        Ok((
            row.get(0)?,
            row.get(1)?,
            [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?],
        ))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

fn text(connection: &Connection, sql: &str) -> String {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

const ALL_S: i64 = 31 * 86_400;

#[test]
fn a_month_is_frozen_once_after_its_grace_and_a_later_count_is_a_revision() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(folder.path());
    let end = OCTOBER + 31 * DAY;
    fill(&connection, "shop", "healthy", (OCTOBER, OCTOBER + DAY));
    fill(
        &connection,
        "shop",
        "error",
        (OCTOBER + DAY, OCTOBER + DAY + HOUR),
    );
    fill(
        &connection,
        "shop",
        "healthy",
        (OCTOBER + DAY + HOUR, OCTOBER + 2 * DAY),
    );
    let mut check = MonthCheck::default();
    settle(&mut connection, end + GRACE - HOUR, &mut check);
    assert_eq!(frozen(&connection), []);
    settle(&mut connection, end + GRACE, &mut check);
    let closed = (
        "shop".to_owned(),
        1,
        [2 * 86_400 - 3_600, 3_600, 29 * 86_400, 0],
    );
    assert_eq!(
        frozen(&connection),
        std::slice::from_ref(&closed),
        "a service that was never checked has no row"
    );
    // Another look, and one of another start.
    settle(&mut connection, end + GRACE + 2 * DAY, &mut check);
    settle(
        &mut connection,
        end + GRACE + 2 * DAY,
        &mut MonthCheck::default(),
    );
    assert_eq!(frozen(&connection), std::slice::from_ref(&closed));
    // Late results of another service, and of this one.
    let late = crate::domain::Observation {
        ts_ms: (OCTOBER + 5 * MINUTE) / 1_000,
        service: "shop".to_owned(),
        probe: "http".to_owned(),
        location: "local".to_owned(),
        status: crate::domain::Status::Error,
        ..crate::store::results::tests::observation(7)
    };
    let work = crate::store::results::part::Work {
        parts: vec![crate::store::results::part::Part {
            observations: vec![std::sync::Arc::new(late)],
            ..Default::default()
        }],
        ..Default::default()
    };
    crate::store::results::part::write(&mut connection, &work).unwrap();
    settle(&mut connection, end + GRACE + 2 * DAY + HOUR, &mut check);
    let [first, second] = &frozen(&connection)[..] else {
        panic!("{:?}", frozen(&connection));
    };
    assert_eq!(*first, closed, "what was frozen stays");
    assert_eq!((second.1, second.2.iter().sum::<i64>()), (2, ALL_S));
    assert!(second.2[1] > 3_600, "{second:?}");
    let reason = text(
        &connection,
        "SELECT reason FROM availability_by_month WHERE month = '2025-10-01'",
    );
    assert!(
        reason.contains("late results; before: good 169200 s"),
        "{reason}"
    );
}

#[test]
fn seconds_of_a_month_add_up_with_gaps_and_maintenance() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(folder.path());
    let end = OCTOBER + 31 * DAY;
    fill(&connection, "shop", "healthy", (OCTOBER, OCTOBER + 2 * DAY));
    fill(
        &connection,
        "shop",
        "error",
        (OCTOBER + 2 * DAY, OCTOBER + 3 * DAY),
    );
    connection
        .execute_batch(
            "UPDATE fact.observations SET excluded = 'maintenance' WHERE status = 'error'",
        )
        .unwrap();
    settle(&mut connection, end + GRACE, &mut MonthCheck::default());
    let day = 86_400;
    assert_eq!(
        frozen(&connection),
        [("shop".to_owned(), 1, [2 * day, 0, 28 * day, day])]
    );
    let shown = text(
        &connection,
        "SELECT availability || ' ' || coverage || ' ' || is_frozen FROM availability_by_month WHERE month = '2025-10-01'",
    );
    assert_eq!(shown, "100.0 6.666 true");
}

#[test]
fn a_crash_before_the_commit_of_a_month_leaves_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let end = OCTOBER + 31 * DAY;
    let mut connection = open(folder.path());
    fill(&connection, "shop", "healthy", (OCTOBER, OCTOBER + DAY));
    let mut check = MonthCheck::default();
    for _ in 0..10_000 {
        let stepped = tiers::step(&mut connection, (end + GRACE) / 1_000, &FOR_EVER).unwrap();
        if !stepped.has_worked {
            break;
        }
    }
    {
        let tx = connection.transaction().unwrap();
        tx.execute_batch("INSERT INTO fact.month_frozen VALUES ('shop', '2025-10-01', 1, 0, 0, 0, 0, 1, 1, 'closed', now()::TIMESTAMP)")
            .unwrap();
        // As with `kill -9`: it is never committed.
        drop(tx);
    }
    drop(connection);
    let mut connection = open(folder.path());
    settle(&mut connection, end + GRACE, &mut check);
    assert_eq!(
        frozen(&connection),
        [("shop".to_owned(), 1, [86_400, 0, ALL_S - 86_400, 0])]
    );
}

#[test]
fn a_day_of_25_hours_in_its_zone_has_25_hours() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(folder.path());
    fill(
        &connection,
        "shop",
        "healthy",
        (OCTOBER + 20 * DAY, OCTOBER + 30 * DAY),
    );
    let sum = |begins: &str, ends: &str| -> i64 {
        let sql = format!(
            "SELECT good_s + bad_s + unknown_s FROM availability_between('shop', '{begins}', '{ends}')"
        );
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    let hours = sum("2025-10-26T00:00:00+02:00", "2025-10-27T00:00:00+01:00") / 3_600;
    assert_eq!(hours, 25);
    assert_eq!(
        sum("2025-10-25T00:00:00Z", "2025-10-26T00:00:00Z") / 3_600,
        24
    );
}
