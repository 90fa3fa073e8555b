//! `extrack backup` and `extrack restore`

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use tokio::sync::mpsc;

use super::client::Server;
use super::outcome::Outcome;
use super::print::{line, note};
use crate::backup::{Manifest, Unpacking, private_file, private_folder, restore, unpack, verify};

/// Makes a backup of a running server: both stores and the installed plugins as they are at one
/// moment. Checks keep running meanwhile.
///
/// A PATH that ends with `.tar` becomes one file, any other a folder. Every file is compared with
/// the manifest before PATH appears. The key of the secrets (`secret.key` in the data folder, or
/// `ENCRYPTION_KEY`) is not in it: keep a copy of it in another place, once.
///
/// Examples:
///   extrack backup --to /backups/extrack-monday.tar
///   extrack backup --to "/backups/$(date +%F)" --server https://watch.example.com
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Backup {
    /// File (`….tar`) or folder; it must not be there yet.
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
}

/// Restores a backup into a data folder. The server must not run.
///
/// The backup is read, compared with its manifest and opened before anything in the folder changes.
/// It can be cut off at any time and repeated.
///
/// Examples:
///   extrack restore --from /backups/extrack-monday.tar --data data
///   extrack restore --from /backups/2026-11-23 --data data --replace
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Restore {
    /// Backup: a file or a folder.
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
    /// Folder with the stores, as for `serve`.
    #[arg(long, env = "EXTRACK_DATA", default_value = "data")]
    data: PathBuf,
    /// Moves stores that are there into `replaced-…` in the data folder.
    #[arg(long)]
    replace: bool,
}

impl Backup {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let to = self.to;
        if to.symlink_metadata().is_ok() {
            bail!("`{}` is there already; name another path", to.display());
        }
        let partial = partial_of(&to)?;
        remove(&partial).with_context(|| format!("deleting `{}`", partial.display()))?;
        note("copying the stores …");
        let mut response = server.connect()?.post_stream("/backups").await?;
        let (sender, chunks) = mpsc::channel(8);
        let is_file = to.extension().is_some_and(|extension| extension == "tar");
        let target = partial.clone();
        let taking =
            tokio::task::spawn_blocking(move || take(Chunks::new(chunks), &target, is_file));
        let mut broken_off = Ok(());
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    if sender.send(chunk).await.is_err() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    broken_off = Err(error);
                    break;
                }
            }
        }
        drop(sender);
        let taken = taking.await.context("writing the backup")?;
        broken_off.context("the server broke off")?;
        let manifest = taken.inspect_err(|_| {
            // What is left of it is deleted by the next try at the latest.
            let _ = remove(&partial);
        })?;
        std::fs::rename(&partial, &to)
            .and_then(|()| File::open(parent_of(&to))?.sync_all())
            .with_context(|| format!("moving the backup to `{}`", to.display()))?;
        line(&format!("{}: {}", to.display(), summary(&manifest)));
        Ok(ExitCode::SUCCESS)
    }
}

impl Restore {
    pub(super) async fn run(self) -> Outcome {
        note("reading the backup …");
        let restored = restore(&self.from, &self.data, self.replace)
            .await
            .with_context(|| format!("restoring `{}`", self.from.display()))?;
        let data = self.data.display();
        line(&format!("{data}: {}", summary(&restored.manifest)));
        if let Some(replaced) = restored.replaced {
            line(&format!(
                "the stores of before are in `{}`; delete them when all is well",
                replaced.display()
            ));
        }
        if !restored.has_key {
            line(&format!(
                "`{data}/secret.key` is not there: copy it from where you keep it, or start with the `ENCRYPTION_KEY` of before"
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes a file or a folder and compares what was written with the manifest.
fn take(mut from: Chunks, to: &Path, is_file: bool) -> Result<Manifest> {
    if !is_file {
        private_folder(to).with_context(|| format!("making `{}`", to.display()))?;
        return Ok(unpack(from, Unpacking::To(to))?);
    }
    let writing = || format!("writing `{}`", to.display());
    let mut file = private_file(to).with_context(writing)?;
    io::copy(&mut from, &mut file).with_context(writing)?;
    file.flush()
        .and_then(|()| file.sync_all())
        .with_context(writing)?;
    Ok(verify(to, Unpacking::Nowhere)?)
}

fn summary(manifest: &Manifest) -> String {
    let created = jiff::Timestamp::from_millisecond(manifest.created_ms())
        .map(|moment| moment.to_string())
        .unwrap_or_default();
    format!(
        "backup of {created}, {} observations, {} files, {} MB, compared",
        manifest.rows("observations"),
        manifest.files().len(),
        manifest.bytes() / 1_000_000,
    )
}

/// A path beside the target, for what is not whole yet.
fn partial_of(to: &Path) -> Result<PathBuf> {
    let mut name = to
        .file_name()
        .with_context(|| format!("`{}` names no file or folder", to.display()))?
        .to_owned();
    name.push(".partial");
    Ok(to.with_file_name(name))
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Chunks of an answer as a reader, for a thread that may wait.
struct Chunks {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Chunks {
    fn new(receiver: mpsc::Receiver<Bytes>) -> Self {
        Self {
            receiver,
            current: Bytes::new(),
        }
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.current = chunk,
                None => return Ok(0),
            }
        }
        let read = buffer.len().min(self.current.len());
        buffer[..read].copy_from_slice(&self.current.split_to(read));
        Ok(read)
    }
}
