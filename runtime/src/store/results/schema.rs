//! Migrations of the results store: one statement a transaction, a checkpoint after each, so that
//! no DDL of a file with history is ever left in the write-ahead log; a copy of the file before an
//! existing one is changed.

use std::path::Path;

use duckdb::Connection;

use super::ResultError;

/// Every migration, oldest first. Files are added, never changed.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/results/0001_initial.sql"),
    include_str!("../../../migrations/results/0002_plugin_run_columns.sql"),
    include_str!("../../../migrations/results/0003_shadow_runs.sql"),
    include_str!("../../../migrations/results/0004_events.sql"),
    include_str!("../../../migrations/results/0005_plugin_health_view.sql"),
    include_str!("../../../migrations/results/0006_rate_limits.sql"),
    include_str!("../../../migrations/results/0007_tiers.sql"),
    include_str!("../../../migrations/results/0008_sealed.sql"),
    include_str!("../../../migrations/results/0009_incidents.sql"),
    include_str!("../../../migrations/results/0010_archive.sql"),
    include_str!("../../../migrations/results/0012_long_history.sql"),
    include_str!("../../../migrations/results/0013_calls.sql"),
    include_str!("../../../migrations/results/0014_costs.sql"),
    include_str!("../../../migrations/results/0015_rate_limit_figures.sql"),
    include_str!("../../../migrations/results/0017_sealed_sums.sql"),
    include_str!("../../../migrations/results/0018_service_facts.sql"),
    include_str!("../../../migrations/results/0019_vendor_claims.sql"),
    include_str!("../../../migrations/results/0020_invoices.sql"),
    include_str!("../../../migrations/results/0021_analytics.sql"),
];

/// One statement each; the position of the last one applied is the schema's version.
pub(super) fn steps() -> Vec<&'static str> {
    MIGRATIONS
        .iter()
        .flat_map(|file| file.split_inclusive(";\n"))
        .map(str::trim)
        .filter(|step| !step.is_empty())
        .collect()
}

/// Returns the number of steps that were applied to a file; 0 for an empty one.
pub(super) fn version(connection: &Connection) -> Result<usize, duckdb::Error> {
    if !has_steps(connection)? {
        return Ok(0);
    }
    let found: u32 = connection.query_row(
        "SELECT coalesce(max(step), 0) AS step FROM fact.schema_steps",
        [],
        |row| row.get("step"),
    )?;
    Ok(found as usize)
}

/// An error if a file is not at the version of this program.
pub(super) fn check_up_to_date(connection: &Connection) -> Result<(), ResultError> {
    let found = version(connection).map_err(super::error::reading)?;
    let known = steps().len();
    match found.cmp(&known) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(ResultError::Older { found, known }),
        std::cmp::Ordering::Greater => Err(ResultError::Newer { found, known }),
    }
}

/// Brings the file up to date. It is closed and opened again when a copy has to be made.
pub(super) fn migrate(
    mut connection: Connection,
    path: &Path,
    open: impl Fn(&Path) -> Result<Connection, ResultError>,
) -> Result<Connection, ResultError> {
    let steps = steps();
    let migrating = |source| ResultError::Database {
        doing: "migrate",
        source,
    };
    // A store that is up to date is not written to, so that the program starts on a full disk.
    if !has_steps(&connection).map_err(migrating)? {
        apply(&connection, "CREATE SCHEMA IF NOT EXISTS fact").map_err(migrating)?;
        apply(
            &connection,
            "CREATE TABLE IF NOT EXISTS fact.schema_steps (step UINTEGER NOT NULL, applied TIMESTAMP NOT NULL)",
        )
        .map_err(migrating)?;
    }
    let found = version(&connection).map_err(migrating)?;
    if found > steps.len() {
        return Err(ResultError::Newer {
            found,
            known: steps.len(),
        });
    }
    if found > 0 && found < steps.len() {
        connection = back_up(connection, path, found, open)?;
    }
    for (index, &step) in steps.iter().enumerate().skip(found) {
        let note = format!(
            "INSERT INTO fact.schema_steps VALUES ({}, make_timestamp(epoch_us(now())))",
            index + 1
        );
        for statement in [step, note.as_str()] {
            connection.execute_batch(statement).map_err(migrating)?;
            // A new file has nothing to lose: a log that can't be replayed is set aside.
            if found > 0 {
                connection.execute_batch("CHECKPOINT").map_err(migrating)?;
            }
        }
    }
    if found == 0 {
        connection.execute_batch("CHECKPOINT").map_err(migrating)?;
    }
    Ok(connection)
}

fn has_steps(connection: &Connection) -> Result<bool, duckdb::Error> {
    connection.query_row(
        "SELECT count(*) > 0 AS found FROM duckdb_tables() WHERE schema_name = 'fact' AND table_name = 'schema_steps'",
        [],
        |row| row.get("found"),
    )
}

fn apply(connection: &Connection, statement: &str) -> Result<(), duckdb::Error> {
    connection.execute_batch(statement)?;
    connection.execute_batch("CHECKPOINT")
}

/// `results.duckdb.step-12.backup`, made while the file is closed and without a log.
fn back_up(
    connection: Connection,
    path: &Path,
    found: usize,
    open: impl Fn(&Path) -> Result<Connection, ResultError>,
) -> Result<Connection, ResultError> {
    drop(connection);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".step-{found}.backup"));
    let target = path.with_file_name(name);
    let copy = || {
        std::fs::copy(path, &target)?;
        std::fs::File::open(&target)?.sync_all()
    };
    copy().map_err(|source| ResultError::Backup {
        path: path.to_owned(),
        source,
    })?;
    tracing::info!(path = %target.display(), "copied the results store before changing its schema");
    open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Result<Connection, ResultError> {
        Connection::open(path).map_err(|source| ResultError::Database {
            doing: "open",
            source,
        })
    }

    fn step(connection: &Connection) -> u32 {
        connection
            .query_row(
                "SELECT max(step) AS step FROM fact.schema_steps",
                [],
                |row| row.get("step"),
            )
            .unwrap()
    }

    #[test]
    fn every_step_may_run_twice() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE SCHEMA fact").unwrap();
        for step in steps().iter().chain(steps().iter()) {
            connection.execute_batch(step).unwrap();
        }
    }

    #[test]
    fn an_older_file_is_copied_and_then_brought_up_to_date() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.duckdb");
        let connection = migrate(open(&path).unwrap(), &path, open).unwrap();
        let last = step(&connection);
        connection
            .execute_batch("DELETE FROM fact.schema_steps WHERE step > 3")
            .unwrap();
        drop(connection);
        assert!(!dir.path().join("results.duckdb.step-3.backup").exists());
        let connection = migrate(open(&path).unwrap(), &path, open).unwrap();
        assert_eq!(step(&connection), last);
        assert_eq!(
            step(&open(&dir.path().join("results.duckdb.step-3.backup")).unwrap()),
            3
        );
    }

    #[test]
    fn a_newer_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.duckdb");
        let connection = migrate(open(&path).unwrap(), &path, open).unwrap();
        connection
            .execute_batch("INSERT INTO fact.schema_steps VALUES (999, '2030-01-01')")
            .unwrap();
        drop(connection);
        let refused = migrate(open(&path).unwrap(), &path, open)
            .err()
            .unwrap()
            .to_string();
        assert!(refused.contains("999"), "{refused}");
    }
}
