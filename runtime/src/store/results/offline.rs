//! What can be done with a store while no program has it open: look through it, see what takes the
//! room, write it anew without holes.

use std::path::Path;

use super::backup::{TableRows, copy, count_rows, open_read_only, rows_of};
use super::database::open_up_to_date;
use super::error::reading;
use super::{FILE, ResultError, schema};
use crate::domain::SchemaChange;
use crate::store::lock::DataLock;

/// Size of one block of a file, and of what a table takes of it at least.
const BLOCK_BYTES: u64 = 256 << 10;
const MEMORY: &str = "1GB";

/// Room that one table takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSize {
    pub table: String,
    pub rows: i64,
    /// Whole blocks; small tables share one.
    pub bytes: u64,
}

/// Sizes of a file before and after it was written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    pub before_bytes: u64,
    pub after_bytes: u64,
}

/// Reads every block of the results in a data folder, and returns the rows of their tables.
pub fn check(data: &Path) -> Result<TableRows, ResultError> {
    let path = data.join(FILE);
    let _lock = DataLock::acquire(&path)?;
    rows_of(&path)
}

/// Returns what [`migrate`] would do. It changes nothing.
pub fn migration(data: &Path) -> Result<SchemaChange, ResultError> {
    let path = data.join(FILE);
    let _lock = DataLock::acquire(&path)?;
    change(&path)
}

/// Brings the schema of the results in a data folder up to date. The file as it was stays beside
/// it.
pub fn migrate(data: &Path) -> Result<SchemaChange, ResultError> {
    let path = data.join(FILE);
    let _lock = DataLock::acquire(&path)?;
    let change = change(&path)?;
    drop(open_up_to_date(&path, MEMORY)?);
    Ok(change)
}

fn change(path: &Path) -> Result<SchemaChange, ResultError> {
    let connection = open_read_only(path)?;
    let (found, known) = (
        schema::version(&connection).map_err(reading)?,
        schema::steps().len(),
    );
    if found > known {
        return Err(ResultError::Newer { found, known });
    }
    Ok(SchemaChange {
        from: found as i64,
        to: known as i64,
    })
}

/// Returns what each table takes, the largest first.
pub fn sizes(data: &Path) -> Result<Vec<TableSize>, ResultError> {
    let path = data.join(FILE);
    let _lock = DataLock::acquire(&path)?;
    let connection = open_up_to_date(&path, MEMORY)?;
    let mut sizes = count_rows(&connection)?
        .into_iter()
        .map(|(table, rows)| {
            let sql = "SELECT count(DISTINCT block_id) AS blocks FROM pragma_storage_info(?) WHERE block_id >= 0";
            let blocks: u64 = connection
                .query_row(sql, [format!("fact.{table}")], |row| row.get("blocks"))
                .map_err(reading)?;
            Ok(TableSize {
                table,
                rows,
                bytes: blocks * BLOCK_BYTES,
            })
        })
        .collect::<Result<Vec<_>, ResultError>>()?;
    sizes.sort_by_key(|size| std::cmp::Reverse(size.bytes));
    Ok(sizes)
}

/// Writes the file anew, compares the copy, and puts it in the place of the old one if it is
/// smaller. Cut off at any
/// moment, it leaves one of the two, whole.
pub fn compact(data: &Path) -> Result<Compacted, ResultError> {
    let path = data.join(FILE);
    let _lock = DataLock::acquire(&path)?;
    let size = |path: &Path| std::fs::metadata(path).map(|found| found.len());
    let failed = |source| ResultError::Compact {
        path: path.clone(),
        source,
    };
    let new = path.with_extension("duckdb.compacting");
    for end in ["", ".wal"] {
        let mut left_over = new.clone().into_os_string();
        left_over.push(end);
        match std::fs::remove_file(&left_over) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
    }
    let before_bytes = size(&path).map_err(failed)?;
    let connection = open_up_to_date(&path, MEMORY)?;
    // What is in the log has to be in the file that is replaced: the log goes with it.
    connection.execute_batch("CHECKPOINT").map_err(reading)?;
    let rows = count_rows(&connection)?;
    copy(&connection, &new, None)?;
    drop(connection);
    if rows_of(&new)? != rows {
        return Err(failed(std::io::Error::other(
            "the copy does not have the rows of the store",
        )));
    }
    let after_bytes = size(&new).map_err(failed)?;
    if after_bytes >= before_bytes {
        std::fs::remove_file(&new).map_err(failed)?;
        return Ok(Compacted {
            before_bytes,
            after_bytes: before_bytes,
        });
    }
    let replace = || {
        std::fs::File::open(&new)?.sync_all()?;
        std::fs::rename(&new, &path)?;
        std::fs::File::open(data)?.sync_all()
    };
    replace().map_err(failed)?;
    Ok(Compacted {
        before_bytes,
        after_bytes,
    })
}
