//! Which version of each plugin is active: installed components on disk by digest, and the log of who activated what.

use std::path::{Path, PathBuf};

use futures::future::BoxFuture;

use super::loader::{Refusal, refuse};
use crate::domain::{PluginKind, UnixMillis};

/// One activation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    pub name: String,
    pub kind: PluginKind,
    pub version: String,
    /// sha256 of the component, hex.
    pub digest: String,
    pub by: String,
    pub ts_ms: UnixMillis,
}

/// [`Activation::by`] of what came with the binary.
pub const BUNDLED: &str = "bundled";

/// Where activations are kept; the control store in the product.
pub trait ActivationLog: Send + Sync {
    /// Newest first; of one plugin, or of all.
    fn activations(&self, name: Option<&str>) -> BoxFuture<'_, Result<Vec<Activation>, String>>;
    /// Durable when it returns.
    fn activate(&self, activation: Activation) -> BoxFuture<'_, Result<(), String>>;
}

/// Components by digest.
pub(super) struct ComponentStore {
    folder: PathBuf,
}

impl ComponentStore {
    pub(super) fn open(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    pub(super) fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }

    /// Beside, synced, renamed; nothing to do when it is there.
    pub(super) async fn put(&self, digest: &str, bytes: bytes::Bytes) -> Result<(), Refusal> {
        let path = self.path(digest);
        let (folder, target) = (self.folder.clone(), path.clone());
        let written = tokio::task::spawn_blocking(move || {
            use std::io::Write;
            if target.exists() {
                return Ok(());
            }
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            file.write_all(&bytes)?;
            file.as_file().sync_all()?;
            file.persist(&target)?;
            std::fs::File::open(&folder)?.sync_all()
        })
        .await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(refuse("store", format!("can't write `{}`: {error}", path.display()))),
            Err(error) => Err(refuse("store", error.to_string())),
        }
    }
}
