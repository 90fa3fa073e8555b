//! One alert that is not on record, and what its channels were notified of.

use std::collections::BTreeMap;

use super::{KEPT_MS, NOT_YET};
use crate::domain::{Alert, AlertState, ChannelId, NotificationStatus, UnixMillis};

/// How long an alert that the store has, and of which nothing is left to be sent, is kept here.
const IDLE_MS: i64 = 24 * 60 * 60 * 1_000;

#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The alert as it could not be committed last. [`NOT_YET`]: the store has never had it.
    pub(super) alert: Alert,
    /// Status that each channel is to be notified of.
    pub(super) wanted: BTreeMap<ChannelId, NotificationStatus>,
    /// Mute times of the route to a channel.
    pub(super) mute_times: BTreeMap<ChannelId, Vec<String>>,
    /// Status that each channel was notified of last, from memory.
    pub(super) told: BTreeMap<ChannelId, NotificationStatus>,
    /// Status that each channel is being notified of.
    pub(super) sending: BTreeMap<ChannelId, NotificationStatus>,
    /// The end is also for the channels that were notified of the beginning by the store's
    /// messages, which are yet to be read.
    pub(super) is_end_owed: bool,
    /// Whether its end is on record, or never will be.
    pub(super) is_settled: bool,
    /// Why it is not on record.
    pub(super) fault: String,
    pub(super) touched_ms: UnixMillis,
}

impl Entry {
    pub(super) fn new(alert: Alert) -> Self {
        Self {
            // Until it is said how it ended.
            alert: Alert {
                state: AlertState::Firing,
                ..alert
            },
            wanted: BTreeMap::new(),
            mute_times: BTreeMap::new(),
            told: BTreeMap::new(),
            sending: BTreeMap::new(),
            is_end_owed: false,
            is_settled: false,
            fault: String::new(),
            touched_ms: UnixMillis::MIN,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.alert.state == AlertState::Resolved
    }

    fn ended_ms(&self) -> Option<UnixMillis> {
        self.is_over()
            .then(|| self.alert.resolved_ms.unwrap_or(self.alert.updated_ms))
    }

    pub(super) fn waits(&self) -> bool {
        let is_open = |(channel, status): (&ChannelId, &NotificationStatus)| {
            self.told.get(channel) != Some(status) && !self.sending.contains_key(channel)
        };
        self.is_end_owed || self.wanted.iter().any(is_open)
    }

    /// Whether nothing was sent of it, and nothing is to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
            && self.told.is_empty()
            && self.sending.is_empty()
            && !self.is_end_owed
    }

    /// Whether nothing is left to be sent of it, and nothing that happens later needs it.
    pub(super) fn is_done(&self, now_ms: UnixMillis) -> bool {
        let kept_ms = match (self.is_settled, self.alert.id) {
            (true, _) => KEPT_MS,
            (false, NOT_YET) => return false,
            (false, _) => IDLE_MS,
        };
        !self.waits()
            && self.sending.is_empty()
            && now_ms.saturating_sub(self.touched_ms).abs() >= kept_ms
    }

    /// The alert, which the store may have under a number by now, is this one.
    pub(super) fn is_of(&self, alert: &Alert) -> bool {
        let is_within = || {
            let is_after = alert.started_ms >= self.alert.started_ms;
            is_after
                && self
                    .ended_ms()
                    .is_none_or(|ended_ms| alert.started_ms <= ended_ms)
        };
        match (self.alert.id, alert.id) {
            (_, NOT_YET) => self.alert.started_ms == alert.started_ms,
            (NOT_YET, _) => is_within(),
            (own, other) => own == other,
        }
    }

    /// Ends the alert: channels that were notified of the beginning are notified of the end.
    pub(super) fn end(&mut self, alert: Alert) {
        if self.is_over() {
            return;
        }
        self.is_end_owed = alert.id != NOT_YET;
        self.alert = alert;
        self.wanted.clear();
        for channel in self.told.keys().chain(self.sending.keys()) {
            self.wanted
                .insert(channel.clone(), NotificationStatus::Resolved);
        }
    }

    /// The store has the alert like this: what was not sent yet goes the usual way.
    pub(super) fn record(&mut self, alert: &Alert, now_ms: UnixMillis) {
        (self.alert.id, self.touched_ms) = (alert.id, now_ms);
        let status = match alert.state {
            AlertState::Pending => return,
            AlertState::Resolved => NotificationStatus::Resolved,
            _ => NotificationStatus::Firing,
        };
        if alert.state == AlertState::Resolved {
            (self.is_settled, self.is_end_owed) = (true, false);
            // It never fired there, so the store makes no message of its end.
            if alert.fired_ms.is_none() {
                self.end(alert.clone());
                self.is_end_owed = false;
                return;
            }
        }
        let Self {
            wanted,
            told,
            sending,
            ..
        } = self;
        wanted.retain(|channel, wanted| {
            let is_later =
                status == NotificationStatus::Firing && *wanted == NotificationStatus::Resolved;
            is_later || sending.contains_key(channel) || told.get(channel) == Some(&*wanted)
        });
        if alert.state == AlertState::Resolved {
            self.alert = alert.clone();
        }
    }
}
