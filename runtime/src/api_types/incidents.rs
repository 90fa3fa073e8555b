//! Incidents: times in which a service was not available.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::AlertBody;

/// One incident.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentBody {
    pub id: i64,
    /// Slug.
    pub service: String,
    /// `ours`: found by our probes. `vendor`: reported on its status page.
    pub source: String,
    /// `outage`; of a vendor also `degradation` or `maintenance`.
    pub kind: String,
    /// Moment of the first failed run, RFC 3339.
    pub started_at: String,
    /// Moment of the first good run; null while it lasts.
    pub ended_at: Option<String>,
    /// Length in seconds; of an open one up to now.
    pub seconds: i64,
    /// The first failure, or the vendor's last words.
    pub cause: String,
    /// Kind of the first failure, as of observations; the vendor's word for the impact.
    pub error_kind: Option<String>,
    /// Probe that failed first, or the webhook.
    pub probe: Option<String>,
    /// `recovered`, or `removed` where the service or its probes are no longer configured.
    pub outcome: Option<String>,
    /// Failed runs, or updates of the vendor, up to the last change.
    pub runs: i64,
    /// How often it went on soon after it had ended.
    pub reopened: i64,
    /// The first alert that fired meanwhile.
    pub alert_id: Option<i64>,
    /// Moment at which that alert fired, if its events are still kept.
    pub fired_at: Option<String>,
    pub acknowledged_at: Option<String>,
    /// Person who acknowledged it.
    pub acknowledged_by: Option<String>,
}

/// An incident with what happened meanwhile.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentDetailBody {
    #[serde(flatten)]
    pub incident: IncidentBody,
    /// Alerts of the service that fired meanwhile, the first to fire first; at most 20.
    pub alerts: Vec<AlertBody>,
    /// Channels that were notified of those alerts, by name.
    pub notified: Vec<NotifiedChannelBody>,
    /// Oldest first.
    pub timeline: Vec<TimelineEntryBody>,
}

/// Messages to one channel.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotifiedChannelBody {
    pub channel: String,
    pub messages: u32,
    /// How many of them arrived.
    pub delivered: u32,
    /// Moment at which the first one arrived.
    pub first_delivered_at: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TimelineEvent {
    /// The first failed run, or the vendor's first word.
    Started,
    /// An alert changed its state.
    Alert,
    /// A message was decided on; its state is as of now.
    Notification,
    /// The first good run, or the vendor's last word.
    Ended,
}

/// One thing that happened.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntryBody {
    pub at: String,
    pub event: TimelineEvent,
    /// Description for people.
    pub text: String,
    /// Actor: a probe or webhook, `engine` or a person, a channel.
    pub actor: Option<String>,
    pub alert_id: Option<i64>,
    pub notification_id: Option<i64>,
}

/// What someone found out about an incident.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentNoteBody {
    pub id: i64,
    /// RFC 3339.
    pub at: String,
    /// Name of the token.
    pub author: String,
    pub text: String,
    /// True: status pages that show the service show the note too.
    pub public: bool,
}

/// A note to write.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewIncidentNote {
    /// Text for people, at most 64 KiB.
    pub text: String,
    #[serde(default)]
    pub public: bool,
}
