//! Why something of the control store could not be done.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::lock::LockError;
use super::keyring::KeyError;

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

pub(super) type Result<T, E = ControlError> = std::result::Result<T, E>;
