//! The archive: days of the results that are kept as files.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Date;

use super::UnixMillis;

const DAY_MS: i64 = 86_400_000;

/// How days are archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveSettings {
    /// Where the files go. None: a folder `archive` in the data folder.
    pub folder: Option<PathBuf>,
    /// Age, in whole days, at which a day leaves the database. Default: 30 days.
    pub after: Duration,
}

impl Default for ArchiveSettings {
    fn default() -> Self {
        Self {
            folder: None,
            after: Duration::from_secs(30 * 86_400),
        }
    }
}

/// Table whose days go to the archive. The others are small, and are read by pages and alerting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArchiveTable {
    Observations,
    PluginRuns,
    RateLimits,
    ShadowRuns,
    Calls,
}

impl ArchiveTable {
    pub const ALL: [ArchiveTable; 5] = [
        ArchiveTable::Observations,
        ArchiveTable::PluginRuns,
        ArchiveTable::RateLimits,
        ArchiveTable::ShadowRuns,
        ArchiveTable::Calls,
    ];

    /// Returns its name in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            ArchiveTable::Observations => "observations",
            ArchiveTable::PluginRuns => "plugin_runs",
            ArchiveTable::RateLimits => "rate_limits",
            ArchiveTable::ShadowRuns => "shadow_runs",
            ArchiveTable::Calls => "calls",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.as_str() == text)
    }
}

impl fmt::Display for ArchiveTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One day of UTC of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveDay {
    pub table: ArchiveTable,
    pub day: Date,
}

impl ArchiveDay {
    /// Returns the day that a moment lies in; none where no calendar has it.
    pub fn of(table: ArchiveTable, ms: UnixMillis) -> Option<Self> {
        let moment = jiff::Timestamp::from_millisecond(ms).ok()?;
        let day = moment.to_zoned(jiff::tz::TimeZone::UTC).date();
        Some(Self { table, day })
    }

    /// Returns its first moment.
    pub fn begins_ms(self) -> UnixMillis {
        let epoch = Date::constant(1970, 1, 1);
        let days = epoch.duration_until(self.day).as_hours() / 24;
        days * DAY_MS
    }

    /// Returns the first moment of the next day.
    pub fn ends_ms(self) -> UnixMillis {
        self.begins_ms() + DAY_MS
    }

    /// Returns the path of one of its files inside the archive. A day that is archived again, with
    /// rows that came late, gets the next number.
    pub fn path(self, number: u32) -> String {
        let Self { table, day } = self;
        match number {
            1 => format!("{table}/day={day}/{table}-{day}.parquet"),
            number => format!("{table}/day={day}/{table}-{day}-{number}.parquet"),
        }
    }
}

impl fmt::Display for ArchiveDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.table, self.day)
    }
}

/// State of a file of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveState {
    /// Whole, but its rows still count in the database.
    Written,
    /// The rows count, and are no longer in the database.
    Live,
}

impl ArchiveState {
    pub fn as_str(self) -> &'static str {
        match self {
            ArchiveState::Written => "written",
            ArchiveState::Live => "live",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [ArchiveState::Written, ArchiveState::Live]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// Facts of a file of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveFile {
    pub day: ArchiveDay,
    /// Path inside the archive, which holds the number of the file.
    pub path: String,
    pub number: u32,
    pub rows: i64,
    pub bytes: u64,
    /// Digest in hex.
    pub sha256: String,
    pub state: ArchiveState,
    pub archived_ms: UnixMillis,
    /// Last time at which all of it was read and compared.
    pub verified_ms: UnixMillis,
    /// Why it can't be trusted: it is gone, or is not what was written.
    pub fault: Option<String>,
    /// Time at which it was copied to the object store.
    pub copied_ms: Option<UnixMillis>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_knows_its_moments_and_its_path() {
        let day = ArchiveDay::of(ArchiveTable::PluginRuns, 1_795_419_803_120).unwrap();
        assert_eq!(day.to_string(), "plugin_runs of 2026-11-23");
        assert_eq!(day.begins_ms(), 1_795_392_000_000);
        assert_eq!(day.ends_ms() - day.begins_ms(), DAY_MS);
        let paths = [day.path(1), day.path(2)];
        assert_eq!(
            paths,
            [
                "plugin_runs/day=2026-11-23/plugin_runs-2026-11-23.parquet",
                "plugin_runs/day=2026-11-23/plugin_runs-2026-11-23-2.parquet"
            ]
        );
        let before_1970 = ArchiveDay::of(ArchiveTable::Observations, -1).unwrap();
        assert_eq!(before_1970.ends_ms(), 0);
        assert_eq!(ArchiveDay::of(ArchiveTable::Observations, i64::MAX), None);
    }
}
