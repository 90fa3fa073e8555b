//! Notices changes of the configuration files and of `.env`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::environment::env_files;

/// Editors write a file in several steps; a reload waits until they are done.
const QUIET: Duration = Duration::from_millis(300);

pub struct ConfigWatch {
    /// Stops when dropped.
    _watcher: RecommendedWatcher,
    changes: mpsc::Receiver<()>,
}

impl ConfigWatch {
    pub fn start(config_dir: &Path) -> Result<Self, notify::Error> {
        let config_dir = config_dir.canonicalize()?;
        // One is enough: a change that finds it full is part of the reload to come.
        let (sender, changes) = mpsc::channel(1);
        let watched = config_dir.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| matters(&event, &watched)) {
                let _ = sender.try_send(());
            }
        })?;
        watcher.watch(&config_dir, RecursiveMode::NonRecursive)?;
        let folders = env_files(&config_dir).into_iter().filter_map(|path| folder(&path));
        for folder in folders.filter(|folder| *folder != config_dir) {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self { _watcher: watcher, changes })
    }

    /// Returns once something has changed and has been quiet for a moment. Safe to drop and call again.
    pub async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            // The watcher is gone, and nothing more will come.
            std::future::pending::<()>().await;
        }
        while let Ok(Some(())) = tokio::time::timeout(QUIET, self.changes.recv()).await {}
    }
}

fn folder(env_file: &Path) -> Option<PathBuf> {
    let parent = env_file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    parent.canonicalize().ok()
}

/// Reading a file is no change, and a neighbour of `.env` is none of ours.
fn matters(event: &Event, config_dir: &Path) -> bool {
    !matches!(event.kind, EventKind::Access(_))
        && event.paths.iter().any(|path| {
            path.parent() == Some(config_dir)
                || path == config_dir
                || path.file_name().is_some_and(|name| name == ".env")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn notices_a_changed_file_and_a_changed_env() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config");
        std::fs::create_dir(&config).unwrap();
        let mut watch = ConfigWatch::start(&config).unwrap();
        let limit = Duration::from_secs(20);
        for path in [config.join("services.yaml"), folder.path().join(".env")] {
            std::fs::write(&path, "services: []").unwrap();
            tokio::time::timeout(limit, watch.changed()).await.expect("a change is noticed");
        }
        std::fs::read_to_string(config.join("services.yaml")).unwrap();
        std::fs::write(folder.path().join("other"), "x").unwrap();
        assert!(tokio::time::timeout(QUIET * 2, watch.changed()).await.is_err());
    }
}
