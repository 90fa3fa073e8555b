//! A copy of everything that is durable, committed or spooled, while the program runs.

use std::path::{Path, PathBuf};

use duckdb::{Config, Connection};
use tokio::sync::oneshot;

use super::database::{ReaderKind, open_up_to_date};
use super::error::reading;
use super::spooled::{Spooled, spool_unread};
use super::{ResultError, ResultStore};

/// Folder beside the store, and the only one that the database may write to: copies are made here.
const STAGING: &str = "staging";

/// Returns the folder in which copies of the store at this path are made.
pub(super) fn staging_of(store: &Path) -> PathBuf {
    store.with_file_name(STAGING)
}

/// Table that the migrations fill.
const STEPS: &str = "schema_steps";
const MEMORY: &str = "1GB";

/// Rows of each table, by its name.
pub type TableRows = Vec<(String, i64)>;

impl ResultStore {
    /// Folder in which [`Self::backup`] may write.
    pub fn staging(&self) -> PathBuf {
        staging_of(self.database.path())
    }

    /// Writes what is durable to a new file in [`Self::staging`] and returns the rows of its
    /// tables, counted in the copy. `pinned` resolves once later commits are no part of it.
    /// Commits and readers go on meanwhile.
    pub async fn backup(
        &self,
        target: PathBuf,
        pinned: oneshot::Sender<()>,
    ) -> Result<TableRows, ResultError> {
        let reader = self.database.reader(ReaderKind::Shared).await?;
        let spool = self.spool.clone();
        let work = tokio::task::spawn_blocking(move || {
            let beside = target.parent().unwrap_or(Path::new("."));
            let spooled = match &spool {
                Some(spool) => Spooled::take(spool, beside).map_err(spool_unread(spool))?,
                None => None,
            };
            copy(&reader.connection, &target, Some(pinned))?;
            drop(reader);
            if let Some(spooled) = spooled {
                spooled.commit_to(open_up_to_date(&target, MEMORY)?)?;
            }
            rows_of(&target)
        });
        work.await.map_err(|_| ResultError::Reader)?
    }
}

/// Copies the rows of a store into a new file, which gets the same tables and views.
///
/// Not by `COPY FROM DATABASE`: it changes a setting, and the settings of the store are locked.
pub(super) fn copy(
    connection: &Connection,
    target: &Path,
    pinned: Option<oneshot::Sender<()>>,
) -> Result<(), ResultError> {
    drop(open_up_to_date(target, MEMORY)?);
    let path = target.display().to_string().replace('\'', "''");
    connection
        .execute_batch(&format!("ATTACH '{path}' AS copied"))
        .map_err(failed)?;
    let copied = copy_pinned(connection, pinned)
        .and_then(|()| connection.execute_batch("CHECKPOINT copied"))
        .map_err(failed);
    // The connection goes back to the others, whatever became of the copy.
    let detached = connection.execute_batch("DETACH copied").map_err(failed);
    copied.and(detached)
}

fn failed(source: duckdb::Error) -> ResultError {
    ResultError::Database {
        doing: "copy",
        source,
    }
}

/// Copies in one transaction: what it sees is what was committed at its first read.
fn copy_pinned(
    connection: &Connection,
    pinned: Option<oneshot::Sender<()>>,
) -> Result<(), duckdb::Error> {
    connection.execute_batch("BEGIN TRANSACTION")?;
    let copied = (|| {
        let tables = tables(connection)?;
        if let Some(pinned) = pinned {
            // Whoever waited may be gone.
            let _ = pinned.send(());
        }
        for table in tables.iter().filter(|table| *table != STEPS) {
            // Migrations fill some of them.
            connection.execute_batch(&format!(
                "DELETE FROM copied.fact.\"{table}\"; \
                 INSERT INTO copied.fact.\"{table}\" BY NAME SELECT * FROM fact.\"{table}\""
            ))?;
        }
        Ok(())
    })();
    match copied {
        Ok(()) => connection.execute_batch("COMMIT"),
        Err(error) => {
            // The error of the copy is the one that counts.
            let _ = connection.execute_batch("ROLLBACK");
            Err(error)
        }
    }
}

/// Names of the tables of the store. Also pins what the transaction sees, by reading one.
fn tables(connection: &Connection) -> Result<Vec<String>, duckdb::Error> {
    connection.query_row(
        "SELECT count(*) AS steps FROM fact.schema_steps",
        [],
        |row| row.get::<_, i64>("steps"),
    )?;
    let sql = "SELECT table_name AS name FROM duckdb_tables() \
               WHERE schema_name = 'fact' AND database_name = current_database() ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    statement
        .query_map([], |row| row.get::<_, String>("name"))?
        .collect()
}

/// Opens a store that nobody else has open, and counts the rows of its tables, each of which is
/// read. It writes nothing.
pub fn rows_of(path: &Path) -> Result<TableRows, ResultError> {
    count_rows(&open_read_only(path)?)
}

/// Opens a store that nobody else has open, as it is. Nothing can be written, and no other file
/// read.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, ResultError> {
    let opening = |source| ResultError::Database {
        doing: "open",
        source,
    };
    let config = || {
        Config::default()
            .access_mode(duckdb::AccessMode::ReadOnly)?
            .enable_external_access(false)?
            .with("autoinstall_known_extensions", "false")?
            .with("autoload_known_extensions", "false")
    };
    Connection::open_with_flags(path, config().map_err(opening)?).map_err(opening)
}

/// Reads every row of the tables of a store, and returns how many each has.
pub(super) fn count_rows(connection: &Connection) -> Result<TableRows, ResultError> {
    let names = tables(connection).map_err(reading)?;
    names
        .into_iter()
        .map(|name| {
            // The hash reads every block of every column.
            let sql = format!(
                "SELECT count(*) AS rows, sum(hash(kept)) AS content FROM fact.\"{name}\" AS kept"
            );
            let rows = connection
                .query_row(&sql, [], |row| row.get::<_, i64>("rows"))
                .map_err(reading)?;
            Ok((name, rows))
        })
        .collect()
}
