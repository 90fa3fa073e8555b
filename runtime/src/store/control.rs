//! State, in SQLite: services, channels, tokens, alerts, the outbox, plugins, the audit log.
//! Secrets exist only here, sealed. One connection writes, a few read; a commit is on the disk when
//! it returns.

mod accepted_configuration;
mod alert_groups;
mod alerts;
mod audit;
mod ballast;
mod channels;
mod escalations;
mod keyring;
mod maintenance;
mod marker;
mod mutes;
mod notifications;
mod opening;
mod outbox;
mod overdue;
mod plugin_policies;
mod plugins;
mod resend;
mod retention;
mod row_faults;
mod rule_memory;
mod services;
mod set_clock;
mod silences;
#[cfg(test)]
mod testing;
mod tokens;
mod transition;
mod transition_group;
mod upkeep;
mod wal;
mod write;
mod write_error;
mod write_health;

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};

pub use accepted_configuration::AcceptedConfiguration;
pub use alerts::AlertFilter;
pub use audit::{AuditEntry, AuditFilter};
pub use ballast::BallastState;
pub use channels::ChannelsFollowed;
pub use escalations::{Escalation, EscalationDraft, StepTaken};
pub use keyring::{KeyError, Keyring};
pub use maintenance::{MaintenanceDraft, StoredMaintenance, WindowText};
pub use notifications::{
    AfterAttempt, Attempt, AttemptOutcome, DueNotification, NotificationFilter,
};
pub use opening::ControlSettings;
pub use overdue::{Overdue, OverdueKind};
pub use plugin_policies::StoredPolicy;
pub use retention::{Retained, RetentionPlace, RetentionStep};
pub use rule_memory::MemoryChange;
pub use services::StoredService;
pub use silences::{SilenceDraft, StoredSilence};
pub use tokens::{Session, Token, TokenDraft, TokenHash, TokenOrigin};
pub use transition::{AlertDraft, EventDraft, Transition};
pub use write_health::{ControlHealth, WriteFault};

use super::lock::{DataLock, LockError};
use keyring::Place;
use marker::Marker;
use row_faults::RowFaults;
use transition_group::TransitionGroup;
use write_health::WriteHealth;

/// Longest list, whatever was asked for: the API's longest page, and one row more.
pub const MAX_PAGE: u32 = 1_001;

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("{what} `{name}` does not exist")]
    NotFound { what: &'static str, name: String },
    #[error("{what} `{name}` exists already")]
    Exists { what: &'static str, name: String },
    #[error(
        "{what} `{name}` was changed meanwhile: it is at {found}, not at {expected}; read it again, then repeat"
    )]
    Conflict {
        what: &'static str,
        name: String,
        expected: String,
        found: String,
    },
    #[error(
        "there are {limit} {what} already, no more are taken; remove some that are not needed, then repeat"
    )]
    Full { what: &'static str, limit: i64 },
    #[error(
        "the caller that was to commit it with others was cut off; whether it was done is not known"
    )]
    Interrupted,
    /// Error of a transaction that several callers shared.
    #[error(transparent)]
    Shared(Arc<ControlError>),
    #[error("{column} of {what} `{name}` reads `{found}`, which this version does not know")]
    Unreadable {
        what: &'static str,
        name: String,
        column: &'static str,
        found: String,
    },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("could not bring the control store up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    #[error(
        "the disk of the control store is full, so it can't be opened or brought up to date, not even in the room of its ballast; \
         free some space on that disk, then start again"
    )]
    NoRoomToOpen(#[source] Box<ControlError>),
    #[error("could not {doing} the control store")]
    Database {
        doing: &'static str,
        source: sqlx::Error,
    },
    #[error(
        "the disk of the control store is full; what is left is kept for alerts, so nothing else is stored: free some space, then repeat"
    )]
    NoRoom,
    #[error(
        "the control store `{}` has lost content: {reason}. Services made over the API, open alerts, silences and messages may be gone. \
         To restore it, put `control.sqlite` and `control.id` of a backup in its place, without a `control.sqlite-wal`. \
         To go on with what is there now: `extrack store accept --data {}`",
        path.display(),
        path.parent().unwrap_or(path).display()
    )]
    Lost { path: PathBuf, reason: String },
    #[error("could not read or write `control.id` or the write-ahead log beside the control store")]
    Files(#[source] std::io::Error),
}

impl From<sqlx::Error> for ControlError {
    fn from(source: sqlx::Error) -> Self {
        ControlError::Database {
            doing: "read or write",
            source,
        }
    }
}

type Result<T, E = ControlError> = std::result::Result<T, E>;

/// Cheap to clone; the files are released with the last clone.
#[derive(Clone)]
pub struct ControlStore {
    writer: SqlitePool,
    reader: SqlitePool,
    keyring: Arc<Keyring>,
    transitions: Arc<TransitionGroup>,
    row_faults: RowFaults,
    health: Arc<WriteHealth>,
    marker: Arc<Marker>,
    /// Identity of this store, for as long as it exists.
    identity: Arc<str>,
    _lock: Arc<DataLock>,
    #[cfg(test)]
    hooks: Arc<testing::TestHooks>,
}

impl ControlStore {
    pub fn health(&self) -> ControlHealth {
        ControlHealth {
            fault: self.health.fault(),
            ballast: self.health.ballast.state(),
        }
    }

    /// A value sealed once, at the first start, opens only under the same key.
    async fn check_key(&self) -> Result<()> {
        const KNOWN: &[u8] = b"extrack";
        let place = Place {
            table: "sealed_check",
            identity: "1",
            revision: 1,
        };
        let found: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT sealed FROM sealed_check WHERE id = 1")
                .fetch_optional(&self.reader)
                .await?;
        match found {
            Some(sealed) => match self.keyring.open(place, &sealed) {
                Ok(opened) if opened == KNOWN => Ok(()),
                _ => Err(ControlError::Key(KeyError::Wrong {
                    key: self.keyring.source().to_owned(),
                })),
            },
            None => {
                let sealed = self.keyring.seal(place, KNOWN)?;
                let mut tx = self.begin_write().await?;
                sqlx::query("INSERT INTO sealed_check (id, sealed) VALUES (1, $1)")
                    .bind(sealed)
                    .execute(&mut *tx)
                    .await?;
                tx.commit().await
            }
        }
    }
}

/// Limit of a query: at least one, at most [`MAX_PAGE`].
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
    parse(&text).ok_or_else(|| ControlError::Unreadable {
        what,
        name: name.to_string(),
        column,
        found: text,
    })
}

/// `Exists` where a unique constraint spoke.
fn exists(source: sqlx::Error, what: &'static str, name: impl ToString) -> ControlError {
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

#[cfg(test)]
mod query_plans;

#[cfg(test)]
impl ControlStore {
    /// Runs a statement that only a later version, or a person with a tool, would run.
    pub(crate) async fn execute(&self, statement: &'static str) {
        sqlx::raw_sql(statement)
            .execute(&self.writer)
            .await
            .unwrap();
    }
}

#[cfg(test)]
mod tests;
