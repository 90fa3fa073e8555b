//! One process at a time owns a store's files. The lock goes when the process does, however it
//! ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "`{}` is in use by {owner}; stop that process, or give this one a data folder of its own with `--data`",
        path.display()
    )]
    Taken { path: PathBuf, owner: String },
    #[error("could not lock `{}`", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// Held as long as the store is open.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
}

impl DataLock {
    /// Locks `owned` by a file beside it, named after it with `.lock` at the end. A second try in
    /// the same process is refused too: DuckDB would open the file twice, and corrupt it.
    pub(crate) fn acquire(owned: &Path) -> Result<Self, LockError> {
        let mut name = owned.file_name().unwrap_or(owned.as_os_str()).to_owned();
        name.push(".lock");
        let lock_path = owned.with_file_name(name);
        let fault = |source| LockError::Io {
            path: lock_path.clone(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(fault)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Taken {
                    path: owned.to_owned(),
                    owner: owner(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(fault(source)),
        }
        // For people alone: on a full disk the lock holds without it.
        let noted = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()));
        if let Err(error) = noted {
            tracing::debug!(%error, file = %lock_path.display(), "the process id could not be written into the lock's file");
        }
        Ok(Self { _file: file })
    }
}

fn owner(file: &mut File) -> String {
    let mut text = String::new();
    match file
        .read_to_string(&mut text)
        .ok()
        .and_then(|_| text.trim().parse::<u32>().ok())
    {
        Some(pid) if pid == std::process::id() => "this process already".to_owned(),
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_until_the_first_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("thing.db");
        let first = DataLock::acquire(&path).unwrap();
        let refused = DataLock::acquire(&path).unwrap_err().to_string();
        assert!(
            refused.contains("thing.db") && refused.contains("this process"),
            "{refused}"
        );
        drop(first);
        DataLock::acquire(&path).unwrap();
    }

    #[test]
    fn names_the_other_process() {
        let dir = tempfile::tempdir().unwrap();
        let lock_path = dir.path().join("thing.db.lock");
        let other = File::create(&lock_path).unwrap();
        std::fs::write(&lock_path, "4242\n").unwrap();
        other.try_lock().unwrap();
        let refused = DataLock::acquire(&dir.path().join("thing.db"))
            .unwrap_err()
            .to_string();
        assert!(refused.contains("process 4242"), "{refused}");
    }
}
