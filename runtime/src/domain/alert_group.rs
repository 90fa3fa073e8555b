//! [`AlertGroup`]: the alerts that one channel is notified of together, and what it knows of each.
//! What transitions, messages and looks at a group make of it is decided here, for the store, for
//! tests and for backtests.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Alert, AlertId, AlertStep, ChannelId, LabelPairs, NotificationReason, NotificationStatus,
    UnixMillis,
};

/// Durations that a group collects for: before its first message, before the next one when
/// something changed, and before a repeat when nothing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    pub wait: Duration,
    pub interval: Duration,
    pub repeat: Duration,
}

impl Timing {
    /// Timing without collecting and repeats: each transition is a message of its own.
    pub const AT_ONCE: Timing = Timing {
        wait: Duration::ZERO,
        interval: Duration::ZERO,
        repeat: Duration::ZERO,
    };

    pub fn is_at_once(&self) -> bool {
        self.interval.is_zero()
    }
}

/// Alertmanager's defaults.
impl Default for Timing {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(30),
            interval: Duration::from_secs(300),
            repeat: Duration::from_secs(4 * 3_600),
        }
    }
}

/// State of the notification of one channel of one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyState {
    /// A message that it fires is due.
    Pending,
    /// The channel was notified that it fires: a message of its end will be due.
    Notified,
    /// The channel was notified, and something is new: another message that it fires is due.
    Stale,
    /// The message was rejected for good at the first attempt: it was not read that the alert
    /// fires, so its end is not sent.
    Rejected,
    /// The alert ended while it was muted, before any message.
    EndedMuted,
}

impl NotifyState {
    pub const ALL: [NotifyState; 5] = [
        NotifyState::Pending,
        NotifyState::Notified,
        NotifyState::Stale,
        NotifyState::Rejected,
        NotifyState::EndedMuted,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            NotifyState::Pending => "pending",
            NotifyState::Notified => "notified",
            NotifyState::Stale => "stale",
            NotifyState::Rejected => "rejected",
            NotifyState::EndedMuted => "ended_muted",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether a message that the alert fires is due.
    pub fn needs_message(self) -> bool {
        matches!(self, NotifyState::Pending | NotifyState::Stale)
    }

    /// Whether a message of the alert's end will be due.
    pub fn was_notified(self) -> bool {
        matches!(self, NotifyState::Notified | NotifyState::Stale)
    }

    /// Returns the state after a transition of the alert.
    pub fn on_step(self, step: &AlertStep) -> Self {
        match self {
            NotifyState::Notified if step.is_news => NotifyState::Stale,
            NotifyState::Pending if step.ends_muted() => NotifyState::EndedMuted,
            state => state,
        }
    }

    /// Returns the state after a message that the alert fires was rejected before it was read.
    pub fn on_rejected(self) -> Self {
        match self {
            NotifyState::Notified => NotifyState::Rejected,
            state => state,
        }
    }

    /// Returns the state after a rejected message was put back into the outbox.
    pub fn on_resent(self) -> Self {
        match self {
            NotifyState::Rejected => NotifyState::Notified,
            state => state,
        }
    }
}

/// A group of one channel, with its alerts.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertGroup {
    /// Row id; 0 for one that is not stored yet.
    pub id: i64,
    pub key: String,
    pub channel: ChannelId,
    pub labels: LabelPairs,
    pub timing: Timing,
    /// Names of times during which nothing is sent.
    pub mute_times: Vec<String>,
    /// Moment of the next look at it; none: when something happens to one of its alerts.
    pub flush_at_ms: Option<UnixMillis>,
    /// Moment of the decision on its last message.
    pub last_notified_ms: Option<UnixMillis>,
    /// Grows with everything that happens to one of its alerts.
    pub revision: i64,
    /// Members in the order in which they joined. The store leaves out those that a change does not
    /// concern.
    pub members: Vec<GroupMember>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct GroupMember {
    /// The alert as it is now.
    pub alert: Alert,
    /// The alert as it was when it fired.
    pub fired: Alert,
    pub notify_state: NotifyState,
}

/// A group that an alert joins; made if there is none with its key and channel.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupDraft {
    pub key: String,
    pub channel: ChannelId,
    pub labels: LabelPairs,
    pub timing: Timing,
    pub mute_times: Vec<String>,
    /// Moment of the first look. A group that waits for its next one keeps on waiting, unless each
    /// transition is a message of its own.
    pub flush_at_ms: UnixMillis,
}

impl AlertGroup {
    /// Returns a group without alerts.
    pub fn new(draft: GroupDraft) -> Self {
        Self {
            id: 0,
            key: draft.key,
            channel: draft.channel,
            labels: draft.labels,
            timing: draft.timing,
            mute_times: draft.mute_times,
            flush_at_ms: None,
            last_notified_ms: None,
            revision: 0,
            members: Vec::new(),
        }
    }

