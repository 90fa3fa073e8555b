//! The schema of a control store that no program has open.

use std::path::Path;

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::opening::{MIGRATOR, resolve};
use super::{ControlError, ControlStore, DataLock, Result};
use crate::domain::SchemaChange;

impl ControlStore {
    /// Returns what [`Self::migrate`] would do. It changes nothing.
    pub async fn migration(path: &Path) -> Result<SchemaChange> {
        let _lock = DataLock::acquire(path)?;
        let mut connection = SqliteConnectOptions::new()
            .filename(resolve(path))
            .read_only(true)
            .connect()
            .await?;
        let change = change(&mut connection).await?;
        connection.close().await?;
        Ok(change)
    }

    /// Brings the schema up to date. It needs no key: what is sealed stays sealed.
    pub async fn migrate(path: &Path) -> Result<SchemaChange> {
        let _lock = DataLock::acquire(path)?;
        let mut connection = SqliteConnectOptions::new()
            .filename(resolve(path))
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .connect()
            .await?;
        let change = change(&mut connection).await?;
        MIGRATOR
            .run(&mut connection)
            .await
            .map_err(ControlError::Migrate)?;
        connection.close().await?;
        Ok(change)
    }
}

async fn change(connection: &mut SqliteConnection) -> Result<SchemaChange> {
    let has_any: bool = sqlx::query_scalar(
        "SELECT count(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'",
    )
    .fetch_one(&mut *connection)
    .await?;
    let from: i64 = if has_any {
        sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
            .fetch_one(connection)
            .await?
    } else {
        0
    };
    let known = MIGRATOR.iter().map(|migration| migration.version);
    let to = known.max().unwrap_or_default();
    if from > to {
        return Err(ControlError::Migrate(MigrateError::VersionMissing(from)));
    }
    Ok(SchemaChange { from, to })
}
