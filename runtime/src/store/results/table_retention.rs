//! Removes rows that are no longer kept, a day of one table at a time, between the batches of the
//! committer. Good runs of plugins are added up by minutes first, in the same transaction.

use std::time::Duration;

use duckdb::Connection;

use super::changes::{self, Span};
use super::tiers::{DAY, Micros, floor};
use crate::domain::{TableRetention, TierRetention, UnixMillis};

/// How long rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keep {
    pub(super) tiers: TierRetention,
    pub(super) tables: TableRetention,
}

const MINUTE: Micros = 60_000_000;

/// Numbers of batches of calls: nobody hands one over again after so long.
const BATCHES_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Between looks at all tables.
const PAUSE_MS: i64 = 3_600_000;

/// What is removed of a table.
struct Rule {
    table: &'static str,
    /// Column with the moment by which rows are kept.
    moment: &'static str,
    /// Which rows; it may name the table's own columns.
    condition: &'static str,
    kept: Option<Duration>,
    is_added_up: bool,
}

fn rules(retention: &TableRetention) -> [Rule; 11] {
    let rule = |table, kept| Rule {
        table,
        moment: "ts",
        condition: "true",
        kept,
        is_added_up: false,
    };
    [
        Rule {
            condition: "outcome = 'ok'",
            is_added_up: true,
            ..rule("plugin_runs", retention.good_plugin_runs)
        },
        Rule {
            condition: "outcome <> 'ok'",
            ..rule("plugin_runs", retention.plugin_runs)
        },
        rule("plugin_run_minutes", retention.plugin_run_minutes),
        Rule {
            condition: "event_id < (SELECT max(event_id) FROM fact.alert_events)",
            ..rule("alert_events", retention.alert_events)
        },
        Rule {
            moment: "received_ts",
            condition: "id < (SELECT max(id) FROM fact.events)",
            ..rule("events", retention.events)
        },
        rule("rate_limits", retention.rate_limits),
        rule("shadow_runs", retention.shadow_runs),
        rule("calls", retention.calls),
        rule("call_keys", retention.calls),
        rule("call_batches", Some(BATCHES_KEPT)),
        rule("usage_deltas", retention.usage_totals),
    ]
}

/// Time until the first look, so that it is not in the way of a start.
const START_MS: i64 = 300_000;

/// When tables are looked at again.
#[derive(Debug, Default)]
pub(super) struct TableCheck {
    due_ms: UnixMillis,
    /// What was wanted when it was asked last.
    retention: Option<TableRetention>,
}

impl TableCheck {
    pub(super) fn starting(now_ms: UnixMillis) -> Self {
        Self {
            due_ms: now_ms + START_MS,
            retention: None,
        }
    }

    /// Notes what is wanted; a change is looked into at once.
    pub(super) fn follow(&mut self, retention: &TableRetention, now_ms: UnixMillis) {
        let before = self.retention.replace(*retention);
        if before.is_some_and(|before| before != *retention) {
            self.due_ms = now_ms;
        }
    }
}

/// Removes a day of one table. False: nothing is due.
pub(super) fn step(
    connection: &mut Connection,
    now_ms: UnixMillis,
    retention: &TableRetention,
    check: &mut TableCheck,
) -> duckdb::Result<bool> {
    check.follow(retention, now_ms);
    // A clock that was set back makes no long pause.
    if check.due_ms > now_ms && check.due_ms <= now_ms + PAUSE_MS {
        return Ok(false);
    }
    for rule in rules(retention) {
        if remove(connection, &rule, now_ms)? {
            return Ok(true);
        }
    }
    check.due_ms = now_ms + PAUSE_MS;
    Ok(false)
}

fn remove(connection: &mut Connection, rule: &Rule, now_ms: UnixMillis) -> duckdb::Result<bool> {
    let Rule {
        table,
        moment,
        condition,
        ..
    } = rule;
    let Some(kept) = rule.kept else {
        return Ok(false);
    };
    let kept = Micros::try_from(kept.as_micros()).unwrap_or(Micros::MAX);
    let before = floor(now_ms.saturating_mul(1_000).saturating_sub(kept), DAY);
    let first: Option<Micros> = connection.query_row(
        &format!(
            "SELECT epoch_us(min({moment})) AS first FROM fact.{table} WHERE {moment} < make_timestamp({before}) AND {condition}"
        ),
        [],
        |row| row.get("first"),
    )?;
    let Some(first) = first else {
        return Ok(false);
    };
    let until = before.min(floor(first, DAY) + DAY);
    let removed = format!("{moment} < make_timestamp({until}) AND {condition}");
    let tx = connection.transaction()?;
    let span = span_of(&tx, table, &removed)?;
    changes::mark(&tx, table, std::iter::once(span))?;
    if rule.is_added_up {
        let minutes = Span::new(floor(span.from, MINUTE), span.until);
        changes::mark(&tx, "plugin_run_minutes", std::iter::once(minutes))?;
        tx.execute_batch(&format!(
            "INSERT INTO fact.plugin_run_minutes SELECT * FROM fact.added_up_runs(make_timestamp({until}))"
        ))?;
    }
    let removed = tx.execute(&format!("DELETE FROM fact.{table} WHERE {removed}"), [])?;
    tx.commit()?;
    metrics::counter!("extrack_results_rows_removed_total", "table" => *table)
        .increment(removed as u64);
    Ok(true)
}