    /// Returns the group that ends what a step of an escalation begins: its channel is in no group
    /// of the alert.
    pub fn for_escalation(alert: &Alert, channel: &ChannelId, now_ms: UnixMillis) -> Self {
        Self {
            last_notified_ms: Some(now_ms),
            ..Self::new(GroupDraft {
                key: format!("escalation:{}", alert.id.0),
                channel: channel.clone(),
                labels: alert.own_labels(),
                timing: Timing::AT_ONCE,
                mute_times: Vec::new(),
                flush_at_ms: now_ms,
            })
        }
    }

    /// Takes in an alert that fires for this channel, with the routing of now.
    pub fn join(&mut self, draft: GroupDraft, alert: &Alert) {
        self.flush_at_ms = Some(match self.flush_at_ms {
            Some(at_ms) if draft.timing.is_at_once() => at_ms.min(draft.flush_at_ms),
            Some(at_ms) => at_ms,
            None => draft.flush_at_ms,
        });
        (self.labels, self.timing, self.mute_times) =
            (draft.labels, draft.timing, draft.mute_times);
        self.revision += 1;
        if self.member_mut(alert.id).is_none() {
            self.add(alert, NotifyState::Pending);
        }
    }

    /// Takes in a transition of one of its alerts, given as it is now.
    pub fn on_step(&mut self, alert: &Alert, step: &AlertStep) {
        let Some(member) = self.member_mut(alert.id) else {
            return;
        };
        member.alert = alert.clone();
        member.notify_state = member.notify_state.on_step(step);
        self.revision += 1;
        if self.timing.is_at_once() {
            let at_ms = self.flush_at_ms.unwrap_or(step.ts_ms);
            self.flush_at_ms = Some(at_ms.min(step.ts_ms));
        }
    }

    /// Takes in a message of an escalation: the channel will be notified of the end as well.
    pub fn on_escalated(&mut self, alert: &Alert) {
        self.revision += 1;
        match self.member_mut(alert.id) {
            Some(member) => member.notify_state = NotifyState::Notified,
            None => self.add(alert, NotifyState::Notified),
        }
    }

    /// Takes in that a message about these alerts was rejected before it was read.
    pub fn on_rejected(&mut self, message: &[Alert]) {
        self.on_message(message, NotifyState::on_rejected);
    }

    /// Takes in that a rejected message about these alerts was put back.
    pub fn on_resent(&mut self, message: &[Alert]) {
        self.on_message(message, NotifyState::on_resent);
    }

    fn on_message(&mut self, message: &[Alert], change: fn(NotifyState) -> NotifyState) {
        self.revision += 1;
        for member in &mut self.members {
            if message.iter().any(|alert| alert.id == member.alert.id) {
                member.notify_state = change(member.notify_state);
            }
        }
    }

    /// Takes over a decision. False, and nothing changes, if something happened to the group since
    /// that was made.
    pub fn apply_flush(&mut self, flush: &GroupFlush) -> bool {
        if self.revision != flush.revision {
            return false;
        }
        self.revision += 1;
        (self.flush_at_ms, self.last_notified_ms) = (flush.flush_at_ms, flush.last_notified_ms);
        self.members
            .retain(|member| !flush.leave.contains(&member.alert.id));
        for (id, state) in &flush.notify_states {
            if let Some(member) = self.member_mut(*id) {
                member.notify_state = *state;
            }
        }
        true
    }

    fn member_mut(&mut self, id: AlertId) -> Option<&mut GroupMember> {
        self.members.iter_mut().find(|member| member.alert.id == id)
    }

    fn add(&mut self, alert: &Alert, notify_state: NotifyState) {
        self.members.push(GroupMember {
            alert: alert.clone(),
            fired: alert.clone(),
            notify_state,
        });
    }
}

/// One message to one channel, not committed yet.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationDraft {
    pub group_key: String,
    pub group_labels: LabelPairs,
    pub channel: ChannelId,
    pub reason: NotificationReason,
    pub status: NotificationStatus,
    /// Unique for ever; the same for every attempt.
    pub idempotency_key: String,
    /// The alerts as they are sent.
    pub alerts: Vec<Alert>,
    /// Number of alerts of the group that the message has no room for.
    pub omitted: u32,
}

/// Decision on a group. Not taken over if anything happened to the group since it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupFlush {
    pub group: i64,
    pub revision: i64,
    pub notifications: Vec<NotificationDraft>,
    /// Members whose state changes.
    pub notify_states: Vec<(AlertId, NotifyState)>,
    /// Members of which nothing is left to be sent. A group without members ends.
    pub leave: Vec<AlertId>,
    pub flush_at_ms: Option<UnixMillis>,
    pub last_notified_ms: Option<UnixMillis>,
}

impl GroupFlush {
    /// Adds what the channel was notified of in another way, where this decision does not change
    /// it.
    pub fn learn(&mut self, learned: Vec<(AlertId, NotifyState)>) {
        for (alert, state) in learned {
            let is_decided = self.notify_states.iter().any(|(other, _)| *other == alert);
            if !is_decided && !self.leave.contains(&alert) {
                self.notify_states.push((alert, state));
            }
        }
    }
}

#[cfg(test)]
mod tests;
