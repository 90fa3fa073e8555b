//! Reading and writing rows: what all tables share.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::error::{ControlError, Result};

/// Longest list, whatever was asked for: the API's longest page, and one row more.
pub const MAX_PAGE: u32 = 1_001;

/// Limit of a query: at least one, at most [`MAX_PAGE`].
pub(super) fn page(limit: u32) -> i64 {
    i64::from(limit.clamp(1, MAX_PAGE))
}

/// Reads a column that holds a word of the domain.
pub(super) fn word<T>(
    row: &SqliteRow,
    column: &'static str,
    what: &'static str,
    name: impl ToString,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T> {
    let text: String = row.try_get(column)?;
    parse(&text).ok_or_else(|| ControlError::Unreadable {
        what,
        name: name.to_string(),
        column,
        found: text,
    })
}

/// `Exists` where a unique constraint spoke.
pub(super) fn exists(source: sqlx::Error, what: &'static str, name: impl ToString) -> ControlError {
    match source.as_database_error() {
        Some(error) if error.is_unique_violation() => ControlError::Exists {
            what,
            name: name.to_string(),
        },
        _ => ControlError::Database {
            doing: "write",
            source,
        },
    }
}
