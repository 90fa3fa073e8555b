//! Days that leave the database for files of the archive: a day becomes a file, and in one
//! transaction the file counts and its rows are deleted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use duckdb::{Connection, params};

use super::changes::{self, Span};
use super::database::ReaderKind;
use super::error::reading;
use super::tiers::{self, Marks};
use super::{ResultError, ResultStore};
use crate::domain::{ArchiveDay, ArchiveTable, Tier, UnixMillis};

/// Rows of a day, by number and content: equal ones have equal rows, in whatever order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayContent {
    pub rows: i64,
    /// Sum of the hashes of the rows; none without any.
    pub hash: Option<String>,
}

/// A day that was written to a file.
#[derive(Debug, Clone)]
pub struct DayWritten {
    /// What the file holds.
    pub file: DayContent,
    /// What the database held of the day.
    pub stored: DayContent,
}

/// A file of the archive whose rows count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedDay {
    pub day: ArchiveDay,
    /// Path inside the archive.
    pub path: String,
    pub rows: i64,
}

impl ResultStore {
    /// Returns the oldest day of a table that has rows in the database and ends before a moment,
    /// if it is counted in the tiers. The last day with rows stays.
    pub async fn archive_next(
        &self,
        table: ArchiveTable,
        before_ms: UnixMillis,
    ) -> Result<Option<ArchiveDay>, ResultError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT epoch_ms(min(ts)) AS first_ms, epoch_ms(max(ts)) AS last_ms FROM fact.{table}"
            );
            let found = |row: &duckdb::Row<'_>| Ok((row.get("first_ms")?, row.get("last_ms")?));
            let (first_ms, last_ms): (Option<i64>, Option<i64>) =
                connection.query_row(&sql, [], found).map_err(reading)?;
            let (Some(first_ms), Some(last_ms)) = (first_ms, last_ms) else {
                return Ok(None);
            };
            let mut before_ms = before_ms.min(last_ms);
            if table == ArchiveTable::Observations {
                let marks = Marks::read(connection).map_err(reading)?;
                let counted = Tier::ALL.map(|tier| marks.clean_until_ms(tier));
                before_ms = counted.into_iter().fold(before_ms, UnixMillis::min);
            }
            Ok(ArchiveDay::of(table, first_ms).filter(|day| day.ends_ms() <= before_ms))
        })
        .await
    }

    /// Writes a day to a new file in [`Self::staging`], with the rows of the file that it had
    /// before, and reads that back.
    pub async fn archive_write(
        &self,
        day: ArchiveDay,
        before: Option<PathBuf>,
        target: PathBuf,
    ) -> Result<DayWritten, ResultError> {
        let reader = self.database.reader(ReaderKind::Shared).await?;
        let work = tokio::task::spawn_blocking(move || {
            write_day(&reader.connection, day, before.as_deref(), &target)
        });
        work.await.map_err(|_| ResultError::Reader)?
    }

    /// Has a file count in the place of the rows of its day, and of the file before; its path is
    /// that inside the archive. Returns false, and changes nothing, if the rows are no longer
    /// those that were written.
    pub async fn archive_switch(
        &self,
        archived: ArchivedDay,
        stored: DayContent,
    ) -> Result<bool, ResultError> {
        self.archive_change(move |connection| {
            if content(connection, &rows_of_day(archived.day))? != stored {
                return Ok(false);
            }
            let deleted = format!("DELETE {}", stored_rows(archived.day));
            connection.execute_batch(&deleted)?;
            let span = Span::new(
                archived.day.begins_ms() * 1_000,
                archived.day.ends_ms() * 1_000,
            );
            let table = archived.day.table.as_str();
            changes::mark_apart(connection, table, std::iter::once(span))?;
            if archived.day.table == ArchiveTable::Observations {
                tiers::runs_removed(connection, archived.day.ends_ms())?;
            }
            note(connection, &archived)?;
            Ok(true)
        })
        .await
    }

    /// Has a file count that is there, after the database was made anew. Returns false if the
    /// database has rows of the day: it is to be written again, with them.
    pub async fn archive_adopt(&self, archived: ArchivedDay) -> Result<bool, ResultError> {
        self.archive_change(move |connection| {
            let sql = format!("SELECT count(*) > 0 AS found {}", stored_rows(archived.day));
            let has_rows: bool = connection.query_row(&sql, [], |row| row.get("found"))?;
            if !has_rows {
                note(connection, &archived)?;
            }
            Ok(!has_rows)
        })
        .await
    }

    /// Has no file of a day count any more.
    pub async fn archive_forget(&self, day: ArchiveDay) -> Result<(), ResultError> {
        self.archive_change(move |connection| forget(connection, day))
            .await
    }

    /// Leaves files of the archive out of what is handed out to queries, by their paths inside it.
    pub fn archive_distrust(&self, damaged: impl IntoIterator<Item = String>) {
        let mut known = self.damaged.write().unwrap_or_else(PoisonError::into_inner);
        *known = damaged.into_iter().collect();
    }

    /// Returns the number of rows of a file of the archive.
    pub async fn archive_rows(&self, path: PathBuf) -> Result<i64, ResultError> {
        self.read(move |connection| {
            let counted = content(connection, &rows_of_file(&path)).map_err(reading)?;
            Ok(counted.rows)
        })
        .await
    }

    /// Returns the files that count.
    pub async fn archive_list(&self) -> Result<Vec<ArchivedDay>, ResultError> {
        self.read(|connection| archived_days(connection).map_err(reading))
            .await
    }

    /// Writes in a transaction of its own, beside the commits of results.
    async fn archive_change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> duckdb::Result<T> + Send + 'static,
    ) -> Result<T, ResultError> {
        let reader = self.database.reader(ReaderKind::Shared).await?;
        let database = Arc::clone(&self.database);
        let work = tokio::task::spawn_blocking(move || {
            let changed = in_transaction(&reader.connection, change);
            database.note_change();
            changed.map_err(|source| {
                if super::error::is_fatal(&source) {
                    database.invalidate();
                }
                ResultError::Database {
                    doing: "archive days of",
                    source,
                }
            })
        });
        work.await.map_err(|_| ResultError::Reader)?
    }
}

