//! The watched folder: a component that is put into it is installed, as by `extrack plugin
//! install`. Files are looked at when something changes, and once at the start.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use notify::{Event, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::plugin_host::{
    COMPONENT_BYTES, InstallRequest, InstallStep, PluginHost, SIGNATURE_BYTES,
};

/// Time without a change after which a file counts as written.
const QUIET_TIME: Duration = Duration::from_millis(200);

pub struct PluginFolder {
    folder: PathBuf,
    host: PluginHost,
    /// Digest of each file with its signature at the last look.
    seen: HashMap<PathBuf, [u8; 32]>,
}

impl PluginFolder {
    pub fn new(folder: PathBuf, host: PluginHost) -> Self {
        Self {
            folder,
            host,
            seen: HashMap::new(),
        }
    }

    /// Installs what lies in the folder, before the configuration is read, which may name it.
    pub async fn look_at_start(&mut self) {
        self.look(true).await;
    }

    /// Installs what appears in the folder, until the shutdown. A folder that can't be watched is
    /// logged, and is no reason to stop.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let (changed, mut changes) = mpsc::channel(1);
        let _watcher = match self.watch(changed) {
            Ok(watcher) => watcher,
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the plugin folder is not watched"
                );
                return shutdown.cancelled().await;
            }
        };
        // What came between the first look and the watch.
        self.look(false).await;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                change = changes.recv() => if change.is_none() { return },
            }
            while tokio::time::timeout(QUIET_TIME, changes.recv())
                .await
                .is_ok_and(|change| change.is_some())
            {}
            self.look(false).await;
        }
    }

    fn watch(&self, changed: mpsc::Sender<()>) -> Result<notify::RecommendedWatcher> {
        let folder = || self.folder.display();
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("making the folder `{}`", folder()))?;
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Reading is no change: a look would lead to the next one, for ever.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                // Full: a look is due already.
                let _ = changed.try_send(());
            }
        })?;
        watcher
            .watch(&self.folder, RecursiveMode::NonRecursive)
            .with_context(|| format!("watching the folder `{}`", folder()))?;
        Ok(watcher)
    }

    /// Installs files that are new or have changed.
    async fn look(&mut self, at_start: bool) {
        let mut files: Vec<PathBuf> = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "wasm")
            })
            .collect();
        files.sort();
        for file in files {
            match tokio::fs::metadata(&file).await {
                Ok(metadata) if metadata.len() <= COMPONENT_BYTES as u64 => {}
                Ok(_) => {
                    tracing::error!(file = %file.display(), "a plugin file is too large and is not installed");
                    continue;
                }
                Err(_) => continue,
            }
            let Ok(bytes) = tokio::fs::read(&file).await else {
                continue;
            };
            let signature = signature_beside(&file).await;
            let digest: [u8; 32] = Sha256::digest(&bytes).into();
            let both = Sha256::new_with_prefix(digest)
                .chain_update(signature.as_deref().unwrap_or_default());
            let both: [u8; 32] = both.finalize().into();
            if self.seen.insert(file.clone(), both) != Some(both) {
                self.install(&file, bytes, signature, digest, at_start)
                    .await;
            }
        }
    }

    async fn install(
        &self,
        file: &Path,
        bytes: Vec<u8>,
        signature: Option<String>,
        digest: [u8; 32],
        at_start: bool,
    ) {
        // A version that was active once and was rolled back stays back over a restart.
        if at_start && self.was_active(&hex::encode(digest)).await {
            return;
        }
        let request = InstallRequest::component(bytes.into(), signature, "plugin folder")
            .rejecting_withdrawn();
        let installed = self.host.install(request).await;
        match &installed {
            Ok(entry) => tracing::info!(
                file = %file.display(), plugin = entry.name, version = entry.version, "a plugin from the folder is active"
            ),
            Err(error) if error.step == InstallStep::Withdrawn => {
                tracing::warn!(file = %file.display(), %error, "a plugin from the folder is not installed again")
            }
            Err(error) => {
                tracing::error!(file = %file.display(), %error, "a plugin from the folder is not installed")
            }
        }
    }

    async fn was_active(&self, digest: &str) -> bool {
        match self.host.was_active(digest).await {
            Ok(was_active) => was_active,
            Err(error) => {
                tracing::error!(error, "can't read which plugin versions were active");
                false
            }
        }
    }
}

/// Reads `NAME.wasm.minisig` beside `NAME.wasm`.
async fn signature_beside(file: &Path) -> Option<String> {
    let path = file.with_added_extension("minisig");
    let metadata = tokio::fs::metadata(&path).await.ok()?;
    if metadata.len() > SIGNATURE_BYTES as u64 {
        tracing::error!(file = %path.display(), "a signature is too large and is not read");
        return None;
    }
    tokio::fs::read_to_string(&path).await.ok()
}
