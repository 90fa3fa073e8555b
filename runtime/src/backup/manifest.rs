//! What a backup consists of: every file with its size and SHA-256.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{BackupError, CONTROL, MANIFEST, PLUGINS, RESULTS};
use crate::domain::UnixMillis;
use crate::store::files::{Hashing, hash};
use crate::store::results::TableRows;

/// Version of this shape; a later program reads the older ones.
const FORMAT: u32 = 1;
/// A manifest names a handful of files for each plugin.
pub(super) const MAX_BYTES: u64 = 16 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    format: u32,
    /// Version of the program that made it.
    program: String,
    created_ms: UnixMillis,
    /// Rows of the tables of the results.
    rows: std::collections::BTreeMap<String, i64>,
    files: Vec<ManifestFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Path inside the backup.
    pub path: String,
    pub bytes: u64,
    /// In hex.
    pub sha256: String,
}

impl Manifest {
    /// Reads every file of the folder, and writes the manifest into it. Everything is on the disk
    /// when this returns.
    pub(super) fn of_folder(
        folder: &Path,
        created_ms: UnixMillis,
        rows: TableRows,
    ) -> Result<Self, BackupError> {
        let mut paths = vec![CONTROL.to_owned(), RESULTS.to_owned()];
        let components = folder.join(PLUGINS);
        let entries =
            std::fs::read_dir(&components).map_err(BackupError::io("read", &components))?;
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        paths.extend(names.iter().map(|name| format!("{PLUGINS}/{name}")));
        let files = paths
            .into_iter()
            .map(|path| ManifestFile::of(folder, path))
            .collect::<Result<_, _>>()?;
        let manifest = Self {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            created_ms,
            rows: rows.into_iter().collect(),
            files,
        };
        let path = folder.join(MANIFEST);
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&manifest.to_json())?;
            file.sync_all()
        });
        written.map_err(BackupError::io("write", &path))?;
        Ok(manifest)
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, BackupError> {
        let manifest: Self = serde_json::from_slice(text).map_err(|error| {
            BackupError::Broken(format!("`{MANIFEST}` is no manifest of a backup: {error}"))
        })?;
        if manifest.format > FORMAT {
            return Err(BackupError::Refused(format!(
                "the backup was made by extrack {}, which is newer than this one; restore it with that version",
                manifest.program
            )));
        }
        for needed in [CONTROL, RESULTS] {
            if !manifest.files.iter().any(|file| file.path == needed) {
                return Err(BackupError::Broken(format!("`{needed}` is missing")));
            }
        }
        match manifest.files.iter().find(|file| !is_known(&file.path)) {
            Some(file) => Err(BackupError::Broken(format!(
                "`{}` is no file of a backup",
                file.path
            ))),
            None => Ok(manifest),
        }
    }

    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a manifest is made of text and numbers")
    }

    pub fn created_ms(&self) -> UnixMillis {
        self.created_ms
    }

    pub fn files(&self) -> &[ManifestFile] {
        &self.files
    }

    /// Size of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Rows of one table of the results.
    pub fn rows(&self, table: &str) -> i64 {
        self.rows.get(table).copied().unwrap_or_default()
    }

    /// Rows of all tables of the results.
    pub(super) fn all_rows(&self) -> TableRows {
        self.rows.clone().into_iter().collect()
    }
}

impl ManifestFile {
    fn of(folder: &Path, path: String) -> Result<Self, BackupError> {
        let place = folder.join(&path);
        let read = || {
            let mut file = File::open(&place)?;
            file.sync_all()?;
            hash(&mut file)
        };
        let (bytes, sha256) = read().map_err(BackupError::io("read", &place))?;
        Ok(Self {
            path,
            bytes,
            sha256,
        })
    }

    /// Copies the file and compares it with what it was when the backup was made.
    pub(super) fn copy(
        &self,
        from: &mut impl Read,
        to: impl Write,
        place: &Path,
    ) -> Result<(), BackupError> {
        let mut hashing = Hashing::new(to);
        // One byte more shows that there is too much.
        std::io::copy(&mut from.take(self.bytes + 1), &mut hashing)
            .map_err(BackupError::io("copy", place))?;
        hashing.flush().map_err(BackupError::io("write", place))?;
        let (bytes, sha256) = hashing.finish();
        if bytes != self.bytes {
            let found = if bytes < self.bytes {
                "is cut: it"
            } else {
                "was changed: it"
            };
            return Err(BackupError::Broken(format!(
                "`{}` {found} does not have the {} bytes that were backed up",
                self.path, self.bytes
            )));
        }
        if sha256 != self.sha256 {
            return Err(BackupError::Broken(format!(
                "`{}` is not what was backed up: its SHA-256 is {sha256} instead of {}",
                self.path, self.sha256
            )));
        }
        Ok(())
    }
}

/// True for a component or its signature, named after the component's SHA-256.
pub(super) fn is_component(name: &str) -> bool {
    let digest = name
        .strip_suffix(".wasm")
        .or_else(|| name.strip_suffix(".minisig"));
    digest.is_some_and(|digest| {
        digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// True for the paths that a backup has, so that none leads out of the folder.
fn is_known(path: &str) -> bool {
    match path.split_once('/') {
        Some((PLUGINS, name)) => is_component(name),
        Some(_) => false,
        None => [CONTROL, RESULTS].contains(&path),
    }
}
