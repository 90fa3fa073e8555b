//! The file beside the control store that names the store, and the last commit that it has at
//! least. It lies in the data folder, wherever the store itself lies.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Name of the file beside `control.sqlite`.
const FILE: &str = "control.id";

/// Digits of the largest number of a commit.
const DIGITS: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) identity: String,
    /// The last commit that is known to be on the disk.
    pub(super) commits: i64,
}

#[derive(Debug)]
pub(super) struct Marker {
    path: PathBuf,
}

impl Marker {
    pub(super) fn beside(store: &Path) -> Self {
        Self {
            path: store.with_file_name(FILE),
        }
    }

    /// Reads the marker; none where there is none, or one that can't be read: a full disk may have
    /// cut it short.
    pub(super) fn read(&self) -> io::Result<Option<Mark>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => {
                let mark = parse(&text);
                if mark.is_none() {
                    tracing::warn!(path = %self.path.display(), "the marker of the control store is not readable, it is made anew");
                }
                Ok(mark)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the marker, of the same length each time and in its place, so that it needs no room
    /// on a full disk. It may be behind after a crash of the machine, and is never ahead: it is
    /// written after the commit.
    pub(super) fn write(&self, mark: &Mark) -> io::Result<()> {
        let text = format!("{} {:0DIGITS$}\n", mark.identity, mark.commits);
        match OpenOptions::new().write(true).open(&self.path) {
            Ok(file) if file.metadata()?.len() == text.len() as u64 => {
                file.write_all_at(text.as_bytes(), 0)
            }
            Ok(_) => self.replace(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => self.replace(&text),
            Err(error) => Err(error),
        }
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let new = self.path.with_extension("id.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)
    }
}

fn parse(text: &str) -> Option<Mark> {
    let (identity, commits) = text.strip_suffix('\n')?.split_once(' ')?;
    let is_identity = identity.len() == 32 && identity.bytes().all(|byte| byte.is_ascii_hexdigit());
    let commits = commits.parse().ok().filter(|_| commits.len() == DIGITS)?;
    is_identity.then(|| Mark {
        identity: identity.to_owned(),
        commits,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_a_torn_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let marker = Marker::beside(&folder.path().join("control.sqlite"));
        assert_eq!(marker.read().unwrap(), None);
        for commits in [0, 7, i64::MAX] {
            let mark = Mark {
                identity: "0123456789abcdef".repeat(2),
                commits,
            };
            marker.write(&mark).unwrap();
            assert_eq!(marker.read().unwrap(), Some(mark));
        }
        let path = folder.path().join(FILE);
        let whole = fs::read_to_string(&path).unwrap();
        for torn in [
            "",
            &whole[..20],
            &whole[..whole.len() - 1],
            &whole.replace('9', "x"),
        ] {
            fs::write(&path, torn).unwrap();
            assert_eq!(marker.read().unwrap(), None, "{torn:?}");
        }
    }
}
