//! What alerting needs from outside. The control store, the results and the plugin host stand
//! behind these traits; `stores` has the first two.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::domain::{
    Alert, AlertEvent, AlertGroup, AlertId, AlertRule, Channel, ChannelId, DeliveryError,
    GroupFlush, History, Maintenance, Message, MuteChange, Notification, Observation, Receipt,
    RuleMemory, RunGroup, UnixMillis, Verdict,
};
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
    /// With the whole chain of causes, on one line.
    pub(super) fn of(error: impl std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Self(text)
    }
}

pub type PortResult<T> = Result<T, PortError>;

/// Why a transition was not committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Somebody else changed the alert since it was read: to be read again.
    #[error("{0}")]
    Changed(String),
    #[error(transparent)]
    Port(#[from] PortError),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    pub alert: Alert,
    pub event: AlertEvent,
}

/// What people said over the API about being left in peace.
#[derive(Debug, Clone, Default)]
pub struct Quiet {
    pub silences: Vec<StoredSilence>,
    pub maintenance: Vec<Arc<Maintenance>>,
}

/// The part of the control store that alerting lives on.
pub trait AlertStore: Send + Sync + 'static {
    /// Every alert that is not resolved.
    fn alert_open_list(&self) -> BoxFuture<'_, PortResult<Vec<Alert>>>;
    fn alert_open_of_service<'a>(
        &'a self,
        service: &'a str,
    ) -> BoxFuture<'a, PortResult<Vec<Alert>>>;
    fn alert_get(&self, id: AlertId) -> BoxFuture<'_, PortResult<Option<Alert>>>;
    /// Channels that were notified that the alert fires, and have yet to be notified of its end.
    fn alert_told(&self, id: AlertId) -> BoxFuture<'_, PortResult<Vec<ChannelId>>>;
    /// Acknowledged ones whose time ends, the first to end first.
    fn alert_expiring(&self, limit: u32) -> BoxFuture<'_, PortResult<Vec<Alert>>>;
    /// In one transaction: the alert, its event, its place in its groups, what its rule remembers.
    fn transition_commit(
        &self,
        transition: Transition,
    ) -> BoxFuture<'_, Result<Committed, CommitError>>;
    /// By the key of the rule, of one service or of all.
    fn rule_memory_list<'a>(
        &'a self,
        service: Option<&'a str>,
    ) -> BoxFuture<'a, PortResult<Vec<(String, String, RuleMemory)>>>;
    /// Where there is no transition to go with.
    fn rule_memory_put<'a>(
        &'a self,
        rule: &'a str,
        service: &'a str,
        change: MemoryChange,
    ) -> BoxFuture<'a, PortResult<()>>;
    /// Events after this id, oldest first, each with its alert as it is now.
    fn alert_event_after(
        &self,
        id: i64,
        limit: u32,
    ) -> BoxFuture<'_, PortResult<Vec<(AlertEvent, Alert)>>>;

    /// Groups whose moment has come, longest due first, with all their alerts.
    fn group_due(
        &self,
        now_ms: UnixMillis,
        limit: u32,
    ) -> BoxFuture<'_, PortResult<Vec<AlertGroup>>>;
    /// When the next group is due that was not at a moment.
    fn group_next_due(&self, after_ms: UnixMillis)
    -> BoxFuture<'_, PortResult<Option<UnixMillis>>>;
    /// In one transaction: messages and what is left of the groups. Groups to which something
    /// happened since they were read stay as they are. Answers how many messages were made.
    fn group_flush(
        &self,
        flushes: Vec<GroupFlush>,
        now_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<usize>>;

    /// All silences and windows made over the API that have not ended; what can't be read of them
    /// is left out and reported.
    fn quiet(&self, now_ms: UnixMillis) -> BoxFuture<'_, PortResult<Quiet>>;
    /// In one transaction. Returns what was changed: not the alerts that are no longer in the state
    /// that their change starts from.
    fn alert_mute(&self, changes: Vec<MuteChange>) -> BoxFuture<'_, PortResult<Vec<Committed>>>;

    /// Steps of firing alerts whose moment has come, longest due first, a page of them: those
    /// behind one that was due at a moment and belongs to an alert.
    fn escalation_due_after(
        &self,
        now_ms: UnixMillis,
        after: (UnixMillis, i64),
        limit: u32,
    ) -> BoxFuture<'_, PortResult<Vec<Escalation>>>;
    /// When the next step is due that was not at a moment.
    fn escalation_next_due(
        &self,
        after_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<Option<UnixMillis>>>;
    /// In one transaction: where the escalation stands, the messages, the alert's history. False:
    /// the alert does not fire any more, or something happened to its escalation since it was
    /// read.
    fn escalation_take(
        &self,
        step: StepTaken,
        now_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<bool>>;

    /// Notes in the history of each alert that its silence ends soon. False when that was done
    /// before.
    fn silence_notice(
        &self,
        silence: i64,
        alerts: Vec<AlertId>,
        reason: String,
        now_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<bool>>;

    /// Keeps a channel, so that it can be told even after it left the configuration.
    fn channel_put(&self, channel: Arc<Channel>) -> BoxFuture<'_, PortResult<()>>;
    fn channel_get(&self, id: ChannelId) -> BoxFuture<'_, PortResult<Option<Channel>>>;
    /// Brings the kept channels in line with the configuration. What waits for one whose settings
    /// changed is due at once.
    fn channel_follow(
        &self,
        current: BTreeMap<ChannelId, Arc<Channel>>,
        now_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<ChannelsFollowed>>;

    /// Waiting notifications whose moment has come, longest overdue first, a page of them: those
    /// behind one that was next due at a moment and has an id. Never one before which another
    /// one of the same group and channel still waits.
    fn notification_due_after(
        &self,
        now_ms: UnixMillis,
        after: (UnixMillis, i64),
        limit: u32,
    ) -> BoxFuture<'_, PortResult<Vec<DueNotification>>>;
    /// With what it says.
    fn notification_get(&self, id: i64) -> BoxFuture<'_, PortResult<Option<Notification>>>;
    /// When the next waiting notification is due.
    fn notification_next_due(&self) -> BoxFuture<'_, PortResult<Option<UnixMillis>>>;
    /// In one transaction: the attempt's row and what it makes of the notification. The next
    /// attempt's moment counts while the state is waiting. Fine as well if the notification no
    /// longer waits: then it has been recorded before.
    fn notification_attempt(
        &self,
        id: i64,
        attempt: Attempt,
        after: AfterAttempt,
    ) -> BoxFuture<'_, PortResult<()>>;
    /// What the other side calls the message before this one about the same group on the same
    /// channel, if that one was delivered and said that something fires.
    fn notification_reference(&self, id: i64) -> BoxFuture<'_, PortResult<Option<String>>>;
    /// Moments of the channel's attempts since then.
    fn notification_attempts_since(
        &self,
        channel: ChannelId,
        since_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<Vec<UnixMillis>>>;
    /// Puts one message in the place of all that wait on a channel but these, if there are at least
    /// two.
    fn notification_digest(
        &self,
        channel: ChannelId,
        except: Vec<i64>,
        idempotency_key: String,
        now_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<Option<Notification>>>;
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
    /// Those that are there already are left out, by id and moment.
    fn alert_event_append(&self, events: Vec<(AlertEvent, Alert)>)
    -> BoxFuture<'_, PortResult<()>>;
}