fn in_transaction<T>(
    connection: &Connection,
    change: impl FnOnce(&Connection) -> duckdb::Result<T>,
) -> duckdb::Result<T> {
    connection.execute_batch("BEGIN TRANSACTION")?;
    let changed = change(connection).and_then(|changed| {
        connection.execute_batch("COMMIT")?;
        Ok(changed)
    });
    if changed.is_err() {
        // The error of the change is the one that counts.
        let _ = connection.execute_batch("ROLLBACK");
    }
    changed
}

/// The files that count, in the snapshot of the open transaction.
pub(super) fn archived_days(connection: &Connection) -> duckdb::Result<Vec<ArchivedDay>> {
    let sql = "SELECT table_name, epoch_ms(day) AS day_ms, path, row_count FROM fact.archive_files ORDER BY path";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let table: String = row.get("table_name")?;
        let day = ArchiveTable::parse(&table)
            .and_then(|table| ArchiveDay::of(table, row.get("day_ms").ok()?));
        // A table that a later version archives is not read by this one.
        if let Some(day) = day {
            found.push(ArchivedDay {
                day,
                path: row.get("path")?,
                rows: row.get("row_count")?,
            });
        }
    }
    Ok(found)
}

fn note(connection: &Connection, archived: &ArchivedDay) -> duckdb::Result<()> {
    forget(connection, archived.day)?;
    connection.execute(
        "INSERT INTO fact.archive_files VALUES (?, make_timestamp(? * 1000)::DATE, ?, ?)",
        params![
            archived.day.table.as_str(),
            archived.day.begins_ms(),
            archived.path,
            archived.rows
        ],
    )?;
    Ok(())
}

fn forget(connection: &Connection, day: ArchiveDay) -> duckdb::Result<()> {
    connection.execute(
        "DELETE FROM fact.archive_files WHERE table_name = ? AND day = make_timestamp(? * 1000)::DATE",
        params![day.table.as_str(), day.begins_ms()],
    )?;
    Ok(())
}

/// Rows lie in the order in which people ask for them: those of one service together.
fn order_of(table: ArchiveTable) -> &'static str {
    match table {
        ArchiveTable::Observations
        | ArchiveTable::RateLimits
        | ArchiveTable::ShadowRuns
        | ArchiveTable::Calls => "service, ts",
        ArchiveTable::PluginRuns => "plugin, ts",
    }
}

/// `FROM` with the rows of a day that are in the database.
fn stored_rows(day: ArchiveDay) -> String {
    format!(
        "FROM fact.{} WHERE ts >= make_timestamp({}) AND ts < make_timestamp({})",
        day.table,
        day.begins_ms() * 1_000,
        day.ends_ms() * 1_000
    )
}

fn rows_of_day(day: ArchiveDay) -> String {
    format!("SELECT * {}", stored_rows(day))
}

/// `SELECT` of the rows of a file, whatever the names of its folders.
fn rows_of_file(path: &Path) -> String {
    let path = path.display().to_string().replace('\'', "''");
    format!("SELECT * FROM read_parquet('{path}', hive_partitioning = false)")
}

fn content(connection: &Connection, rows: &str) -> duckdb::Result<DayContent> {
    let sql =
        format!("SELECT count(*) AS rows, sum(hash(kept))::VARCHAR AS hash FROM ({rows}) AS kept");
    connection.query_row(&sql, [], |row| {
        Ok(DayContent {
            rows: row.get("rows")?,
            hash: row.get("hash")?,
        })
    })
}

fn write_day(
    connection: &Connection,
    day: ArchiveDay,
    before: Option<&Path>,
    target: &Path,
) -> Result<DayWritten, ResultError> {
    let failed = |source| ResultError::Database {
        doing: "archive a day of",
        source,
    };
    let (stored, written) = in_transaction(connection, |connection| {
        let stored = content(connection, &rows_of_day(day))?;
        let rows = match before {
            // A row that is in both, because an older backup was restored, is one row.
            Some(before) => format!(
                "{} UNION BY NAME {}",
                rows_of_day(day),
                rows_of_file(before)
            ),
            None => rows_of_day(day),
        };
        let written = content(connection, &rows)?;
        let path = target.display().to_string().replace('\'', "''");
        connection.execute_batch(&format!(
            "COPY (SELECT * FROM ({rows}) ORDER BY {}) TO '{path}' \
             (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{utc: 'true', \"table\": '{}', \"day\": '{}'}})",
            order_of(day.table),
            day.table,
            day.day
        ))?;
        Ok((stored, written))
    })
    .map_err(failed)?;
    let file = content(connection, &rows_of_file(target)).map_err(failed)?;
    if file != written {
        return Err(ResultError::Archive(format!(
            "the file of {day} does not have the rows that were written to it"
        )));
    }
    Ok(DayWritten { file, stored })
}

#[cfg(test)]
mod tests;
