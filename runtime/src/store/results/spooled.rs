//! Rows that wait in the spool while a copy is made. They are durable, so they belong to it.

use std::io::{self, ErrorKind};
use std::path::Path;

use duckdb::Connection;
use tempfile::TempDir;

use super::error::ResultError;
use super::part::{Work, write};
use super::spool::{Spool, SpoolSettings, is_segment};

/// Rows of one transaction, about.
const ROWS: usize = 5_000;

/// The files that were in the spool at one moment.
///
/// Rows pass through the spool in their order, and a file goes when its rows are committed. So
/// files that are taken before the copy is pinned have, together with the copy, every row up to
/// their last one; a row that is in both is left out.
pub(super) struct Spooled {
    folder: TempDir,
}

impl Spooled {
    /// Takes the files that are there now, into a folder inside `beside`; none if nothing waits.
    pub(super) fn take(spool: &Path, beside: &Path) -> io::Result<Option<Self>> {
        let entries = match std::fs::read_dir(spool) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            entries => entries?,
        };
        let mut taken: Option<TempDir> = None;
        for entry in entries {
            let path = entry?.path();
            if !is_segment(&path) {
                continue;
            }
            let folder = match taken {
                Some(folder) => folder,
                None => TempDir::with_prefix_in("spooled-", beside)?,
            };
            let target = folder.path().join(path.file_name().unwrap_or_default());
            let linked = std::fs::hard_link(&path, &target)
                .or_else(|_| std::fs::copy(&path, &target).map(drop));
            match linked {
                // Committed since the folder was read.
                Err(_) if !path.exists() => {}
                linked => linked?,
            }
            taken = Some(folder);
        }
        Ok(taken.map(|folder| Self { folder }))
    }

    /// Commits the rows to the copy that does not have them.
    pub(super) fn commit_to(self, mut copy: Connection) -> Result<(), ResultError> {
        let settings = SpoolSettings::new(self.folder.path().to_owned());
        let mut spool = Spool::open(settings).map_err(spool_unread(self.folder.path()))?;
        while !spool.is_empty() {
            let (parts, frames, unreadable) = spool.read(ROWS);
            if unreadable > 0 {
                tracing::warn!(
                    rows = unreadable,
                    "a backup lacks rows of the spool that can't be read"
                );
            }
            let work = Work {
                parts,
                ..Work::default()
            };
            write(&mut copy, &work).map_err(failed)?;
            spool.remove(frames);
        }
        copy.execute_batch("CHECKPOINT").map_err(failed)
    }
}

fn failed(source: duckdb::Error) -> ResultError {
    ResultError::Database {
        doing: "copy the spool of",
        source,
    }
}

/// Error of a spool that can't be read for a copy.
pub(super) fn spool_unread(folder: &Path) -> impl FnOnce(io::Error) -> ResultError {
    let path = folder.to_owned();
    move |source| ResultError::SpoolUnread { path, source }
}
