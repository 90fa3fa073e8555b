//! Interfaces to what is outside of alerting: rule plugins and notifiers, which the plugin host
//! runs, and the recorded history.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::domain::{
    Alert, AlertEvent, AlertRule, Channel, DeliveryError, History, Message, PastRuns, Receipt,
    UnixMillis, Verdict,
};
use crate::plugin_host::{PluginHost, RuleCall};
use crate::store::ControlError;
pub use crate::store::control::{
    AfterAttempt, AlertDraft, Attempt, AttemptOutcome, ChannelsFollowed, DueNotification,
    Escalation, EscalationDraft, EventDraft, MemoryChange, StepTaken, StoredSilence, Transition,
};
pub use crate::store::results::PastSpan;

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
    fn look_back(&self, rule: &AlertRule) -> impl Future<Output = PortResult<Duration>> + Send;
    fn evaluate(
        &self,
        rule: &AlertRule,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> impl Future<Output = PortResult<Verdict>> + Send;
}

impl RuleRunner for PluginHost {
    fn swaps(&self) -> u64 {
        self.rule_swaps()
    }

    fn ticks(&self, rule: &AlertRule) -> bool {
        self.rule_ticks(&rule.plugin)
    }

    async fn look_back(&self, rule: &AlertRule) -> PortResult<Duration> {
        PluginHost::look_back(self, &rule.plugin, &rule.settings)
            .await
            .map_err(|error| PortError(error.to_string()))
    }

    async fn evaluate(
        &self,
        rule: &AlertRule,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> PortResult<Verdict> {
        let call = RuleCall {
            plugin: &rule.plugin,
            service: &rule.service,
            settings: &rule.settings,
            now_ms,
            history,
        };
        PluginHost::evaluate(self, call)
            .await
            .map_err(|error| PortError(error.to_string()))
    }
}

/// Sends one message to one channel.
pub trait Notifier: Send + Sync + 'static {
    fn notify<'a>(
        &'a self,
        channel: &'a Channel,
        message: &'a Message,
    ) -> BoxFuture<'a, Result<Receipt, DeliveryError>>;
}

impl Notifier for PluginHost {
    fn notify<'a>(
        &'a self,
        channel: &'a Channel,
        message: &'a Message,
    ) -> BoxFuture<'a, Result<Receipt, DeliveryError>> {
        PluginHost::notify(self, channel, message).boxed()
    }
}

/// Reads back what was recorded before.
pub trait HistoryLoader: Send + Sync + 'static {
    /// Returns the past of each of these services, in their order. Reading ends when the answer is no
    /// longer waited for.
    fn load(&self, wanted: Vec<PastSpan>)
    -> impl Future<Output = PortResult<Vec<PastRuns>>> + Send;
}

/// Where alert events can be queried.
pub trait EventSink: Send + Sync + 'static {
    /// Id and moment of the last one that is there for good.
    fn alert_event_last(
        &self,
    ) -> impl Future<Output = PortResult<Option<(i64, UnixMillis)>>> + Send;
    /// Id and moment of the last change of an incident that is there.
    fn incident_change_last(
        &self,
    ) -> impl Future<Output = PortResult<Option<(i64, UnixMillis)>>> + Send;
    /// Appends events, except those that are there already, by id and moment.
    fn alert_event_append(
        &self,
        events: Vec<(AlertEvent, Alert)>,
    ) -> impl Future<Output = PortResult<()>> + Send;
}
