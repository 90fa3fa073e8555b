//! Alerts, their events and the messages about them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AlertFlags, ChannelId, LabelPairs, Labels, Severity, UnixMillis};

/// Row id of an alert in the control store.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct AlertId(pub i64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Breached, but not for long enough yet. No message is sent.
    Pending,
    Firing,
    /// Firing, and somebody is on it.
    Acknowledged,
    Resolved,
    /// Firing, but muted.
    Suppressed,
}

impl AlertState {
    pub const ALL: [AlertState; 5] = [
        AlertState::Pending,
        AlertState::Firing,
        AlertState::Acknowledged,
        AlertState::Resolved,
        AlertState::Suppressed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
            AlertState::Acknowledged => "acknowledged",
            AlertState::Resolved => "resolved",
            AlertState::Suppressed => "suppressed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    pub fn is_open(self) -> bool {
        self != AlertState::Resolved
    }
}

/// One breach of one rule for one service, from first suspicion to resolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    pub id: AlertId,
    /// Name of the rule, e.g. `Service Down`.
    pub name: String,
    /// Key of the rule in the catalog.
    pub rule: String,
    /// Slug.
    pub service: String,
    pub severity: Severity,
    pub state: AlertState,
    /// The rule's latest text: the value found beside the value wanted.
    pub summary: String,
    pub value: Option<f64>,
    pub wanted: Option<f64>,
    /// First breach.
    pub started_ms: UnixMillis,
    pub fired_ms: Option<UnixMillis>,
    pub resolved_ms: Option<UnixMillis>,
    pub updated_ms: UnixMillis,
    /// Cause of the mute while it is suppressed, e.g. `silence 3`.
    #[serde(default)]
    pub suppressed_by: Option<String>,
    #[serde(default, alias = "marks")]
    pub flags: AlertFlags,
    /// Labels built at the last transition; empty in what was stored before labels were.
    #[serde(default)]
    pub labels: Labels,
}

impl Alert {
    /// Returns the labels as messages show them.
    pub fn label_pairs(&self) -> LabelPairs {
        if self.labels.is_empty() {
            return self.own_labels();
        }
        self.labels.to_pairs()
    }

    /// Returns the labels that name an alert which is notified on its own: `alertname`, `service`
    /// and `severity`.
    pub fn own_labels(&self) -> LabelPairs {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![
            label("alertname", &self.name),
            label("service", &self.service),
            label("severity", self.severity.as_str()),
        ]
    }
}

/// One change in an alert's life.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertEvent {
    pub id: i64,
    pub alert: AlertId,
    pub ts_ms: UnixMillis,
    pub from: Option<AlertState>,
    pub to: AlertState,
    /// `engine`, or who did it.
    pub actor: String,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NotificationStatus {
    Firing,
    Resolved,
}

impl NotificationStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            NotificationStatus::Firing => "firing",
            NotificationStatus::Resolved => "resolved",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [NotificationStatus::Firing, NotificationStatus::Resolved]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NotificationState {
    /// Waits for its first or next attempt.
    Waiting,
    Delivered,
    /// Given up: a permanent error, or too many attempts. Kept, and shown.
    Dead,
    /// Held back by its channel's rate limit, and merged into a digest.
    Digested,
}

impl NotificationState {
    pub const ALL: [NotificationState; 4] = [
        NotificationState::Waiting,
        NotificationState::Delivered,
        NotificationState::Dead,
        NotificationState::Digested,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            NotificationState::Waiting => "waiting",
            NotificationState::Delivered => "delivered",
            NotificationState::Dead => "dead",
            NotificationState::Digested => "digested",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Why a message was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NotificationReason {
    /// An alert fired, ended, or is not muted any more.
    Transition,
    /// The alerts still fire, and nothing changed for the repeat interval.
    Repeat,
    /// The alert was not acknowledged in time.
    Escalation,
    /// Messages were held back by the channel's rate limit.
    Digest,
    /// A person tries the channel.
    Test,
    /// A sign of life.
    Watchdog,
    /// A report was made.
    Report,
}

impl NotificationReason {
    pub const ALL: [NotificationReason; 7] = [
        NotificationReason::Transition,
        NotificationReason::Repeat,
        NotificationReason::Escalation,
        NotificationReason::Digest,
        NotificationReason::Test,
        NotificationReason::Watchdog,
        NotificationReason::Report,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            NotificationReason::Transition => "transition",
            NotificationReason::Repeat => "repeat",
            NotificationReason::Escalation => "escalation",
            NotificationReason::Digest => "digest",
            NotificationReason::Test => "test",
            NotificationReason::Watchdog => "watchdog",
            NotificationReason::Report => "report",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// One message to one channel: a durable row before it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    pub id: i64,
    /// Same for every attempt.
    pub idempotency_key: String,
    /// Messages with the same key arrive at their channel in the order of their ids.
    pub group_key: String,
    pub group_labels: LabelPairs,
    pub channel: ChannelId,
    pub reason: NotificationReason,
    pub status: NotificationStatus,
    pub state: NotificationState,
    /// Attempts made so far.
    pub attempts: u32,
    pub created_ms: UnixMillis,
    pub next_attempt_ms: UnixMillis,
    pub delivered_ms: Option<UnixMillis>,
    pub last_error: Option<String>,
    /// Name that the other side gave the message, once it is delivered.
    pub reference: Option<String>,
    /// When a person put it back after it had been given up.
    pub resent_ms: Option<UnixMillis>,
    /// Id of the digest that this message was merged into.
    pub digest: Option<i64>,
    /// The alerts as they were when the message was decided on: what is sent. Firing ones first.
    pub alerts: Vec<Alert>,
    /// Alerts of the group that the message has no room for.
    pub omitted: u32,
}
