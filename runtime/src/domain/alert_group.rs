//! Which alerts a channel is told of together, when, and what it knows of each.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Alert, AlertId, AlertState, ChannelId, NotificationReason, NotificationStatus, UnixMillis,
};

/// Names with their values, in the order in which they are shown.
pub type LabelPairs = Vec<(String, String)>;

/// How long a group collects before its first message, before the next one when something changed,
/// and when nothing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    pub wait: Duration,
    pub interval: Duration,
    pub repeat: Duration,
}

impl Timing {
    /// Nothing is collected and nothing repeated: each transition is told by itself.
    pub const AT_ONCE: Timing = Timing {
        wait: Duration::ZERO,
        interval: Duration::ZERO,
        repeat: Duration::ZERO,
    };

    pub fn is_at_once(&self) -> bool {
        self.interval.is_zero()
    }
}

/// Alertmanager's.
impl Default for Timing {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(30),
            interval: Duration::from_secs(300),
            repeat: Duration::from_secs(4 * 3_600),
        }
    }
}

/// What a channel knows of one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Told {
    /// It has yet to be told.
    Nothing,
    /// That it fires: it will be told of the end.
    Firing,
    /// That it fires, and it has to be told once more.
    Again,
    /// A message was made and refused for good at once: nobody read that it fires, so nobody is
    /// told that it ended.
    Refused,
    /// It ended while it was muted, before anybody was told.
    Held,
}

impl Told {
    pub const ALL: [Told; 5] = [
        Told::Nothing,
        Told::Firing,
        Told::Again,
        Told::Refused,
        Told::Held,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Told::Nothing => "nothing",
            Told::Firing => "firing",
            Told::Again => "again",
            Told::Refused => "refused",
            Told::Held => "held",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|told| told.as_str() == text)
    }

    /// Whether a firing alert is news to the channel.
    pub fn is_owed(self) -> bool {
        matches!(self, Told::Nothing | Told::Again)
    }

    /// Whether the channel has to be told of the end.
    pub fn knows(self) -> bool {
        matches!(self, Told::Firing | Told::Again)
    }
}

/// A group of one channel, with its alerts.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertGroup {
    pub id: i64,
    pub key: String,
    pub channel: ChannelId,
    pub labels: LabelPairs,
    pub timing: Timing,
    /// Names of times during which nobody is told anything.
    pub mute_times: Vec<String>,
    /// When it is looked at next; none: when something happens to one of its alerts.
    pub flush_at_ms: Option<UnixMillis>,
    /// When its last message was decided on.
    pub told_ms: Option<UnixMillis>,
    /// Grows with everything that happens to one of its alerts.
    pub revision: i64,
    /// In the order in which they came.
    pub members: Vec<GroupMember>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct GroupMember {
    /// As it is now.
    pub alert: Alert,
    /// As it was when it fired.
    pub fired: Alert,
    pub told: Told,
}

/// A group that an alert belongs to from now on; made if it is not there.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupDraft {
    pub key: String,
    pub channel: ChannelId,
    pub labels: LabelPairs,
    pub timing: Timing,
    pub mute_times: Vec<String>,
    /// When the group is looked at first. One that waits for its next moment already goes on
    /// waiting, unless it tells each transition by itself.
    pub flush_at_ms: UnixMillis,
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
    /// As they are sent.
    pub alerts: Vec<Alert>,
    /// Alerts of the group that the message has no room for.
    pub omitted: u32,
}

/// What comes of a look at a group. Not taken over if anything happened to the group since it was
/// read.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupFlush {
    pub group: i64,
    pub revision: i64,
    pub notifications: Vec<NotificationDraft>,
    /// Members of which the channel knows something else from now on.
    pub told: Vec<(AlertId, Told)>,
    /// Members of which nothing is left to be told. A group without members ends.
    pub leave: Vec<AlertId>,
    pub flush_at_ms: Option<UnixMillis>,
    pub told_ms: Option<UnixMillis>,
}

impl GroupFlush {
    /// Adds what the channel was told in another way, where this look did not change it.
    pub fn learn(&mut self, learned: Vec<(AlertId, Told)>) {
        for (alert, told) in learned {
            if !self.told.iter().any(|(other, _)| *other == alert) && !self.leave.contains(&alert) {
                self.told.push((alert, told));
            }
        }
    }
}

/// An alert falls silent, is heard again, or is muted by something else than before.
#[derive(Debug, Clone, PartialEq)]
pub struct MuteChange {
    pub alert: AlertId,
    /// The state that it must still be in.
    pub from: AlertState,
    /// None: it is heard again.
    pub suppressed_by: Option<String>,
    pub actor: String,
    pub reason: String,
    pub ts_ms: UnixMillis,
}

impl MuteChange {
    pub fn to(&self) -> AlertState {
        if self.suppressed_by.is_some() {
            AlertState::Suppressed
        } else {
            AlertState::Firing
        }
    }
}
