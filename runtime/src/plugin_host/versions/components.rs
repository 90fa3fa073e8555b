//! Installed components on disk, by digest.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::plugin_host::engine::digest::ComponentBytes;
use crate::plugin_host::policy::install_error::{InstallError, InstallStep};

/// The folder is the server's own: whatever lies in it and is not named by the log is left over
/// from a crash.
pub(in crate::plugin_host) struct ComponentStore {
    folder: PathBuf,
}

impl ComponentStore {
    pub(in crate::plugin_host) fn open(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }

    /// Writes a component beside its place, synced, then renames it; does nothing when it is there.
    pub(in crate::plugin_host) async fn put(
        &self,
        digest: &str,
        bytes: Bytes,
    ) -> Result<(), InstallError> {
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
            Ok(Err(error)) => {
                Err(InstallStep::Store.error(format!("can't write `{}`: {error}", path.display())))
            }
            Err(error) => Err(InstallStep::Store.error(error.to_string())),
        }
    }

    /// Whole by its digest.
    pub(in crate::plugin_host) async fn read(
        &self,
        wanted: &str,
    ) -> Result<ComponentBytes, InstallError> {
        let path = self.path(wanted);
        let bytes = tokio::fs::read(&path).await.map_err(|error| {
            InstallStep::Store.error(format!("can't read `{}`: {error}", path.display()))
        })?;
        let component = ComponentBytes::new(bytes.into());
        if component.digest == wanted {
            Ok(component)
        } else {
            let reason = format!("`{}` is not what was installed", path.display());
            Err(InstallStep::Store.error(reason))
        }
    }

    /// Bytes; 0 for what is not there.
    pub(in crate::plugin_host) async fn size(&self, digest: &str) -> u64 {
        tokio::fs::metadata(self.path(digest))
            .await
            .map_or(0, |metadata| metadata.len())
    }

    /// Deletes a component. What can't be deleted now is left over, and goes with the next start.
    pub(in crate::plugin_host) async fn delete(&self, digest: &str) {
        if let Err(error) = tokio::fs::remove_file(self.path(digest)).await {
            tracing::warn!(digest, %error, "an old component can't be deleted");
        }
        // Most have none.
        let _ = tokio::fs::remove_file(self.path(digest).with_extension("minisig")).await;
    }

    /// Deletes what the log does not name: written before a crash that came before the log's line,
    /// or half written. While the program starts; later an installation may be just before that
    /// line.
    pub(in crate::plugin_host) async fn sweep(&self, kept: HashSet<String>) {
        let folder = self.folder.clone();
        let swept = tokio::task::spawn_blocking(move || {
            for file in std::fs::read_dir(&folder)?
                .flatten()
                .filter(|file| file.path().is_file())
            {
                let name = file.file_name().to_string_lossy().into_owned();
                let stem = name.split('.').next().unwrap_or_default();
                let is_component =
                    stem.len() == 64 && stem.bytes().all(|byte| byte.is_ascii_hexdigit());
                if (is_component && !kept.contains(stem)) || name.starts_with(".tmp") {
                    std::fs::remove_file(file.path())?;
                    tracing::info!(file = name, "a component that no version needs is deleted");
                }
            }
            std::io::Result::Ok(())
        });
        if let Ok(Err(error)) = swept.await {
            tracing::warn!(%error, folder = %self.folder.display(), "components that no version needs can't be deleted");
        }
    }
}

impl ComponentStore {
    /// Deletes signatures of components that the log does not name, but for the newest, whose
    /// installation may be under way.
    pub(in crate::plugin_host) async fn sweep_signatures(
        &self,
        kept: HashSet<String>,
        spare: usize,
    ) {
        let folder = self.folder.clone();
        let swept = tokio::task::spawn_blocking(move || {
            let mut signatures = Vec::new();
            for file in std::fs::read_dir(&folder)?.flatten() {
                let name = file.file_name().to_string_lossy().into_owned();
                if name
                    .strip_suffix(".minisig")
                    .is_some_and(|digest| !kept.contains(digest))
                {
                    signatures.push((file.metadata()?.modified()?, file.path()));
                }
            }
            signatures.sort();
            signatures
                .iter()
                .rev()
                .skip(spare)
                .try_for_each(|(_, path)| std::fs::remove_file(path))
        });
        if let Ok(Err(error)) = swept.await {
            tracing::warn!(%error, folder = %self.folder.display(), "signatures that no version needs can't be deleted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin_host::engine::digest::sha256_hex;

    #[tokio::test]
    async fn only_what_the_log_names_survives_the_sweep() {
        let folder = tempfile::tempdir().unwrap();
        let store = ComponentStore::open(folder.path()).unwrap();
        let (kept, orphan) = (sha256_hex(b"kept"), sha256_hex(b"orphan"));
        store.put(&kept, Bytes::from_static(b"kept")).await.unwrap();
        store
            .put(&orphan, Bytes::from_static(b"orphan"))
            .await
            .unwrap();
        std::fs::write(folder.path().join(".tmpAbCdEf"), "half").unwrap();
        std::fs::write(folder.path().join("notes.txt"), "not ours").unwrap();
        std::fs::create_dir(folder.path().join("compiled")).unwrap();
        store.sweep([kept.clone()].into()).await;
        let mut left: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        let mut wanted = [
            format!("{kept}.wasm"),
            "compiled".to_owned(),
            "notes.txt".to_owned(),
        ];
        wanted.sort();
        assert_eq!(left, wanted);
    }

    #[tokio::test]
    async fn signatures_of_checks_do_not_pile_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = ComponentStore::open(folder.path()).unwrap();
        let now = std::time::SystemTime::now();
        for (age_s, digest) in [(0, "new"), (10, "old"), (20, "older"), (30, "kept")] {
            let path = folder.path().join(format!("{digest}.minisig"));
            std::fs::write(&path, "signature").unwrap();
            let file = std::fs::File::options().append(true).open(&path).unwrap();
            file.set_modified(now - std::time::Duration::from_secs(age_s))
                .unwrap();
        }
        store.sweep_signatures(["kept".to_owned()].into(), 1).await;
        let left = ["new", "old", "older", "kept"]
            .map(|digest| folder.path().join(format!("{digest}.minisig")).exists());
        assert_eq!(left, [true, false, false, true]);
    }

    #[tokio::test]
    async fn a_component_that_is_not_what_was_installed_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = ComponentStore::open(folder.path()).unwrap();
        let name = sha256_hex(b"component");
        store
            .put(&name, Bytes::from_static(b"component"))
            .await
            .unwrap();
        assert_eq!(store.read(&name).await.unwrap().bytes, "component");
        std::fs::write(store.path(&name), "changed").unwrap();
        assert!(
            store
                .read(&name)
                .await
                .unwrap_err()
                .reason
                .contains("not what was installed")
        );
        store.delete(&name).await;
        assert_eq!(
            (store.size(&name).await, store.read(&name).await.is_err()),
            (0, true)
        );
    }
}
