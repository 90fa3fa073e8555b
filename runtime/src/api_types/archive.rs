//! Files of the archive.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One day of one table.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveFileBody {
    /// Table in SQL, such as `observations`.
    pub table: String,
    /// Day of UTC, e.g. `2026-11-23`.
    pub day: String,
    /// Path inside the archive.
    pub path: String,
    pub rows: i64,
    pub bytes: u64,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    pub archived_at: String,
    /// Last time at which the whole file was read and compared.
    pub verified_at: String,
    /// Why the file can't be trusted; null while it can.
    pub fault: Option<String>,
    /// Time at which it was copied to the object store; null where there is none, or not yet.
    pub copied_at: Option<String>,
}

/// What came of looking through files.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ArchiveReportBody {
    /// Files that were looked at.
    pub files: u64,
    pub bytes: u64,
    pub faults: Vec<ArchiveFaultBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ArchiveFaultBody {
    /// Path inside the archive.
    pub path: String,
    pub fault: String,
}
