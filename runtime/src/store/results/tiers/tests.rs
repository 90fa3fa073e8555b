mod counting;
mod crashes;
mod reopening;

use std::path::Path;

use duckdb::{Connection, params};

use super::marks::Marks;
use super::*;
use crate::domain::{Observation, Tier};
use crate::store::results::part::{Part, Work, write};
use crate::store::results::tests::observation;
use crate::store::results::{ResultError, schema};

/// 2026-11-23T00:00:00Z
const T0: Micros = 1_795_392_000 * SECOND;
const MINUTE: Micros = 60 * SECOND;
const FOR_EVER: TierRetention = TierRetention {
    runs: None,
    five_minutes: None,
    hours: None,
    days: None,
};

/// Binds the views to the marks that the connection sees.
fn bind(connection: &Connection) -> duckdb::Result<()> {
    connection.execute_batch(&variables(connection)?)
}

fn open(folder: &Path) -> Connection {
    let path = folder.join("results.duckdb");
    let open = |path: &Path| {
        Connection::open(path).map_err(|source| ResultError::Database {
            doing: "open",
            source,
        })
    };
    schema::migrate(open(&path).unwrap(), &path, open).unwrap()
}

/// A run a minute of three probes, with every kind of result among them.
fn fill(connection: &Connection, from: Micros, until: Micros) {
    let sql = "INSERT INTO fact.observations
        SELECT make_timestamp(?::BIGINT + minute * 60000000), 'service-' || probe % 2, 'probe-' || probe, 'local',
            ['error', 'error', 'error', 'unhealthy', 'degraded', 'unhealthy', 'healthy'][kind],
            if(kind IN (1, 2), NULL, 900 + hash(minute, probe) % 700000), 10, NULL, 30, 40, 50, 200,
            [NULL, 'plugin', 'plugin', NULL, NULL, 'plugin', NULL][kind], NULL, 512, 'http', '0.1.0',
            minute * 3 + probe, NULL, kind = 2, NULL
        FROM (SELECT minute, probe, least(1 + hash(probe, minute) % 20, 7)::INTEGER AS kind
            FROM range((?::BIGINT - ?::BIGINT) // 60000000) AS minutes(minute), range(3) AS probes(probe))";
    connection.execute(sql, params![from, until, from]).unwrap();
}

/// Runs in half an hour of each day.
fn fill_days(connection: &Connection, days: Micros) {
    for day in 0..days {
        let from = T0 + day * DAY + HOUR;
        fill(connection, from, from + 30 * MINUTE);
    }
}

/// Steps until nothing is due, and looks at the tiers after each of them.
fn count_all(
    connection: &mut Connection,
    now: Micros,
    retention: &TierRetention,
    look: impl Fn(&Connection),
) -> usize {
    for steps in 0..10_000 {
        let stepped = step(connection, now / 1_000, retention).unwrap();
        look(connection);
        if !stepped.has_worked {
            return steps;
        }
    }
    panic!("there is always something to do");
}

/// Rows in which a view differs from what the runs come to.
fn differences(connection: &Connection, tier: Tier) -> i64 {
    let name = tier.as_str();
    let width = width_of(tier);
    let mut found = 0;
    for table in ["roll", "hist"] {
        let whole = format!(
            "FROM fact.observed_{table}(INTERVAL {width}, TIMESTAMP '-infinity', TIMESTAMP 'infinity')"
        );
        let sql = format!(
            "SELECT count(*) AS found FROM (
                (FROM main.{table}_{name} EXCEPT ALL {whole}) UNION ALL ({whole} EXCEPT ALL FROM main.{table}_{name}))"
        );
        let rows: i64 = connection
            .query_row(&sql, [], |row| row.get("found"))
            .unwrap();
        found += rows;
    }
    found
}

fn width_of(tier: Tier) -> &'static str {
    match tier {
        Tier::FiveMinutes => "5 MINUTE",
        Tier::Hour => "1 HOUR",
        Tier::Day => "1 DAY",
    }
}

/// Every view is what the runs come to, wherever its tier has got to.
fn assert_agrees(connection: &Connection) {
    bind(connection).unwrap();
    for tier in Tier::ALL {
        assert_eq!(
            differences(connection, tier),
            0,
            "{tier:?} at {:?}",
            Marks::read(connection)
        );
    }
}

fn rows(connection: &Connection, table: &str) -> i64 {
    let sql = format!("SELECT count(*) AS found FROM {table}");
    connection
        .query_row(&sql, [], |row| row.get("found"))
        .unwrap()
}

/// Commits runs as the committer does.
fn append(connection: &mut Connection, runs: Vec<Observation>) {
    let part = Part {
        observations: runs.into_iter().map(std::sync::Arc::new).collect(),
        ..Part::default()
    };
    let work = Work {
        parts: vec![part],
        ..Work::default()
    };
    write(connection, &work).unwrap();
}

fn run_at(run_id: i64, moment: Micros) -> Observation {
    Observation {
        ts_ms: moment / 1_000,
        ..observation(run_id)
    }
}
