//! A change in an alert's life and the attempts at telling people, on their way into the control store.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Alert, AlertEvent, AlertId, AlertState, ChannelId, NotificationState, NotificationStatus, Severity, UnixMillis,
};

/// An alert as it is after a transition. Without an id it is inserted.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertDraft {
    pub id: Option<AlertId>,
    pub name: String,
    pub rule: String,
    pub service: String,
    pub severity: Severity,
    pub state: AlertState,
    pub summary: String,
    pub value: Option<f64>,
    pub wanted: Option<f64>,
    pub started_ms: UnixMillis,
    pub fired_ms: Option<UnixMillis>,
    pub resolved_ms: Option<UnixMillis>,
    pub updated_ms: UnixMillis,
}

impl AlertDraft {
    /// The alert as it is once it has an id.
    pub fn with_id(self, id: AlertId) -> Alert {
        Alert {
            id,
            name: self.name,
            rule: self.rule,
            service: self.service,
            severity: self.severity,
            state: self.state,
            summary: self.summary,
            value: self.value,
            wanted: self.wanted,
            started_ms: self.started_ms,
            fired_ms: self.fired_ms,
            resolved_ms: self.resolved_ms,
            updated_ms: self.updated_ms,
        }
    }
}

impl From<Alert> for AlertDraft {
    fn from(alert: Alert) -> Self {
        Self {
            id: Some(alert.id),
            name: alert.name,
            rule: alert.rule,
            service: alert.service,
            severity: alert.severity,
            state: alert.state,
            summary: alert.summary,
            value: alert.value,
            wanted: alert.wanted,
            started_ms: alert.started_ms,
            fired_ms: alert.fired_ms,
            resolved_ms: alert.resolved_ms,
            updated_ms: alert.updated_ms,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDraft {
    pub from: Option<AlertState>,
    pub to: AlertState,
    pub actor: String,
    pub reason: String,
    pub ts_ms: UnixMillis,
}

/// What is sent is the alert of the same transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationDraft {
    pub channel: ChannelId,
    pub status: NotificationStatus,
    pub idempotency_key: String,
}

/// Committed whole or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    pub alert: AlertDraft,
    pub event: EventDraft,
    pub notifications: Vec<NotificationDraft>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    pub alert: Alert,
    pub event: AlertEvent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttemptOutcome {
    Delivered,
    /// Failed; there will be another one.
    Retry,
    /// Failed; there will not.
    Dead,
}

impl AttemptOutcome {
    pub const ALL: [AttemptOutcome; 3] = [AttemptOutcome::Delivered, AttemptOutcome::Retry, AttemptOutcome::Dead];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            AttemptOutcome::Delivered => "delivered",
            AttemptOutcome::Retry => "retry",
            AttemptOutcome::Dead => "dead",
        }
    }

    /// What the notification is after such an attempt.
    pub fn leads_to(self) -> NotificationState {
        match self {
            AttemptOutcome::Delivered => NotificationState::Delivered,
            AttemptOutcome::Retry => NotificationState::Waiting,
            AttemptOutcome::Dead => NotificationState::Dead,
        }
    }
}

/// One attempt to deliver one notification, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    pub started_ms: UnixMillis,
    pub duration_ms: u64,
    pub outcome: AttemptOutcome,
    /// What the other side answered, or what went wrong.
    pub answer: String,
    /// When the next attempt is due; for `Retry` only.
    pub next_attempt_ms: Option<UnixMillis>,
}

