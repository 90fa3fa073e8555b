//! Backups: both stores and the installed components as they were at one moment, while the program
//! runs, with a manifest of every file; and the way back into a data folder. The key of the secrets
//! is no part of a backup: who finds one can read no credential.

mod manifest;
mod reading;
mod restore;
mod schedule;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

pub use manifest::{Manifest, ManifestFile};
pub use reading::{Unpacking, unpack, verify};
pub use restore::{Restored, restore};
pub use schedule::BackupStatus;

use crate::domain::now_ms;
use crate::store::{ControlError, ControlStore, ResultError, ResultStore};

const MANIFEST: &str = "manifest.json";
/// First file of an archive that is no backup, because none could be made.
const ERROR: &str = "error.txt";
const RESULTS: &str = "results.duckdb";
const CONTROL: &str = "control.sqlite";
const PLUGINS: &str = "plugins";

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("a backup is being made already; wait for it, then repeat")]
    Busy,
    #[error("the results can't be copied")]
    Results(#[source] ResultError),
    #[error("the control store can't be copied")]
    Control(#[source] ControlError),
    #[error("can't {doing} `{}`", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// What is read is no whole backup of this program.
    #[error("{0}")]
    Broken(String),
    #[error("{0}")]
    Refused(String),
}

impl BackupError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}

/// Makes backups of a running program, one at a time.
#[derive(Clone)]
pub struct Backups {
    control: ControlStore,
    results: ResultStore,
    /// Folder of the installed components.
    components: PathBuf,
    one: Arc<Semaphore>,
}

/// A backup that lies in a folder of its own, which goes with it.
pub struct Prepared {
    folder: TempDir,
    manifest: Manifest,
    _one: OwnedSemaphorePermit,
}

impl Backups {
    pub fn new(data: &Path, control: ControlStore, results: ResultStore) -> Self {
        // What a crash left behind is no backup.
        let staging = results.staging();
        if let Err(error) = std::fs::remove_dir_all(&staging)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, folder = %staging.display(), "half a backup can't be deleted");
        }
        Self {
            control,
            results,
            components: data.join(PLUGINS),
            one: Arc::new(Semaphore::new(1)),
        }
    }

    /// Copies both stores and the components, and opens the copies. The control store is copied
    /// once the results are pinned: it is as new as they are, or newer by the time its copy takes.
    pub async fn prepare(&self) -> Result<Prepared, BackupError> {
        let one = Arc::clone(&self.one)
            .try_acquire_owned()
            .map_err(|_| BackupError::Busy)?;
        let created_ms = now_ms();
        let staging = self.results.staging();
        let folder = in_background(move || {
            std::fs::create_dir_all(&staging)
                .and_then(|()| TempDir::with_prefix_in("backup-", &staging))
                .map_err(BackupError::io("make a folder in", &staging))
        })
        .await?;
        self.link_components(folder.path()).await?;
        let (pin, pinned) = oneshot::channel();
        let results = self.results.backup(folder.path().join(RESULTS), pin);
        let control_path = folder.path().join(CONTROL);
        let control = async {
            // An error of the results counts, and is returned below.
            let _ = pinned.await;
            self.control.backup(&control_path).await?;
            ControlStore::check(&control_path).await
        };
        let (rows, control) = tokio::join!(results, control);
        let rows = rows.map_err(BackupError::Results)?;
        control.map_err(BackupError::Control)?;
        // Those that were installed while the stores were copied.
        self.link_components(folder.path()).await?;
        let root = folder.path().to_owned();
        let manifest = in_background(move || Manifest::of_folder(&root, created_ms, rows)).await?;
        Ok(Prepared {
            folder,
            manifest,
            _one: one,
        })
    }

    /// Links components into the backup; they never change, and may be deleted meanwhile.
    async fn link_components(&self, folder: &Path) -> Result<(), BackupError> {
        let (from, to) = (self.components.clone(), folder.join(PLUGINS));
        in_background(move || {
            std::fs::create_dir_all(&to).map_err(BackupError::io("make", &to))?;
            let entries = match std::fs::read_dir(&from) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                entries => entries.map_err(BackupError::io("read", &from))?,
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                if !manifest::is_component(&name.to_string_lossy()) || to.join(&name).exists() {
                    continue;
                }
                let linked = std::fs::hard_link(entry.path(), to.join(&name))
                    .or_else(|_| std::fs::copy(entry.path(), to.join(&name)).map(drop));
                match linked {
                    // Deleted since the folder was read: no version needs it.
                    Err(_) if !entry.path().exists() => {}
                    linked => linked.map_err(BackupError::io("copy", &entry.path()))?,
                }
            }
            Ok(())
        })
        .await
    }
}

impl Prepared {
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Writes the backup as a tar archive, the manifest first. Blocks.
    pub fn write_tar(&self, to: impl Write) -> std::io::Result<()> {
        let mut archive = tar::Builder::new(to);
        archive.mode(tar::HeaderMode::Deterministic);
        archive.append_path_with_name(self.folder.path().join(MANIFEST), MANIFEST)?;
        for file in self.manifest.files() {
            archive.append_path_with_name(self.folder.path().join(&file.path), &file.path)?;
        }
        archive.into_inner()?.flush()
    }
}

/// Writes an archive that says why there is no backup. Blocks.
pub fn write_error(reason: &str, to: impl Write) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(to);
    let mut header = tar::Header::new_gnu();
    header.set_size(reason.len() as u64);
    header.set_mode(0o600);
    archive.append_data(&mut header, ERROR, reason.as_bytes())?;
    archive.into_inner()?.flush()
}

/// Makes a new file that only the user of the program can read: a backup holds all that was
/// measured, and hashes of tokens.
pub fn private_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Makes a new folder that only the user of the program can read.
pub fn private_folder(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
