//! Adds up the totals of calls that many batches left of one minute, an hour at a time, between the
//! batches of the committer.

use duckdb::Connection;

use super::changes::{self, HOUR, Span};
use super::tiers::{Micros, floor};
use crate::domain::UnixMillis;

/// Between looks at the hours.
const PAUSE_MS: i64 = 3_600_000;
/// Time until the first look, so that it is not in the way of a start.
const START_MS: i64 = 600_000;
/// Hours that are looked at again: calls that are reported later than that stay as they came.
const HOURS: i64 = 26;

const KEYS: &str =
    "ts, service, consumer, method, route, status_class, cache, source, ended, unit, currency";

/// Where the steps are.
#[derive(Debug, Default)]
pub(super) struct MergeCheck {
    due_ms: UnixMillis,
    /// The hour that is next, while hours are looked at.
    next: Option<Micros>,
}

impl MergeCheck {
    pub(super) fn starting(now_ms: UnixMillis) -> Self {
        Self {
            due_ms: now_ms + START_MS,
            next: None,
        }
    }
}

/// Merges an hour. False: nothing is due.
pub(super) fn step(
    connection: &mut Connection,
    now_ms: UnixMillis,
    check: &mut MergeCheck,
) -> duckdb::Result<bool> {
    // A clock that was set back makes no long pause.
    if check.due_ms > now_ms && check.due_ms <= now_ms + PAUSE_MS {
        return Ok(false);
    }
    // The hour that is over for an hour, and those before it.
    let until = floor(now_ms.saturating_mul(1_000), HOUR) - HOUR;
    let mut hour = check.next.unwrap_or(until - HOURS * HOUR);
    while hour < until {
        let has_merged = merge(connection, Span::new(hour, hour + HOUR))?;
        hour += HOUR;
        if has_merged {
            check.next = Some(hour);
            return Ok(true);
        }
    }
    check.next = None;
    check.due_ms = now_ms + PAUSE_MS;
    Ok(false)
}

fn merge(connection: &mut Connection, span: Span) -> duckdb::Result<bool> {
    let rows = span.sql();
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>("rows"));
    let stored = count(&format!(
        "SELECT count(*) AS rows FROM fact.usage_deltas WHERE {rows}"
    ))?;
    let merged = count(&format!(
        "SELECT count(*) AS rows FROM (SELECT DISTINCT {KEYS} FROM fact.usage_deltas WHERE {rows})"
    ))?;
    if merged >= stored {
        return Ok(false);
    }
    // Apart from the transaction, which changes one database alone; nobody else writes to it.
    connection.execute_batch(&format!(
        "CREATE OR REPLACE TEMP TABLE merged_usage AS SELECT {KEYS}, sum(amount)::DECIMAL(38,12) AS amount, \
             sum(calls)::UBIGINT AS calls, sum(unlisted)::UBIGINT AS unlisted, sum(attempts)::UBIGINT AS attempts, \
             sum(bytes_in)::UBIGINT AS bytes_in, sum(bytes_out)::UBIGINT AS bytes_out, sum(latency_us)::UBIGINT AS latency_us, \
             sum(cost_min)::DECIMAL(38,12) AS cost_min, sum(cost_max)::DECIMAL(38,12) AS cost_max \
         FROM fact.usage_deltas WHERE {rows} GROUP BY ALL"
    ))?;
    let tx = connection.transaction()?;
    tx.execute(&format!("DELETE FROM fact.usage_deltas WHERE {rows}"), [])?;
    tx.execute_batch(
        "INSERT INTO fact.usage_deltas BY NAME SELECT * FROM temp.merged_usage ORDER BY ts",
    )?;
    changes::mark(&tx, "usage_deltas", std::iter::once(span))?;
    tx.commit()?;
    connection.execute_batch("DROP TABLE temp.merged_usage")?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::results::{ResultError, schema};

    /// 2026-11-30T00:00:00Z
    const NOW_MS: UnixMillis = 1_795_996_800_000;

    #[test]
    fn totals_of_many_batches_become_one_a_minute_with_the_same_sums() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.duckdb");
        let open = |path: &std::path::Path| {
            Connection::open(path).map_err(|source| ResultError::Database {
                doing: "open",
                source,
            })
        };
        let mut connection = schema::migrate(open(&path).unwrap(), &path, open).unwrap();
        // A row a second and unit over three hours up to now.
        connection
            .execute_batch(&format!(
                "INSERT INTO fact.usage_deltas BY NAME
                 SELECT date_trunc('minute', make_timestamp({NOW_MS} * 1000) - to_seconds(s + 1)) AS ts, 'shop' AS service,
                     if(s % 2 = 0, 'a', NULL) AS consumer, 'GET' AS method, '/x' AS route, '2xx' AS status_class, 'none' AS cache,
                     'gateway' AS source, 'complete' AS ended, unit, if(unit IS NULL, 0, 0.5) AS amount,
                     if(unit IS NULL, 1, 0) AS calls, 0 AS unlisted, 1 AS attempts, 2 AS bytes_in, 3 AS bytes_out, 4 AS latency_us,
                     0.25 AS cost_min, 1 AS cost_max, 'EUR' AS currency
                 FROM range(0, 3 * 3600) AS seconds(s), (VALUES (NULL), ('tokens')) AS units(unit)"
            ))
            .unwrap();
        let totals =
            "SELECT string_agg(t::VARCHAR, ' ' ORDER BY ts, consumer) FROM usage_totals AS t";
        let text = |connection: &Connection, sql: &str| {
            connection
                .query_row(sql, [], |row| row.get::<_, String>(0))
                .unwrap()
        };
        let before = text(&connection, totals);
        let mut check = MergeCheck::default();
        let steps = (0..100).find(|_| !step(&mut connection, NOW_MS, &mut check).unwrap());
        assert_eq!(steps, Some(2), "the hour that is just over stays");
        assert_eq!(text(&connection, totals), before);
        let rows = text(
            &connection,
            "SELECT count(*)::VARCHAR FROM fact.usage_deltas",
        );
        assert_eq!(rows, (2 * 60 * 2 * 2 + 2 * 3_600).to_string());
        let marked = text(
            &connection,
            "SELECT count(*)::VARCHAR FROM fact.sealed_dirty WHERE table_name = 'usage_deltas'",
        );
        assert_ne!(marked, "0");
        assert!(!step(&mut connection, NOW_MS, &mut check).unwrap());
    }
}