/// Returns the span of the rows that a condition selects, by which tables are sealed; there is one
/// at least.
fn span_of(connection: &Connection, table: &str, condition: &str) -> duckdb::Result<Span> {
    let sql = format!(
        "SELECT epoch_us(min(ts)) AS first, epoch_us(max(ts)) AS last FROM fact.{table} WHERE {condition}"
    );
    connection.query_row(&sql, [], |row| {
        let last: Micros = row.get("last")?;
        Ok(Span::new(row.get("first")?, last + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::results::{ResultError, schema};

    const NOW_MS: UnixMillis = 1_795_996_800_000;

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

    fn number(connection: &Connection, sql: &str) -> i64 {
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn all(connection: &mut Connection, retention: &TableRetention) -> usize {
        let mut check = TableCheck::default();
        (0..1_000)
            .find(|_| !step(connection, NOW_MS, retention, &mut check).unwrap())
            .expect("it ends")
    }

    fn fill(connection: &Connection) {
        connection
            .execute_batch(&format!(
                "INSERT INTO fact.plugin_runs BY NAME
                 SELECT make_timestamp({NOW_MS} * 1000) - to_minutes(minute * 10 + 1) AS ts, minute * 2 + half AS run_id,
                     'http' AS plugin, 'probe' AS kind, '1' AS version, 'd' AS digest, 'check' AS function,
                     if(minute % 10 = 0, 'error', 'ok') AS outcome, 7 AS duration_us, 3 AS cpu_us, 5 AS memory_bytes,
                     1 AS host_calls, 0 AS log_bytes
                 FROM range(0, 144 * 30) AS minutes(minute), range(2) AS halves(half)"
            ))
            .unwrap();
    }

    #[test]
    fn good_runs_of_plugins_become_minutes_and_failures_stay() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = open(folder.path());
        fill(&connection);
        let health = "SELECT (sum(runs) + sum(errors) * 1000000 + sum(cpu_us) * 1000000000000)::BIGINT FROM plugin_health";
        let before = number(&connection, health);
        assert!(all(&mut connection, &TableRetention::default()) >= 22);
        assert_eq!(number(&connection, health), before);
        let old = "ts < make_timestamp(1795996800000000) - INTERVAL 8 DAY";
        for (sql, wanted) in [
            (
                format!("SELECT count(*) FROM plugin_runs WHERE {old} AND outcome = 'ok'"),
                0,
            ),
            (
                format!("SELECT count(*) FROM plugin_runs WHERE {old} AND outcome <> 'ok'"),
                633,
            ),
            (
                "SELECT count(*) - count(DISTINCT ts) FROM plugin_run_minutes".to_owned(),
                0,
            ),
            ("SELECT max(runs) FROM plugin_run_minutes".to_owned(), 2),
            (
                "SELECT min(duration_us) FROM plugin_run_minutes".to_owned(),
                14,
            ),
        ] {
            let found = number(&connection, &sql);
            if wanted == 633 {
                assert!((630..=640).contains(&found), "{sql}: {found}");
            } else {
                assert_eq!(found, wanted, "{sql}");
            }
        }
        assert_eq!(all(&mut connection, &TableRetention::default()), 0);
    }

    #[test]
    fn the_newest_event_stays_so_that_ids_go_on_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = open(folder.path());
        connection
            .execute_batch(
                "INSERT INTO fact.events BY NAME
                 SELECT TIMESTAMP '2020-01-01' + to_days(n::INTEGER) AS received_ts, TIMESTAMP '2020-01-01' AS ts, n AS id,
                     's' AS service, 'w' AS webhook, 'p' AS plugin, '1' AS plugin_version, n AS run_id, 'k' AS kind,
                     '' AS summary, '{}' AS payload
                 FROM range(1, 11) AS numbers(n)",
            )
            .unwrap();
        assert_eq!(all(&mut connection, &TableRetention::FOR_EVER), 0);
        assert_eq!(all(&mut connection, &TableRetention::default()), 9);
        assert_eq!(
            number(&connection, "SELECT sum(id)::BIGINT FROM events"),
            10
        );
    }
}
