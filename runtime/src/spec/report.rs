//! `reports.yaml`: reports, when they are made, and who gets them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{ReportChart, ReportFormat, ReportNumber, ReportSpan, ReportTable};

/// `reports.yaml`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportsFile {
    /// Reports that are made on a schedule, or by hand.
    #[serde(default)]
    pub reports: Vec<ReportSpec>,
}

/// A report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportSpec {
    /// Unique name: 1 to 64 lower-case letters, digits and `-`.
    pub name: String,
    /// Report that comes with the program and is changed by what is written beside it:
    /// `weekly-vendors`, `cost`, `sla-claim` or `alert-noise`. Not needed where it is the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundled: Option<String>,
    /// Title. Default: the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `daily`, `weekly` (on Monday), `monthly` (on the first day), or five fields as cron has them.
    /// Without it the report is made by hand only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Time of day with `daily`, `weekly` and `monthly`, e.g. `07:30`. Default: `08:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Time zone of the schedule and of the period, e.g. `Europe/Berlin`. Default: `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Calendar period that it is about, the last one that is over. Default: that of the schedule;
    /// else `week`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<ReportSpan>,
    /// Names of the channels that get it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// Files of a mail. Default: `html` and `pdf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formats: Option<Vec<ReportFormat>>,
    /// Parts of the report, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<ReportSectionSpec>,
}

/// A part of a report: one of `numbers`, `chart`, `table`, `sql`, `query` and `text`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportSectionSpec {
    /// Heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Figures beside those of the period before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Vec<ReportNumber>>,
    /// Bars by day, or by hour of a single day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<ReportChart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<ReportTable>,
    /// A statement; `$from` and `$to` are the period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// Name of a saved query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// With `sql` or `query`: bars in place of a table; the first column is their label.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bars: bool,
    /// Markdown, and a template like those of messages, with `report` and `period`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}
