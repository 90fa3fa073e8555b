//! A copy of the control store while the program runs, and the check of one.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{ControlError, ControlStore, Result};

impl ControlStore {
    /// Writes what is committed to a new file. Commits go on meanwhile.
    pub async fn backup(&self, target: &Path) -> Result<()> {
        let sql = "SELECT file FROM pragma_database_list WHERE name = 'main'";
        let source: String = sqlx::query_scalar(sql).fetch_one(&self.reader).await?;
        // The readers of the pool write nothing at all; this one writes the copy.
        let mut connection = SqliteConnectOptions::new()
            .filename(source)
            .read_only(true)
            .connect()
            .await?;
        sqlx::query("VACUUM INTO $1")
            .bind(target.display().to_string())
            .execute(&mut connection)
            .await?;
        Ok(connection.close().await?)
    }

    /// Reads a store that nobody else has open from end to end. An error says what is wrong with
    /// it.
    pub async fn check(path: &Path) -> Result<()> {
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .connect()
            .await?;
        let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        if found == "ok" {
            return Ok(());
        }
        Err(ControlError::Files(std::io::Error::other(found)))
    }
}
