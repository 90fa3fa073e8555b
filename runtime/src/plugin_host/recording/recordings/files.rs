//! The folder of recordings: `RUN_ID.json`, written aside and renamed. Not synced: after a power
//! failure the last ones may be missing, which is harmless.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::RecordingEntry;
use crate::plugin_host::recording::format::FORMAT;
use crate::plugin_host::recording::format::RecordedRun;

/// Longest first line: names, and texts of bounded length.
const HEAD_BYTES: u64 = 64 << 10;

/// How files begin that are being written.
const PARTIAL: &str = ".partial-";

pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        // A link to a folder elsewhere is fine; anything else in its place is moved away.
        if fs::symlink_metadata(&folder).is_ok() && !folder.is_dir() {
            let aside = set_aside(&folder)?;
            tracing::warn!(file = %folder.display(), aside = %aside.display(), "in the place of the folder of recordings was a file; it was set aside");
        }
        std::os::unix::fs::DirBuilderExt::mode(fs::DirBuilder::new().recursive(true), 0o700)
            .create(&folder)?;
        Ok(Self { folder })
    }

    /// Lists the recordings, oldest first. Half written files and those of another format are
    /// removed; what can't be removed stays and is left out.
    pub(super) fn list(&self) -> io::Result<Vec<RecordingEntry>> {
        let mut entries = Vec::new();
        for file in fs::read_dir(&self.folder)? {
            let Ok(file) = file else { continue };
            let (path, name) = (file.path(), file.file_name());
            let name = name.to_string_lossy();
            if !name.ends_with(".json") && !name.starts_with(PARTIAL) {
                continue;
            }
            match head(&path) {
                Ok(entry) if path == self.path(entry.run.run_id) => entries.push(entry),
                _ => match fs::remove_file(&path) {
                    Ok(()) => {
                        tracing::warn!(file = %path.display(), "not a recording this program can read; removed")
                    }
                    Err(error) => {
                        tracing::warn!(%error, file = %path.display(), "not a recording, and it can't be removed; it is left out");
                    }
                },
            }
        }
        entries.sort_by_key(|entry| entry.run.run_id);
        Ok(entries)
    }

    /// Bytes written.
    pub(super) fn write(&self, run_id: i64, recording: &[u8]) -> io::Result<u64> {
        let mut file = tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempfile_in(&self.folder)?;
        file.write_all(recording)?;
        file.persist(self.path(run_id))?;
        Ok(recording.len() as u64)
    }

    pub(super) fn read(&self, run_id: i64) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(run_id)) {
            Ok(recording) => Ok(Some(recording)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn remove(&self, run_ids: &[i64]) {
        for run_id in run_ids {
            let path = self.path(*run_id);
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, file = %path.display(), "an old recording can't be removed");
            }
        }
    }

    fn path(&self, run_id: i64) -> PathBuf {
        self.folder.join(format!("{run_id}.json"))
    }
}

/// Renames it to `NAME.set-aside-MOMENT`.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".set-aside-{}", crate::domain::now_ms()));
    let target = path.with_file_name(name);
    fs::rename(path, &target)?;
    Ok(target)
}

/// Reads an entry from the first line alone.
fn head(path: &Path) -> io::Result<RecordingEntry> {
    let file = fs::File::open(path)?;
    let size = file.metadata()?.len();
    let mut line = String::new();
    BufReader::new(file.take(HEAD_BYTES)).read_line(&mut line)?;
    let run = line
        .strip_prefix(&format!("{{\"format\":{FORMAT},\"run\":"))
        .and_then(|rest| rest.strip_suffix(",\n"));
    let run: RecordedRun = serde_json::from_str(run.ok_or(io::ErrorKind::InvalidData)?)?;
    Ok(RecordingEntry {
        run,
        size: Some(size),
    })
}
