//! Interfaces to what is outside of alerting: rule plugins, notifiers and the recorded history.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::domain::{
    Alert, AlertEvent, AlertRule, Channel, DeliveryError, History, Message, Observation, Receipt,
    RunGroup, UnixMillis, Verdict,
};
use crate::store::ControlError;
pub use crate::store::control::{
    AfterAttempt, AlertDraft, Attempt, AttemptOutcome, ChannelsFollowed, DueNotification,
    Escalation, EscalationDraft, EventDraft, MemoryChange, StepTaken, StoredSilence, Transition,
};
pub use crate::store::results::GroupSpan;

/// Why something outside could not be done, for people. Everything here is worth another attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PortError(pub String);

impl PortError {
    /// Returns the error with the whole chain of causes, on one line.
    pub(crate) fn of(error: impl std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Self(text)
    }
}

impl From<ControlError> for PortError {
    fn from(error: ControlError) -> Self {
        Self::of(error)
    }
}

pub type PortResult<T> = Result<T, PortError>;

/// Why a transition was not committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The alert was changed since it was read: to be read again.
    #[error("{0}")]
    Changed(String),
    #[error(transparent)]
    Port(#[from] PortError),
}

impl From<ControlError> for CommitError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Conflict { .. }
            | ControlError::Exists { .. }
            | ControlError::NotFound { .. }
            // Perhaps it was done: that is seen when the alert is read again.
            | ControlError::Interrupted => CommitError::Changed(error.to_string()),
            error => CommitError::Port(error.into()),
        }
    }
}

/// Runs rule plugins.
pub trait RuleRunner: Send + Sync + 'static {
    /// Grows when another version of some rule took over: it may look back further than the one
    /// before.
    fn swaps(&self) -> u64;
    /// The rule is judged as time passes, too, not only when an observation arrives.
    fn ticks(&self, rule: &AlertRule) -> bool;
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
    /// The newest `limit` observations of the service from one moment on and before another, oldest
    /// first. Reading ends when the answer is no longer waited for.
    fn load<'a>(
        &'a self,
        service: &'a str,
        between: (UnixMillis, UnixMillis),
        limit: usize,
    ) -> BoxFuture<'a, PortResult<Vec<Observation>>>;
    /// Runs from before those, counted by slots of time.
    fn load_groups<'a>(
        &'a self,
        service: &'a str,
        span: GroupSpan,
    ) -> BoxFuture<'a, PortResult<Vec<RunGroup>>>;
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
    /// Id and moment of the last one that is there for good.
    fn alert_event_last(&self) -> BoxFuture<'_, PortResult<Option<(i64, UnixMillis)>>>;
    /// Appends events, except those that are there already, by id and moment.
    fn alert_event_append(&self, events: Vec<(AlertEvent, Alert)>)
    -> BoxFuture<'_, PortResult<()>>;
}
