//! State, in SQLite: services, channels, tokens, alerts, the outbox, plugins, the audit log. Secrets exist only here,
//! sealed. One connection writes, a few read; a commit is on the disk when it returns.

mod alert_groups;
mod alerts;
mod audit;
mod channels;
mod escalations;
mod keyring;
mod maintenance;
mod mutes;
mod notifications;
mod outbox;
mod overdue;
mod plugin_policies;
mod plugins;
mod rule_memory;
mod services;
mod silences;
mod tokens;
mod transition;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Row;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};

pub use alerts::AlertFilter;
pub use audit::{AuditEntry, AuditFilter};
pub use escalations::{Escalation, EscalationDraft, StepTaken};
pub use keyring::{KeyError, Keyring};
pub use maintenance::{MaintenanceDraft, StoredMaintenance, WindowText};
pub use notifications::{AfterAttempt, Attempt, AttemptOutcome, NotificationFilter};
pub use overdue::{Overdue, OverdueKind};
pub use plugin_policies::StoredPolicy;
pub use rule_memory::MemoryChange;
pub use services::StoredService;
pub use silences::{SilenceDraft, StoredSilence};
pub use tokens::{Session, Token, TokenDraft, TokenHash, TokenOrigin};
pub use transition::{AlertDraft, EventDraft, Transition};

use super::lock::{DataLock, LockError};
use keyring::Place;

/// Pages and lists read at the same time as the one writer; SQLite needs no more.
const READERS: u32 = 4;
/// Another process has no business here, but a backup tool may hold a lock for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Waiting this long for a connection means that the disk hangs.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// No list is longer, whatever was asked for: the API's longest page, and the row that says that there is more.
pub const MAX_PAGE: u32 = 1_001;

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("{what} `{name}` does not exist")]
    NotFound { what: &'static str, name: String },
    #[error("{what} `{name}` exists already")]
    Exists { what: &'static str, name: String },
    #[error("{what} `{name}` was changed meanwhile: it is at {found}, not at {expected}; read it again, then repeat")]
    Conflict { what: &'static str, name: String, expected: String, found: String },
    #[error("{column} of {what} `{name}` reads `{found}`, which this version does not know")]
    Unreadable { what: &'static str, name: String, column: &'static str, found: String },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("could not bring the control store up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    #[error("could not {doing} the control store")]
    Database { doing: &'static str, source: sqlx::Error },
}

impl From<sqlx::Error> for ControlError {
    fn from(source: sqlx::Error) -> Self {
        ControlError::Database { doing: "read or write", source }
    }
}

type Result<T, E = ControlError> = std::result::Result<T, E>;

/// Cheap to clone; the files are released with the last clone.
#[derive(Clone)]
pub struct ControlStore {
    writer: SqlitePool,
    reader: SqlitePool,
    keyring: Arc<Keyring>,
    _lock: Arc<DataLock>,
}

impl ControlStore {
    /// Creates or migrates the file, and checks that the keyring is the one it was written with.
    pub async fn open(path: &Path, keyring: Keyring) -> Result<Self> {
        let lock = Arc::new(DataLock::acquire(path)?);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let opening = |source| ControlError::Database { doing: "open", source };
        let pool = || SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT).idle_timeout(None).max_lifetime(None);
        let writer = pool().max_connections(1).connect_with(options.clone()).await.map_err(opening)?;
        sqlx::migrate!("migrations/control").run(&writer).await.map_err(ControlError::Migrate)?;
        let reader =
            pool().max_connections(READERS).connect_with(options.pragma("query_only", "on")).await.map_err(opening)?;
        let store = Self { writer, reader, keyring: Arc::new(keyring), _lock: lock };
        store.check_key().await?;
        Ok(store)
    }

    /// Waits for what is under way, then closes the file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// A value sealed once, at the first start, opens only under the same key.
    async fn check_key(&self) -> Result<()> {
        const KNOWN: &[u8] = b"extrack";
        let place = Place { table: "sealed_check", identity: "1", revision: 1 };
        let found: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT sealed FROM sealed_check WHERE id = 1").fetch_optional(&self.writer).await?;
        match found {
            Some(sealed) => match self.keyring.open(place, &sealed) {
                Ok(opened) if opened == KNOWN => Ok(()),
                _ => Err(ControlError::Key(KeyError::Wrong { key: self.keyring.source().to_owned() })),
            },
            None => {
                let sealed = self.keyring.seal(place, KNOWN)?;
                sqlx::query("INSERT INTO sealed_check (id, sealed) VALUES (1, $1)")
                    .bind(sealed)
                    .execute(&self.writer)
                    .await?;
                Ok(())
            }
        }
    }
}

/// What a list asks SQLite for: at least one, at most [`MAX_PAGE`].
fn page(limit: u32) -> i64 {
    i64::from(limit.clamp(1, MAX_PAGE))
}

/// Reads a column that holds a word of the domain.
fn word<T>(
    row: &SqliteRow,
    column: &'static str,
    what: &'static str,
    name: impl ToString,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T> {
    let text: String = row.try_get(column)?;
    parse(&text).ok_or_else(|| ControlError::Unreadable { what, name: name.to_string(), column, found: text })
}

/// `Exists` where a unique constraint spoke.
fn exists(source: sqlx::Error, what: &'static str, name: impl ToString) -> ControlError {
    match source.as_database_error() {
        Some(error) if error.is_unique_violation() => ControlError::Exists { what, name: name.to_string() },
        _ => ControlError::Database { doing: "write", source },
    }
}

#[cfg(test)]
mod tests;
