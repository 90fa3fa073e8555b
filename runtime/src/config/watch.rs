//! Notices changes of the configuration files and of `.env`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::environment::env_files;

/// Editors write a file in several steps; a reload waits until they are done.
const QUIET: Duration = Duration::from_millis(300);

/// A file that somebody has written to and not closed is not whole yet: a slow copy stalls for
/// seconds. One that stays open for longer than this is read as it is.
const OPEN_AT_MOST: Duration = Duration::from_secs(60);

const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));

/// Files that were written to and not closed since.
type Unfinished = Arc<Mutex<HashSet<PathBuf>>>;

pub struct ConfigWatch {
    /// Stops when dropped.
    _watcher: RecommendedWatcher,
    changes: mpsc::Receiver<()>,
    unfinished: Unfinished,
    /// A change that was noticed and not returned yet.
    noticed: Option<Instant>,
}

impl ConfigWatch {
    pub fn start(config_dir: &Path) -> Result<Self, notify::Error> {
        let config_dir = config_dir.canonicalize()?;
        // One is enough: a change that finds it full is part of the reload to come.
        let (sender, changes) = mpsc::channel(1);
        let unfinished = Unfinished::default();
        let (watched, writing) = (config_dir.clone(), unfinished.clone());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let Ok(event) = event else { return };
            note(&event, &writing);
            if matters(&event, &watched) {
                let _ = sender.try_send(());
            }
        })?;
        watcher.watch(&config_dir, RecursiveMode::NonRecursive)?;
        let folders = env_files(&config_dir)
            .into_iter()
            .filter_map(|path| folder(&path));
        for folder in folders.filter(|folder| *folder != config_dir) {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self {
            _watcher: watcher,
            changes,
            unfinished,
            noticed: None,
        })
    }

    /// Returns once something has changed, has been quiet for a moment, and no file is being
    /// written. Safe to drop and call again.
    pub async fn changed(&mut self) {
        if self.noticed.is_none() {
            if self.changes.recv().await.is_none() {
                // The watcher is gone, and nothing more will come.
                std::future::pending::<()>().await;
            }
            self.noticed = Some(Instant::now());
        }
        let since = self.noticed.unwrap_or_else(Instant::now);
        loop {
            while let Ok(Some(())) = tokio::time::timeout(QUIET, self.changes.recv()).await {}
            let mut unfinished = self
                .unfinished
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            // What left without a word is not written any more.
            unfinished.retain(|path| path.exists());
            if unfinished.is_empty() || since.elapsed() > OPEN_AT_MOST {
                unfinished.clear();
                break;
            }
        }
        self.noticed = None;
    }
}

/// Keeps count of who is being written. A file that is renamed into its place is whole.
fn note(event: &Event, unfinished: &Unfinished) {
    let is_written = match event.kind {
        EventKind::Modify(ModifyKind::Data(_)) => true,
        CLOSED
        | EventKind::Modify(ModifyKind::Name(
            RenameMode::From | RenameMode::To | RenameMode::Both,
        ))
        | EventKind::Remove(_) => false,
        _ => return,
    };
    let mut unfinished = unfinished.lock().unwrap_or_else(PoisonError::into_inner);
    for path in event.paths.iter().filter(|path| is_read(path)) {
        if is_written {
            unfinished.insert(path.clone());
        } else {
            unfinished.remove(path);
        }
    }
}

/// Other files may be open for as long as they like.
fn is_read(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    name == ".env" || super::files::NAMES.contains(&name)
}

fn folder(env_file: &Path) -> Option<PathBuf> {
    let parent = env_file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    parent.canonicalize().ok()
}

/// Reading a file is no change, and a neighbour of `.env` is none of ours.
fn matters(event: &Event, config_dir: &Path) -> bool {
    (!matches!(event.kind, EventKind::Access(_)) || event.kind == CLOSED)
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
            tokio::time::timeout(limit, watch.changed())
                .await
                .expect("a change is noticed");
        }
        std::fs::read_to_string(config.join("services.yaml")).unwrap();
        std::fs::write(folder.path().join("other"), "x").unwrap();
        assert!(
            tokio::time::timeout(QUIET * 2, watch.changed())
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn a_file_that_is_still_being_written_is_no_change_yet() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config");
        std::fs::create_dir(&config).unwrap();
        let path = config.join("services.yaml");
        let mut watch = ConfigWatch::start(&config).unwrap();
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(b"services:\n").unwrap();
        // Far more than the quiet time, and the call is dropped in between.
        assert!(
            tokio::time::timeout(QUIET * 4, watch.changed())
                .await
                .is_err()
        );
        file.write_all(b"  - {name: a}\n").unwrap();
        drop(file);
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, watch.changed())
            .await
            .expect("it is closed");
        // An editor writes beside it and renames.
        let aside = config.join("services.yaml.tmp");
        let mut file = std::fs::File::create(&aside).unwrap();
        file.write_all(b"services: []\n").unwrap();
        std::fs::rename(&aside, &path).unwrap();
        tokio::time::timeout(limit, watch.changed())
            .await
            .expect("it is in its place");
    }
}
