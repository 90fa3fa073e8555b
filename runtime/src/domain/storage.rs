//! What an operator wants of the stores.

use std::path::PathBuf;
use std::time::Duration;

use super::{ArchiveSettings, ArchiveTable, TableRetention, TierRetention};

/// Content of `storage.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageSettings {
    /// None: nobody asked for backups.
    pub backups: Option<BackupSettings>,
    /// None: all days stay in the database.
    pub archive: Option<ArchiveSettings>,
    pub retention: TierRetention,
    /// Of what is neither runs of probes nor counts of them.
    pub tables: TableRetention,
}

impl StorageSettings {
    /// Returns how long runs and tiers stay in the database. Runs leave it for the archive, if
    /// there is one, which deletes them when they are too old.
    pub fn tiers_kept(&self) -> TierRetention {
        TierRetention {
            runs: self.retention.runs.filter(|_| self.archive.is_none()),
            ..self.retention
        }
    }

    /// Returns how long days of a table are kept, in the database and in the archive together.
    pub fn kept(&self, table: ArchiveTable) -> Option<Duration> {
        match table {
            ArchiveTable::Observations => self.retention.runs,
            ArchiveTable::PluginRuns => self.tables.plugin_runs,
            ArchiveTable::RateLimits => self.tables.rate_limits,
            ArchiveTable::ShadowRuns => self.tables.shadow_runs,
            ArchiveTable::Calls => self.tables.calls,
        }
    }
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
