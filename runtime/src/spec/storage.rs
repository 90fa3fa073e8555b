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
    /// Days of the results that are kept as Parquet files. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveSpec>,
    /// How long runs, and what was counted of them, are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<HistorySpec>,
}

/// Days of the results that leave the database for Parquet files, one a table and day.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveSpec {
    /// Age at which a day leaves the database: days, or text such as `30d`. Default: `30d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<KeepSpec>,
    /// Folder of the files, which has to be there. Default: `archive` in the data folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

/// How long runs, and what was counted of them, are kept: days, text such as `30d` or `1y`, or
/// `forever`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistorySpec {
    /// Single runs. Default: `forever`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<KeepSpec>,
    /// Counts by 5 minutes. Default: `30d`.
    #[serde(default, rename = "5m", skip_serializing_if = "Option::is_none")]
    pub five_minutes: Option<KeepSpec>,
    /// Counts by hours. Default: `400d`.
    #[serde(default, rename = "1h", skip_serializing_if = "Option::is_none")]
    pub hours: Option<KeepSpec>,
    /// Counts by days. Default: `forever`.
    #[serde(default, rename = "1d", skip_serializing_if = "Option::is_none")]
    pub days: Option<KeepSpec>,
    /// Good runs of plugins one by one; then they are added up by minutes. Default: `7d`.
    #[serde(
        default,
        rename = "goodPluginRuns",
        skip_serializing_if = "Option::is_none"
    )]
    pub good_plugin_runs: Option<KeepSpec>,
    /// Failed runs of plugins. Default: `400d`.
    #[serde(
        default,
        rename = "pluginRuns",
        skip_serializing_if = "Option::is_none"
    )]
    pub plugin_runs: Option<KeepSpec>,
    /// Good runs of plugins added up by minutes. Default: `400d`.
    #[serde(
        default,
        rename = "pluginRunMinutes",
        skip_serializing_if = "Option::is_none"
    )]
    pub plugin_run_minutes: Option<KeepSpec>,
    /// Changes in the life of alerts. Default: `forever`.
    #[serde(
        default,
        rename = "alertEvents",
        skip_serializing_if = "Option::is_none"
    )]
    pub alert_events: Option<KeepSpec>,
    /// Reports of services through webhooks. Default: `400d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<KeepSpec>,
    /// Rate limits as the headers of answers gave them. Default: `90d`.
    #[serde(
        default,
        rename = "rateLimits",
        skip_serializing_if = "Option::is_none"
    )]
    pub rate_limits: Option<KeepSpec>,
    /// Calls that both an active version and its candidate got. Default: `90d`.
    #[serde(
        default,
        rename = "shadowRuns",
        skip_serializing_if = "Option::is_none"
    )]
    pub shadow_runs: Option<KeepSpec>,
    /// Calls of clients to the services, one by one. Default: `400d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<KeepSpec>,
    /// Calls added up by minutes. Default: `800d`.
    #[serde(
        default,
        rename = "usageTotals",
        skip_serializing_if = "Option::is_none"
    )]
    pub usage_totals: Option<KeepSpec>,
}

/// Whole days as a number, or text.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum KeepSpec {
    Days(u32),
    Text(String),
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
