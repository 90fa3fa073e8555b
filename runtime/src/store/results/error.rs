//! Why something of the results store could not be done.

use std::path::PathBuf;
use std::time::Duration;

use super::super::lock::LockError;
use super::diagnosis::Diagnosis;
use crate::domain::Fault;

#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("could not {doing} the results store")]
    Database {
        doing: &'static str,
        source: duckdb::Error,
    },
    #[error(
        "the results store is at schema step {found}, and this version knows {known}; start a newer version"
    )]
    Newer { found: usize, known: usize },
    #[error(
        "the results store is at schema step {found}, and this version needs {known}; bring it up to date with `extrack store migrate`"
    )]
    Older { found: usize, known: usize },
    #[error("could not copy what waits in `{}`", path.display())]
    SpoolUnread {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("could not back up `{}` before changing its schema", path.display())]
    Backup {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{0}")]
    Archive(String),
    #[error("could not mend blocks of `{}` that a kill tore", path.display())]
    Torn {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("could not write `{}` anew", path.display())]
    Compact {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("could not write sealed files of results to `{}`", path.display())]
    Seal {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("what is recorded can't be handed out at the moment: {0}")]
    NotSealed(String),
    #[error("sealed files of results can't be read: {0}")]
    Sealed(String),
    #[error("not committed yet: {0}")]
    NotCommitted(String),
    #[error("the results store is closed")]
    Closed,
    #[error("the results store can't be opened at the moment")]
    Unavailable,
    #[error("a reader of the results store ended early")]
    Reader,
    #[error("{column} of observation {run_id} reads `{found}`, which this version does not know")]
    Unreadable {
        run_id: i64,
        column: &'static str,
        found: String,
    },
    #[error("column `{name}` of the results store has no value of its type; is the file damaged?")]
    Column { name: &'static str },
    #[error("there are more than {most} sums of calls by service, caller, route and day")]
    TooManySums { most: usize },
    #[error("could not start the results writer")]
    Thread(#[source] std::io::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Understood, and not allowed.
    #[error("{0}")]
    Refused(Diagnosis),
    /// DuckDB's own text.
    #[error("{0}")]
    Invalid(Diagnosis),
    #[error("{}", faults_text(.0))]
    Params(Vec<Fault>),
    #[error("the query was cancelled")]
    Cancelled,
    #[error("the answer was not read for {} s", .0.as_secs())]
    Stalled(Duration),
    #[error("the query took longer than {} ms; narrow it, for example by `ts`", .0.as_millis())]
    Timeout(Duration),
    #[error("all query slots are taken; try again in a moment")]
    Busy,
    #[error("the query needs more memory than it may use; narrow it, for example by `ts`")]
    Memory,
    /// This machine can't run it as safely as it is to be run.
    #[error("SQL is not available: {0}")]
    Unavailable(String),
    #[error("the query's process ended early: {0}")]
    Crashed(String),
    #[error(transparent)]
    Store(#[from] ResultError),
}

fn faults_text(faults: &[Fault]) -> String {
    let texts: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
    texts.join("; ")
}

impl QueryError {
    /// Finds the place of a fault in the statement as it was written, see [`Diagnosis::located`].
    pub(super) fn located(self, sql: &str, shift: isize) -> Self {
        match self {
            Self::Refused(diagnosis) => Self::Refused(diagnosis.located(sql, shift)),
            Self::Invalid(diagnosis) => Self::Invalid(diagnosis.located(sql, shift)),
            other => other,
        }
    }
}

/// Whether the whole instance refuses everything from now on; only opening the file again helps.
pub(super) fn is_fatal(error: &duckdb::Error) -> bool {
    let text = error.to_string();
    text.contains("FATAL") || text.contains("invalidated")
}

pub(super) fn reading(source: duckdb::Error) -> ResultError {
    ResultError::Database {
        doing: "read",
        source,
    }
}
