//! Ids of runs that never repeat. They are counted in memory, and rows of the last second may be
//! lost in a crash; so a block of ids is reserved in a small file beside the control store before
//! any of it is used, and a start goes on behind the block. The file is overwritten in place, which
//! a full disk allows.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use crate::domain::run_ids_within;

/// Ids reserved at a time: those of a minute. The next block is reserved when half of it is used,
/// which is longer than the writer ever waits between two looks.
const BLOCK: i64 = run_ids_within(60_000);
/// Ids left free after an orderly stop, for runs that left no row.
const MARGIN: i64 = 1_000;
/// After a file that can't be read.
const UNKNOWN: i64 = 10 * BLOCK;

pub(super) struct RunIds {
    file: Option<File>,
    reserved: i64,
    committed: i64,
    is_warned: bool,
}

impl RunIds {
    /// Keeps nothing.
    pub(super) fn none() -> Self {
        Self {
            file: None,
            reserved: 0,
            committed: 0,
            is_warned: false,
        }
    }

    pub(super) fn open(path: PathBuf) -> Self {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                tracing::error!(%error, file = %path.display(), "ids of runs can't be reserved; after a crash they may repeat");
                return Self::none();
            }
        };
        let (reserved, committed) = match read(&file) {
            Ok(None) => (0, 0),
            Ok(Some(noted)) => noted,
            Err(error) => {
                tracing::error!(%error, file = %path.display(), "the note of reserved run ids can't be read; ids skip ten minutes");
                (-1, 0)
            }
        };
        Self {
            file: Some(file),
            reserved,
            committed,
            is_warned: false,
        }
    }

    /// The first id of this start, `known` being the highest id in the stores.
    pub(super) fn first(&mut self, known: i64) -> i64 {
        let first = if self.reserved < 0 {
            known + UNKNOWN
        } else {
            known.max(self.reserved)
        } + 1;
        self.reserved = self.reserved.max(first - 1);
        self.used(first);
        first
    }

    /// The highest id that was committed when the program last noted it.
    pub(super) fn committed(&self) -> i64 {
        self.committed
    }

    /// To be called often, with the highest id in use.
    pub(super) fn used(&mut self, last: i64) {
        if last + BLOCK / 2 > self.reserved {
            self.reserved = last + BLOCK;
            self.write(true);
        }
    }

    /// Rows up to this id are in the database. Not synced: an older note only means that less would
    /// be missed.
    pub(super) fn note_committed(&mut self, last: i64) {
        if last > self.committed {
            self.committed = last;
            self.write(false);
        }
    }

    /// The rows noted before are known to be gone.
    pub(super) fn forget_committed(&mut self, last: i64) {
        self.committed = last;
        self.write(false);
    }

    /// Gives the rest of the block back.
    pub(super) fn close(&mut self, last: i64) {
        self.reserved = self.reserved.min(last + MARGIN);
        self.write(true);
    }

    fn write(&mut self, is_synced: bool) {
        let Some(file) = &self.file else { return };
        let note = format!(
            "reserved {:020}\ncommitted {:020}\n",
            self.reserved, self.committed
        );
        let written = file.write_all_at(note.as_bytes(), 0);
        let written = if is_synced {
            written.and_then(|()| file.sync_data())
        } else {
            written
        };
        match written {
            Ok(()) => self.is_warned = false,
            Err(error) if !self.is_warned => {
                self.is_warned = true;
                tracing::error!(%error, "ids of runs can't be reserved; after a crash they may repeat");
            }
            Err(_) => {}
        }
    }
}

/// None: a new file.
fn read(file: &File) -> io::Result<Option<(i64, i64)>> {
    let mut note = [0; 128];
    let mut length = 0;
    loop {
        match file.read_at(&mut note[length..], length as u64)? {
            0 => break,
            read => length += read,
        }
    }
    if length == 0 {
        return Ok(None);
    }
    let text = std::str::from_utf8(&note[..length]).map_err(io::Error::other)?;
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim()
            .parse::<i64>()
            .ok()
            .filter(|number| *number >= 0)
    };
    match (number("reserved "), number("committed ")) {
        (Some(reserved), Some(committed)) => Ok(Some((reserved, committed))),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_on_behind_what_may_have_been_used_before_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run-ids");
        let mut ids = RunIds::open(path.clone());
        assert_eq!(ids.first(0), 1, "a new program counts from one");
        for used in [10, 49_000, 60_000, 149_999] {
            ids.used(used);
        }
        // As after `kill -9`: nothing was closed.
        let mut ids = RunIds::open(path.clone());
        let first = ids.first(20);
        assert!(first > 149_999 && first < 149_999 + 2 * BLOCK, "{first}");
        ids.close(first + 5);
        assert_eq!(
            RunIds::open(path.clone()).first(first + 5),
            first + 5 + MARGIN + 1
        );
        // A store with higher ids counts as well.
        assert_eq!(RunIds::open(path).first(9 * BLOCK), 9 * BLOCK + 1);
    }

    #[test]
    fn a_damaged_note_skips_ids() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run-ids");
        std::fs::write(&path, "reserved 0000000x").unwrap();
        assert_eq!(RunIds::open(path.clone()).first(7), 7 + UNKNOWN + 1);
        assert!(RunIds::open(path).first(0) > 7 + UNKNOWN);
    }
}
