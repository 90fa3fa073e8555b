//! `storage.yaml`: what is kept of the results, and where backups go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationSpec;

/// `storage.yaml`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StorageFile {
    /// The results and the backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<StorageSpec>,
}

/// Entry `results` of `storage.yaml`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StorageSpec {
    /// Backups that the program makes by itself. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backups: Option<BackupsSpec>,
}

/// Backups that the program makes by itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackupsSpec {
    /// Folder that they are written to, best on another disk; it has to be there.
    pub folder: String,
    /// Time from one to the next: seconds, or text such as `1d`. At least an hour. Default: a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<DurationSpec>,
    /// How many are kept, the newest. Default: 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub keep: Option<usize>,
}
