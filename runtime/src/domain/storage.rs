//! What an operator wants of the stores.

use std::path::PathBuf;
use std::time::Duration;

use super::{ArchiveSettings, TierRetention};

/// Content of `storage.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageSettings {
    /// None: nobody asked for backups.
    pub backups: Option<BackupSettings>,
    /// None: all days stay in the database.
    pub archive: Option<ArchiveSettings>,
    pub retention: TierRetention,
}

/// Backups that the program makes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSettings {
    /// Where the backups go. Never made: an empty mount point is no place for them.
    pub folder: PathBuf,
    /// Time from one backup to the next. Default: a day.
    pub every: Duration,
    /// Number of the newest that are kept. Default: 7.
    pub keep: usize,
}

impl BackupSettings {
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            every: Duration::from_secs(86_400),
            keep: 7,
        }
    }
}
