use std::fmt::Write as _;

use duckdb::Connection;

use super::*;
use crate::domain::{
    CallRow, Event, Incident, InvoiceLine, Observation, PluginRun, ShadowRun, UsageTotal,
};
use crate::store::results::schema;

/// Name, type and nullability of the columns of a table, as it was described.
fn described<R: Record>() -> Vec<(String, String, bool)> {
    R::columns()
        .iter()
        .map(|column| {
            (
                column.name.to_owned(),
                column.kind.sql().to_owned(),
                column.is_nullable,
            )
        })
        .collect()
}

/// The same, as migrations made it; of a table or of a view.
fn made(connection: &Connection, schema: &str, table: &str) -> Vec<(String, String, bool)> {
    let sql = "SELECT column_name, data_type, is_nullable FROM duckdb_columns() \
               WHERE schema_name = ? AND table_name = ? ORDER BY column_index";
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.query_map([schema, table], |row| {
        Ok((
            row.get("column_name")?,
            row.get("data_type")?,
            row.get("is_nullable")?,
        ))
    });
    columns.unwrap().collect::<Result<_, _>>().unwrap()
}

fn migrated(folder: &std::path::Path) -> Connection {
    let path = folder.join("results.duckdb");
    let open = |path: &std::path::Path| {
        Connection::open(path).map_err(|source| ResultError::Database {
            doing: "open",
            source,
        })
    };
    schema::migrate(open(&path).unwrap(), &path, open).unwrap()
}

/// A table without a view of its own.
fn check_table<R: Record>(connection: &Connection) {
    assert_eq!(
        made(connection, SCHEMA, R::TABLE),
        described::<R>(),
        "{}",
        R::TABLE
    );
}

fn check<R: Record>(connection: &Connection) {
    check_table::<R>(connection);
    let view: Vec<_> = made(connection, "main", R::TABLE)
        .into_iter()
        .map(|(name, kind, _)| (name, kind))
        .collect();
    for column in R::columns() {
        let kind = match column.kind {
            // A list has a type of its own.
            ColumnType::Json if ["tags", "depends_on"].contains(&column.name) => "VARCHAR[]",
            ColumnType::Json => "JSON",
            kind => kind.sql(),
        };
        let wanted = (column.name.to_owned(), kind.to_owned());
        assert!(view.contains(&wanted), "{}: {wanted:?}", R::TABLE);
    }
}

#[test]
fn the_description_of_each_table_is_what_migrations_made() {
    let folder = tempfile::tempdir().unwrap();
    let connection = migrated(folder.path());
    check::<Observation>(&connection);
    check::<Event>(&connection);
    check::<PluginRun>(&connection);
    check::<ShadowRun>(&connection);
    check::<RateLimitRow>(&connection);
    check::<AlertEventRow>(&connection);
    check::<Incident>(&connection);
    check::<InvoiceLine>(&connection);
    check::<ServiceRow>(&connection);
    check::<CallRow>(&connection);
    check_table::<CallKeyRow>(&connection);
    check_table::<CallBatchRow>(&connection);
    check_table::<UsageTotal>(&connection);
    let tables: i64 = connection
        .query_row(
            "SELECT count(*) AS tables FROM duckdb_tables() \
             WHERE schema_name = 'fact' AND table_name <> 'schema_steps'
                 AND NOT regexp_full_match(table_name, 'roll_state|month_frozen|plugin_run_minutes|archive_files|(roll|hist)_(5m|1h|1d)|sealed_[a-z]+')",
            [],
            |row| row.get("tables"),
        )
        .unwrap();
    assert_eq!(tables, 13, "a table is not described");
}

fn documented<R: Record>(page: &mut String) {
    writeln!(
        page,
        "\n### `{}`\n\n| column | type | |\n|---|---|---|",
        R::TABLE
    )
    .unwrap();
    for column in R::columns() {
        let kind = match column.kind {
            ColumnType::Json => "JSON",
            kind => kind.sql(),
        };
        let may_be_null = if column.is_nullable { ", or null" } else { "" };
        writeln!(
            page,
            "| `{}` | {kind}{may_be_null} | {} |",
            column.name, column.about
        )
        .unwrap();
    }
}

/// The part of `runtime/docs/sql.md` behind its marker is printed from the description;
/// `EXTRACK_UPDATE_DOCS=1` writes it.
#[test]
fn the_page_on_sql_documents_each_column() {
    const MARKER: &str = "<!-- The tables below are generated from the code. -->\n";
    let mut tables = String::new();
    documented::<Observation>(&mut tables);
    documented::<Event>(&mut tables);
    documented::<RateLimitRow>(&mut tables);
    documented::<PluginRun>(&mut tables);
    documented::<ShadowRun>(&mut tables);
    documented::<AlertEventRow>(&mut tables);
    documented::<Incident>(&mut tables);
    documented::<InvoiceLine>(&mut tables);
    documented::<ServiceRow>(&mut tables);
    documented::<CallRow>(&mut tables);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sql.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (text, found) = page.split_once(MARKER).unwrap();
    if std::env::var_os("EXTRACK_UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{text}{MARKER}{tables}")).unwrap();
    } else {
        assert_eq!(found, tables, "run this test with EXTRACK_UPDATE_DOCS=1");
    }
}
