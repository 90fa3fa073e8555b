//! Alerts, their history, and what people do to them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::notifications::NotificationBody;
use crate::domain::{AlertState, Severity};

/// One breach of one rule for one service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertBody {
    pub id: i64,
    /// The rule's, e.g. `Service Down`.
    pub name: String,
    pub rule: String,
    /// Slug.
    pub service: String,
    pub severity: Severity,
    pub state: AlertState,
    /// The value found beside the value wanted.
    pub summary: String,
    pub value: Option<f64>,
    pub wanted: Option<f64>,
    /// First breach, RFC 3339.
    pub started_at: String,
    pub fired_at: Option<String>,
    pub resolved_at: Option<String>,
    pub updated_at: String,
    /// Name of what mutes it while it is suppressed, e.g. `silence 3`.
    pub suppressed_by: Option<String>,
    /// The last one; it holds while the state is `acknowledged`.
    pub acknowledged: Option<AcknowledgementBody>,
    /// True while it changes so often that only the first and the last change are notified.
    pub flapping: bool,
    /// True when it is open because its rule could not be evaluated.
    pub no_data: bool,
}

/// Acknowledgement: a person works on the alert.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcknowledgementBody {
    pub by: String,
    pub at: String,
    /// Null: until the alert ends.
    pub until: Option<String>,
    pub note: String,
}

/// Escalation that runs until a person acknowledges the alert.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertEscalationBody {
    pub policy: String,
    /// Number of the step that is next, from 1.
    pub step: usize,
    /// How often that one was taken already.
    pub taken: u32,
    /// Null while it waits for an acknowledgement to end, and at its end.
    pub due_at: Option<String>,
    pub started_at: String,
}

/// One change in an alert's life.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertEventBody {
    pub id: i64,
    pub ts: String,
    /// Null for the first.
    pub from: Option<AlertState>,
    pub to: AlertState,
    /// `engine`, or who did it.
    pub actor: String,
    pub reason: String,
}

/// An alert with all that happened.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertDetailBody {
    #[serde(flatten)]
    pub alert: AlertBody,
    /// Oldest first.
    pub events: Vec<AlertEventBody>,
    /// Newest first.
    pub notifications: Vec<NotificationBody>,
    /// Null without one, and when the alert has ended.
    pub escalation: Option<AlertEscalationBody>,
}

/// Acknowledgement to make; without `for` and `until` it holds until the alert ends.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcknowledgeBody {
    /// Duration, e.g. `2h`; then the alert fires again and is notified again.
    #[serde(rename = "for")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// End, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub until: Option<String>,
    /// Note for other people.
    #[serde(default)]
    pub note: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoteBody {
    /// Why, for the alert's history.
    #[serde(default)]
    pub note: String,
}
