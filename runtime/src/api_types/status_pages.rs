//! Status pages for people who have no token: what they show as JSON, and their files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A status page, as `/status/NAME.json` has it. Moments are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusPageBody {
    pub name: String,
    pub title: String,
    /// One sentence for people.
    pub summary: String,
    /// The worst of its services: see [`PublicServiceBody::status`].
    pub status: String,
    pub rendered_at: String,
    /// Moment up to which the history is complete; null while it can't be read.
    pub history_to: Option<String>,
    pub groups: Vec<PublicGroupBody>,
    pub open_incidents: Vec<PublicIncidentBody>,
    pub maintenance: Vec<PublicMaintenanceBody>,
    /// Incidents of the last days that are over, the last to begin first.
    pub past_incidents: Vec<PublicIncidentBody>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicGroupBody {
    pub title: String,
    pub services: Vec<PublicServiceBody>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicServiceBody {
    pub slug: String,
    pub name: String,
    /// `operational`, `maintenance`, `unknown`, `degraded` or `down`.
    pub status: String,
    /// Moment since which it has this status; null where it is not known.
    pub since: Option<String>,
    /// Availability in the last 24 hours, 7, 30 and 90 days.
    pub uptime: Vec<UptimeBody>,
    /// The 95th percentile of the last 24 hours in milliseconds; null without checks.
    pub p95_ms: Option<f64>,
}

/// Availability in a span of time, by checks. Percentages have two decimals, rounded down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UptimeBody {
    /// `24h`, `7d`, `30d` or `90d`
    pub span: String,
    /// Checks that found it available, in percent of those that count; null without any.
    pub percent: Option<f64>,
    /// Checks that count, in percent of those that were due and not paused or in maintenance.
    pub coverage_percent: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicIncidentBody {
    /// Slug.
    pub service: String,
    /// Kind of failure in fixed words.
    pub what: String,
    /// `ours` by our checks, `vendor` by the vendor's word.
    pub source: String,
    pub started_at: String,
    /// Null while it lasts.
    pub ended_at: Option<String>,
    /// Notes about it for everybody, oldest first.
    pub notes: Vec<PublicNoteBody>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicNoteBody {
    pub at: String,
    pub text: String,
}

/// Planned work that is under way or next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicMaintenanceBody {
    /// Slugs.
    pub services: Vec<String>,
    pub starts_at: String,
    pub ends_at: String,
}

/// A badge as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BadgeBody {
    /// What it is about, e.g. `status`.
    pub label: String,
    /// Its value for people, e.g. `operational`.
    pub message: String,
    /// `healthy`, `degraded`, `error` or `waiting`
    pub tone: String,
}

/// Status pages as files that any web server can serve.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusPageFilesBody {
    /// Empty where no service is public, so that there is no page.
    pub files: Vec<StatusPageFileBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusPageFileBody {
    /// Relative, e.g. `badge/shop-api/status.svg`: parts are of letters, digits, `-` and `.`.
    pub path: String,
    pub text: String,
}
