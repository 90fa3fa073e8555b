//! Classes of errors: those that mean that nothing can be written at all, and of these a full disk.

use std::error::Error;

use super::error::ControlError;

/// Primary result codes of SQLite, the lowest byte of what it answers.
mod code {
    pub(super) const BUSY: i32 = 5;
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const NOTADB: i32 = 26;
}

impl ControlError {
    /// The disk, or the file, has no room.
    pub fn is_full(&self) -> bool {
        matches!(self, ControlError::NoRoom) || self.sqlite_code() == Some(code::FULL)
    }

    /// The disk or the file is to blame, not what was to be written: another write would fail as
    /// well.
    pub fn is_unwritable(&self) -> bool {
        match self.database_error() {
            _ if matches!(self, ControlError::NoRoom) => true,
            Some(sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed) => {
                true
            }
            Some(_) => matches!(
                self.sqlite_code(),
                Some(
                    code::BUSY
                        | code::READONLY
                        | code::IOERR
                        | code::CORRUPT
                        | code::FULL
                        | code::CANTOPEN
                        | code::NOTADB
                )
            ),
            None => false,
        }
    }

    /// Whether the content of the file is no control store, or not whole.
    pub(super) fn is_damaged(&self) -> bool {
        matches!(self.sqlite_code(), Some(code::CORRUPT | code::NOTADB))
    }

    /// The whole chain of causes, on one line.
    pub(super) fn causes(&self) -> String {
        let mut text = self.to_string();
        for cause in self.chain() {
            let cause = cause.to_string();
            if !text.ends_with(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
        }
        text
    }

    fn sqlite_code(&self) -> Option<i32> {
        let code: i32 = self
            .database_error()?
            .as_database_error()?
            .code()?
            .parse()
            .ok()?;
        Some(code & 0xff)
    }

    fn database_error(&self) -> Option<&sqlx::Error> {
        self.chain()
            .find_map(|cause| cause.downcast_ref::<sqlx::Error>())
    }

    /// Causes, without the error itself.
    fn chain(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        std::iter::successors(self.source(), |&cause| cause.source())
    }
}
