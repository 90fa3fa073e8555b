//! What alerting needs from outside. The control store, the results and the plugin host stand behind these traits.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::domain::{
    Alert, AlertEvent, AlertId, AlertRule, AlertState, Channel, ChannelId, DeliveryError, History, Message,
    Notification, NotificationState, NotificationStatus, Observation, Receipt, Severity, UnixMillis, Verdict,
};

/// Why something outside could not be done, for people. Everything here is worth another attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PortError(pub String);

pub type PortResult<T> = Result<T, PortError>;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    Delivered,
    /// Failed; there will be another one.
    Retry,
    /// Failed; there will not.
    Dead,
}

impl AttemptOutcome {
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub started_ms: UnixMillis,
    pub duration_ms: u64,
    pub outcome: AttemptOutcome,
    /// What the other side answered, or what went wrong.
    pub answer: String,
    /// When the next attempt is due; for `Retry` only.
    pub next_attempt_ms: Option<UnixMillis>,
}

/// The part of the control store that alerting lives on.
pub trait AlertStore: Send + Sync + 'static {
    /// Every alert that is not resolved.
    fn alert_open_list(&self) -> BoxFuture<'_, PortResult<Vec<Alert>>>;
    /// In one transaction: the alert, its event, its notifications.
    fn transition_commit(&self, transition: Transition) -> BoxFuture<'_, PortResult<Committed>>;
    /// Events after this id, oldest first, each with its alert as it is now.
    fn alert_event_after(&self, id: i64, limit: usize) -> BoxFuture<'_, PortResult<Vec<(AlertEvent, Alert)>>>;
    /// All notifications about one alert.
    fn alert_notifications(&self, alert: AlertId) -> BoxFuture<'_, PortResult<Vec<Notification>>>;

    /// Keeps a channel, so that it can be told even after it left the configuration.
    fn channel_put(&self, channel: Arc<Channel>) -> BoxFuture<'_, PortResult<()>>;
    fn channel_get(&self, id: ChannelId) -> BoxFuture<'_, PortResult<Option<Channel>>>;

    /// Waiting notifications whose moment has come, longest overdue first. Never one behind which an earlier one of the
    /// same alert and channel still waits.
    fn notification_due(&self, now_ms: UnixMillis, limit: usize) -> BoxFuture<'_, PortResult<Vec<Notification>>>;
    /// When the next waiting notification is due.
    fn notification_next_due(&self) -> BoxFuture<'_, PortResult<Option<UnixMillis>>>;
    /// In one transaction: the attempt's row and what it makes of the notification.
    fn notification_attempt(&self, id: i64, attempt: Attempt) -> BoxFuture<'_, PortResult<()>>;
}

/// Runs rule plugins.
pub trait RuleRunner: Send + Sync + 'static {
    /// How much history the rule looks at.
    fn look_back<'a>(&'a self, rule: &'a AlertRule) -> BoxFuture<'a, PortResult<Duration>>;
    fn evaluate<'a>(
        &'a self,
        rule: &'a AlertRule,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> BoxFuture<'a, PortResult<Verdict>>;
}

/// Reads back what was recorded before.
pub trait HistoryLoader: Send + Sync + 'static {
    /// The newest `limit` observations of the service since a moment, oldest first.
    fn load<'a>(
        &'a self,
        service: &'a str,
        since_ms: UnixMillis,
        limit: usize,
    ) -> BoxFuture<'a, PortResult<Vec<Observation>>>;
}

/// Sends one message to one channel.
pub trait Notifier: Send + Sync + 'static {
    fn notify<'a>(
        &'a self,
        channel: &'a Channel,
        message: &'a Message,
    ) -> BoxFuture<'a, Result<Receipt, DeliveryError>>;
}

/// Where alert events can be queried.
pub trait EventSink: Send + Sync + 'static {
    /// The last one that is there for good; 0 if there is none.
    fn alert_event_last_id(&self) -> BoxFuture<'_, PortResult<i64>>;
    fn alert_event_append(&self, event: AlertEvent, alert: Alert) -> BoxFuture<'_, PortResult<()>>;
}
