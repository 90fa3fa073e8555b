//! Backups that the program makes by itself, and how many of them are kept.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::reading::{Unpacking, sync_folder, verify};
use super::{BackupError, Backups, in_background, private_file};
use crate::domain::{BackupSettings, StorageSettings, UnixMillis, error_chain, now_ms};

const BEGIN: &str = "extrack-";
const END: &str = ".tar";
const PARTIAL: &str = ".tar.partial";
/// Time after which a backup that failed is tried again.
const RETRY: Duration = Duration::from_secs(600);
/// Time until a change of the settings.
const FAR: Duration = Duration::from_secs(86_400);

/// What became of the last scheduled backup; clones share it.
#[derive(Debug, Clone, Default)]
pub struct BackupStatus(Arc<Mutex<Option<String>>>);

impl BackupStatus {
    /// Returns why there is no new backup, for people, without paths.
    pub fn warning(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, warning: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = warning;
    }
}

impl Backups {
    /// Makes backups until the shutdown, as the settings of the moment ask for. The first one is due
    /// when the newest of the folder is old enough, so that restarts make no more of them.
    pub async fn run(
        self,
        mut settings: watch::Receiver<StorageSettings>,
        status: BackupStatus,
        stop: CancellationToken,
    ) {
        loop {
            let wanted = settings.borrow_and_update().backups.clone();
            let wait = match wanted {
                None => {
                    status.set(None);
                    FAR
                }
                Some(wanted) => tokio::select! {
                    () = stop.cancelled() => return,
                    wait = self.step(&wanted, &status) => wait,
                },
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                Ok(()) = settings.changed() => {}
            }
        }
    }

    /// Makes a backup if one is due, and returns the time until the next look.
    async fn step(&self, settings: &BackupSettings, status: &BackupStatus) -> Duration {
        let made = match due_in(settings) {
            Ok(Duration::ZERO) => self.write_to(settings).await,
            Ok(wait) => {
                status.set(None);
                return wait;
            }
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => Duration::ZERO,
            Err(error) => self.failed(status, &error),
        }
    }

    /// Shows why there is no new backup, and returns the time until the next try.
    fn failed(&self, status: &BackupStatus, error: &BackupError) -> Duration {
        tracing::error!(
            error = error_chain(error),
            "no backup could be made; it is tried again"
        );
        metrics::counter!("extrack_backup_failures_total").increment(1);
        status.set(Some(
            "the last backup could not be made; the log says why".to_owned(),
        ));
        RETRY
    }

    /// Writes a backup, compares what was written, and deletes those that are too many.
    async fn write_to(&self, settings: &BackupSettings) -> Result<(), BackupError> {
        let prepared = self.prepare().await?;
        let settings = settings.clone();
        in_background(move || {
            let created_ms = prepared.manifest().created_ms();
            let target = settings.folder.join(name_of(created_ms));
            let partial = target.with_extension("tar.partial");
            // Before anything else: they may be what fills the disk.
            delete(files(&settings.folder, PARTIAL)?)?;
            let write = || {
                let mut file = private_file(&partial)?;
                prepared.write_tar(&mut file)?;
                file.sync_all()
            };
            write().map_err(BackupError::io("write", &partial))?;
            verify(&partial, Unpacking::Nowhere)?;
            std::fs::rename(&partial, &target).map_err(BackupError::io("write", &target))?;
            sync_folder(&settings.folder)?;
            metrics::gauge!("extrack_backup_last_success_timestamp_seconds")
                .set(created_ms as f64 / 1_000.0);
            tracing::info!(file = %target.display(), bytes = prepared.manifest().bytes(), "backup written");
            prune(&settings)
        })
        .await
    }
}

/// Returns the time until the next backup is due, from the newest one that is there.
fn due_in(settings: &BackupSettings) -> Result<Duration, BackupError> {
    let newest = files(&settings.folder, END)?.pop();
    let Some(written) = newest.and_then(|newest| modified(&newest)) else {
        return Ok(Duration::ZERO);
    };
    // One from the future, after the clock was set back, is as good as one of now.
    let age = SystemTime::now()
        .duration_since(written)
        .unwrap_or_default();
    Ok(settings.every.saturating_sub(age))
}

/// Deletes all but the newest.
fn prune(settings: &BackupSettings) -> Result<(), BackupError> {
    let whole = files(&settings.folder, END)?;
    let many = whole.len().saturating_sub(settings.keep);
    delete(whole.into_iter().take(many))
}

fn delete(paths: impl IntoIterator<Item = PathBuf>) -> Result<(), BackupError> {
    for path in paths {
        std::fs::remove_file(&path).map_err(BackupError::io("delete", &path))?;
    }
    Ok(())
}

/// Returns our own files with this end, the oldest first: their names are their moments.
fn files(folder: &Path, end: &str) -> Result<Vec<PathBuf>, BackupError> {
    let entries = std::fs::read_dir(folder).map_err(BackupError::io("read", folder))?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(BEGIN) && name.ends_with(end)
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    Ok(found)
}

fn name_of(created_ms: UnixMillis) -> String {
    let moment = jiff::Timestamp::from_millisecond(created_ms)
        .or_else(|_| jiff::Timestamp::from_millisecond(now_ms()))
        .unwrap_or_default();
    format!("{BEGIN}{}{END}", moment.strftime("%Y-%m-%dT%H-%M-%S%.3fZ"))
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path)
        .and_then(|found| found.modified())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_what_is_not_ours_stays() {
        let folder = tempfile::tempdir().unwrap();
        let settings = BackupSettings {
            keep: 2,
            ..BackupSettings::new(folder.path().to_owned())
        };
        assert_eq!(due_in(&settings).unwrap(), Duration::ZERO);
        let names: Vec<String> = (0..4).map(|day| name_of(day * 86_400_000)).collect();
        for name in names.iter().map(String::as_str).chain(["other.tar"]) {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert!(due_in(&settings).unwrap() > Duration::from_secs(80_000));
        prune(&settings).unwrap();
        let mut left: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [names[2].as_str(), names[3].as_str(), "other.tar"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let gone = BackupSettings::new(folder.path().join("gone"));
        let text = error_chain(&due_in(&gone).unwrap_err());
        assert!(text.contains("gone"), "{text}");
    }
}
