//! A backup becomes the content of a data folder. Each step can be repeated after a crash, and the
//! control store comes last: without it no server starts.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::manifest::Manifest;
use super::reading::{Unpacking, sync_folder, verify};
use super::{BackupError, CONTROL, MANIFEST, PLUGINS, RESULTS, in_background, private_folder};
use crate::domain::now_ms;
use crate::store::results::rows_of;
use crate::store::{ControlStore, DataLock};

/// Folder inside the data folder in which the backup is unpacked and opened.
const UNPACKED: &str = "restoring";
/// Everything that belongs to the stores, those first without which no server starts.
const OLD: [&str; 9] = [
    CONTROL,
    "control.sqlite-wal",
    "control.sqlite-shm",
    "control.id",
    RESULTS,
    "results.duckdb.wal",
    "results-spool",
    PLUGINS,
    "staging",
];

/// A data folder that is as it was when the backup was made.
#[derive(Debug)]
pub struct Restored {
    pub manifest: Manifest,
    /// Where the stores are that were there before.
    pub replaced: Option<PathBuf>,
    /// True if the folder holds the key of the secrets.
    pub has_key: bool,
}

/// Restores a backup, a folder or a tar archive, into a data folder that no server uses. Stores
/// that are there are moved aside if `replaces`, and are an error if not. Nothing of the data
/// folder is changed before the whole backup was read, compared and opened.
pub async fn restore(from: &Path, data: &Path, replaces: bool) -> Result<Restored, BackupError> {
    let is_new = !data.exists();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(BackupError::io("make", data))?;
    let locked = |name: &str| {
        DataLock::acquire(&data.join(name)).map_err(|error| BackupError::Refused(error.to_string()))
    };
    let _locks = (locked(CONTROL)?, locked(RESULTS)?);
    let restored = restore_into(from, data, replaces).await;
    if restored.is_err() {
        // The error counts; what can't be deleted is deleted by the next try.
        let _ = std::fs::remove_dir_all(data.join(UNPACKED));
        if is_new {
            let _ = std::fs::remove_dir_all(data);
        }
    }
    restored
}

/// Restores into a folder that is locked.
async fn restore_into(from: &Path, data: &Path, replaces: bool) -> Result<Restored, BackupError> {
    let old = old_files(data)?;
    if !old.is_empty() && !replaces {
        let data = data.display();
        return Err(BackupError::Refused(format!(
            "`{data}` has stores already; name another folder, or move them aside with `--replace`"
        )));
    }
    let unpacked = data.join(UNPACKED);
    let manifest = unpack_and_open(from, &unpacked).await?;
    let data = data.to_owned();
    in_background(move || {
        let replaced = move_aside(&data, &old)?;
        // The control store last.
        for name in [PLUGINS, RESULTS, CONTROL] {
            move_into(&unpacked, &data, name)?;
        }
        sync_folder(&data)?;
        std::fs::remove_file(unpacked.join(MANIFEST))
            .and_then(|()| std::fs::remove_dir(&unpacked))
            .map_err(BackupError::io("delete", &unpacked))?;
        Ok(Restored {
            manifest,
            replaced,
            has_key: data.join("secret.key").exists(),
        })
    })
    .await
}

/// Unpacks into a folder that may be left over from a restore that was cut off, and opens both
/// stores.
async fn unpack_and_open(from: &Path, to: &Path) -> Result<Manifest, BackupError> {
    let (source, target) = (from.to_owned(), to.to_owned());
    let manifest = in_background(move || {
        match std::fs::remove_dir_all(&target) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(BackupError::io("delete", &target)(error));
            }
            _ => {}
        }
        private_folder(&target).map_err(BackupError::io("make", &target))?;
        verify(&source, Unpacking::To(&target))
    })
    .await?;
    let results = to.join(RESULTS);
    let rows = in_background(move || rows_of(&results).map_err(BackupError::Results)).await?;
    if rows != manifest.all_rows() {
        return Err(BackupError::Broken(
            "the results do not have the rows that they had when the backup was made".to_owned(),
        ));
    }
    ControlStore::check(&to.join(CONTROL))
        .await
        .map_err(BackupError::Control)?;
    Ok(manifest)
}

/// Returns the names of what belongs to stores; empty folders are nothing.
fn old_files(data: &Path) -> Result<Vec<&'static str>, BackupError> {
    let mut found = Vec::new();
    for name in OLD {
        let path = data.join(name);
        let is_there = match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            metadata if metadata.as_ref().is_ok_and(std::fs::Metadata::is_dir) => {
                let mut entries =
                    std::fs::read_dir(&path).map_err(BackupError::io("read", &path))?;
                entries.next().is_some()
            }
            metadata => metadata
                .map(|_| true)
                .map_err(BackupError::io("read", &path))?,
        };
        if is_there {
            found.push(name);
        }
    }
    Ok(found)
}

fn move_aside(data: &Path, old: &[&str]) -> Result<Option<PathBuf>, BackupError> {
    if old.is_empty() {
        return Ok(None);
    }
    let aside = data.join(format!("replaced-{}", now_ms()));
    private_folder(&aside).map_err(BackupError::io("make", &aside))?;
    for name in old {
        move_into(data, &aside, name)?;
    }
    sync_folder(&aside)?;
    Ok(Some(aside))
}

/// Renames one thing from one folder into another; what is not there is nothing to do.
fn move_into(from: &Path, to: &Path, name: &str) -> Result<(), BackupError> {
    let source = from.join(name);
    match std::fs::rename(&source, to.join(name)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        renamed => renamed.map_err(BackupError::io("move", &source)),
    }
}
