//! Names of the files, in the store. What is added, what is removed and which changes
//! are no longer open is one transaction, so the store names what is in the files at any moment.

use std::collections::BTreeMap;

use duckdb::{Connection, params};

use crate::store::results::changes::{self, Mark, Micros, Span};

/// A file that the store names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) table: String,
    pub(super) span: Span,
    pub(super) file: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// Columns of the table when it was written.
    pub(super) shape: String,
    /// In hex; empty for a file of a version that noted none.
    pub(super) sha256: String,
}

/// A file that is to be named.
#[derive(Debug, Clone)]
pub(super) struct Added {
    pub(super) table: &'static str,
    pub(super) span: Span,
    pub(super) file: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) shape: String,
    pub(super) sha256: String,
}

/// One transaction.
#[derive(Debug, Clone, Default)]
pub(super) struct Change {
    /// Marks of what is in the files.
    pub(super) seen: Vec<i64>,
    pub(super) added: Vec<Added>,
    pub(super) removed: Vec<String>,
    /// What of it is not.
    pub(super) left: Vec<Mark>,
}

pub(super) fn entries(connection: &Connection) -> duckdb::Result<Vec<Entry>> {
    let sql = "SELECT table_name, epoch_us(since) AS since, epoch_us(until) AS until, file, rows, bytes, shape, sha256 FROM fact.sealed_files";
    let mut statement = connection.prepare(sql)?;
    let entries = statement.query_map([], |row| {
        let number = |name: &str| row.get::<_, i64>(name).map(i64::unsigned_abs);
        let (from, until): (Micros, Micros) = (row.get("since")?, row.get("until")?);
        Ok(Entry {
            table: row.get("table_name")?,
            span: Span::new(from, until),
            file: row.get("file")?,
            rows: number("rows")?,
            bytes: number("bytes")?,
            shape: row.get("shape")?,
            sha256: row.get::<_, Option<String>>("sha256")?.unwrap_or_default(),
        })
    })?;
    entries.collect()
}

/// Returns a digest of the columns of each table, which differs after a migration.
pub(super) fn shapes(connection: &Connection) -> duckdb::Result<BTreeMap<String, String>> {
    let sql = "SELECT table_name, md5(string_agg(column_name || ' ' || data_type, ', ' ORDER BY column_index)) AS shape \
               FROM duckdb_columns() WHERE schema_name = 'fact' AND database_name = current_database() GROUP BY table_name";
    let mut statement = connection.prepare(sql)?;
    let shapes = statement.query_map([], |row| Ok((row.get("table_name")?, row.get("shape")?)))?;
    shapes.collect()
}

/// Names what was written, all of it or nothing.
pub(super) fn publish(connection: &mut Connection, change: &Change) -> duckdb::Result<()> {
    let tx = connection.transaction()?;
    changes::forget(&tx, &change.seen, &change.left)?;
    {
        let mut remove = tx.prepare("DELETE FROM fact.sealed_files WHERE file = ?")?;
        for file in &change.removed {
            remove.execute([file])?;
        }
        let sql = "INSERT INTO fact.sealed_files (table_name, since, until, file, rows, bytes, shape, sha256) \
                   VALUES (?, make_timestamp(?::BIGINT), make_timestamp(?::BIGINT), ?, ?, ?, ?, ?)";
        let mut add = tx.prepare(sql)?;
        for added in &change.added {
            let Span { from, until } = added.span;
            let (rows, bytes) = (added.rows.cast_signed(), added.bytes.cast_signed());
            let file = &added.file;
            add.execute(params![
                added.table,
                from,
                until,
                file,
                rows,
                bytes,
                added.shape,
                added.sha256
            ])?;
        }
    }
    tx.commit()
}
