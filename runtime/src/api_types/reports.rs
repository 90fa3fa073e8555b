//! Reports and their runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Fault, NotificationState, Origin, ReportFormat, ReportRunState, ReportSpan};
use crate::spec::ReportSpec;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportBody {
    pub name: String,
    pub title: String,
    /// `file`: written in reports.yaml, and changed there.
    pub origin: Origin,
    /// Five fields as cron has them, and the time zone; null: it is made by hand only.
    pub schedule: Option<String>,
    /// When it is made next, RFC 3339.
    pub next_at: Option<String>,
    pub span: ReportSpan,
    /// Names of the channels that get it.
    pub channels: Vec<String>,
    /// Files of a mail.
    pub formats: Vec<ReportFormat>,
    /// Name of the token that wrote it last.
    pub author: Option<String>,
    /// Entry as it was written.
    pub spec: ReportSpec,
    /// Reasons why it no longer works as it was saved.
    pub faults: Vec<Fault>,
    pub last_run: Option<ReportRunBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportRunBody {
    pub id: i64,
    pub report: String,
    /// First day, and the day behind the last one: `2026-11-16/2026-11-23`.
    pub period: String,
    /// False: made by hand.
    pub scheduled: bool,
    pub state: ReportRunState,
    /// Why it failed or is incomplete.
    pub error: Option<String>,
    /// Subject of its messages.
    pub title: String,
    pub due_at: String,
    pub created_at: String,
    pub finished_at: Option<String>,
    pub messages: Vec<ReportMessageBody>,
}

/// A message about a run; `GET /api/v1/notifications/{id}` has its attempts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportMessageBody {
    pub id: i64,
    /// Id of the channel.
    pub channel: String,
    pub state: NotificationState,
    pub delivered_at: Option<String>,
    pub last_error: Option<String>,
}
