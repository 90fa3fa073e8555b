//! What could not be committed, and is sent from memory: the control store's disk is full beyond its ballast, or fails. People
//! learn that an alert fires or ended, with a note that it is not on record; when it can be committed after all, they are not
//! told of it again. All of it is lost with the process.

mod sender;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::{
    Alert, AlertGroup, AlertId, AlertRule, AlertState, Catalog, ChannelId, GroupFlush, NotificationStatus, Told,
    UnixMillis,
};

use super::destinations::groups_of;
use super::lifecycle::{Change, alert_of};
pub use sender::UnrecordedSender;

/// Rules with something that is not on record, about two kilobytes each; more alerts at once nobody reads.
const MOST_RULES: usize = 10_000;

/// How long it is known of an alert that ended what was sent of it: until its groups were looked at for the last time.
const KEPT_MS: i64 = 10 * 60 * 1_000;

/// The store gives an alert its number.
const NOT_YET: AlertId = AlertId(0);

/// By the key of the rule, which has one open alert at most.
#[derive(Debug, Clone, Default)]
pub struct Unrecorded {
    entries: Arc<Mutex<BTreeMap<String, Entry>>>,
    offered: Arc<Notify>,
}

#[derive(Debug, Clone)]
struct Entry {
    /// As it could not be committed last. [`NOT_YET`]: the store has never had it.
    alert: Alert,
    /// Since when a breach lasts that is not long enough yet to fire.
    pending_since_ms: Option<UnixMillis>,
    /// What each channel is to be told.
    wanted: BTreeMap<ChannelId, NotificationStatus>,
    /// Mute times of the route to a channel.
    mute_times: BTreeMap<ChannelId, Vec<String>>,
    /// What each channel was told last, from memory.
    told: BTreeMap<ChannelId, NotificationStatus>,
    sending: BTreeSet<ChannelId>,
    /// Why it is not on record.
    fault: String,
    /// As of when the breach is over: one that begins later is another alert.
    ended_ms: Option<UnixMillis>,
    touched_ms: UnixMillis,
}

impl Unrecorded {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn offered(&self) {
        self.offered.notified().await;
    }

    /// Takes a change whose commit failed. The same change may be offered again: each channel is told once.
    pub(super) fn offer(
        &self,
        rule: Option<&AlertRule>,
        change: &Change,
        catalog: &Catalog,
        fault: &str,
        now_ms: UnixMillis,
    ) {
        let Some(rule) = rule.filter(|_| change.notify.is_some() || change.alert.state == AlertState::Pending) else {
            return;
        };
        let mut alert = alert_of(&change.alert, change.alert.id.unwrap_or(NOT_YET));
        let mut entries = self.lock();
        let Some(entry) = entry_of(&mut entries, &alert, fault, now_ms) else { return };
        let status = match change.notify {
            Some(status) => status,
            None => {
                // The store can't keep since when it is pending, so it never gets beyond that there.
                let since_ms = *entry.pending_since_ms.get_or_insert(alert.started_ms);
                if now_ms.saturating_sub(since_ms) < rule.duration.as_millis() as i64 {
                    return;
                }
                (alert.state, alert.started_ms, alert.fired_ms) = (AlertState::Firing, since_ms, Some(now_ms));
                NotificationStatus::Firing
            }
        };
        for group in groups_of(rule, &alert, catalog, now_ms) {
            entry.mute_times.insert(group.channel.clone(), group.mute_times);
            entry.want(group.channel, status, alert.id);
        }
        entry.alert = alert;
        self.offered.notify_one();
    }

    /// Takes messages that were decided on and could not be committed.
    pub(super) fn offer_flushes(&self, flushes: &[GroupFlush], fault: &str, now_ms: UnixMillis) {
        let mut entries = self.lock();
        for draft in flushes.iter().flat_map(|flush| &flush.notifications) {
            for alert in &draft.alerts {
                let Some(entry) = entry_of(&mut entries, alert, fault, now_ms) else { continue };
                let status = match alert.state {
                    AlertState::Resolved => NotificationStatus::Resolved,
                    _ => NotificationStatus::Firing,
                };
                entry.want(draft.channel.clone(), status, alert.id);
                entry.alert = alert.clone();
            }
        }
        self.offered.notify_one();
    }

    /// These messages are on record, and go the usual way unless they are on their way already.
    pub(super) fn flushed(&self, flushes: &[GroupFlush]) {
        let mut entries = self.lock();
        for draft in flushes.iter().flat_map(|flush| &flush.notifications) {
            for alert in &draft.alerts {
                if let Some(entry) = entries.get_mut(&alert.rule).filter(|entry| entry.alert.id == alert.id)
                    && !entry.sending.contains(&draft.channel)
                {
                    entry.wanted.remove(&draft.channel);
                }
            }
        }
    }

    /// The rule is satisfied as of this moment: of a breach that was never committed, whoever was told is told of the end.
    pub(super) fn satisfied(&self, rule: &str, now_ms: UnixMillis) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(rule).filter(|entry| entry.alert.id == NOT_YET && !entry.is_over()) else {
            return;
        };
        (entry.ended_ms, entry.touched_ms) = (Some(now_ms), now_ms);
        (entry.alert.state, entry.alert.resolved_ms) = (AlertState::Resolved, Some(now_ms));
        for channel in std::mem::take(&mut entry.wanted).into_keys() {
            entry.want(channel, NotificationStatus::Resolved, NOT_YET);
        }
        self.offered.notify_one();
    }

    /// The store has it now: what was not sent yet goes the usual way.
    pub(super) fn recorded(&self, alert: &Alert, now_ms: UnixMillis) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(&alert.rule).filter(|entry| entry.is_of(alert)) else { return };
        let status = match alert.state {
            AlertState::Pending => return,
            AlertState::Resolved => NotificationStatus::Resolved,
            _ => NotificationStatus::Firing,
        };
        (entry.alert.id, entry.touched_ms, entry.pending_since_ms) = (alert.id, now_ms, None);
        if alert.state == AlertState::Resolved {
            entry.ended_ms.get_or_insert(alert.updated_ms);
        }
        let Entry { wanted, told, sending, .. } = entry;
        wanted.retain(|channel, wanted| {
            *wanted != status || sending.contains(channel) || told.get(channel) == Some(&*wanted)
        });
        if wanted.is_empty() && told.is_empty() {
            entries.remove(&alert.rule);
        }
    }

    /// Sets what the group's channel was told from memory, and returns what of it the store has yet to know.
    pub(super) fn take_over(&self, group: &mut AlertGroup) -> Vec<(AlertId, Told)> {
        let entries = self.lock();
        let mut learned = Vec::new();
        for member in &mut group.members {
            let alert = &member.alert;
            let Some(entry) = entries.get(&alert.rule).filter(|entry| entry.alert.id == alert.id) else { continue };
            let told = match entry.sending.contains(&group.channel) {
                true => entry.wanted.get(&group.channel),
                false => entry.told.get(&group.channel),
            };
            match told {
                None => {}
                // Nothing is owed to the channel, and it need not be told of the end.
                Some(NotificationStatus::Resolved) if alert.state == AlertState::Resolved => {
                    member.told = Told::Refused;
                }
                Some(_) if member.told == Told::Nothing => {
                    member.told = Told::Firing;
                    if alert.state != AlertState::Resolved {
                        learned.push((alert.id, Told::Firing));
                    }
                }
                Some(_) => {}
            }
        }
        learned
    }
}

impl Entry {
    fn is_over(&self) -> bool {
        self.ended_ms.is_some()
    }

    /// The alert is this one, which the store may have got when it was over already.
    fn is_of(&self, alert: &Alert) -> bool {
        match self.alert.id {
            NOT_YET => self.ended_ms.is_none_or(|ended_ms| alert.started_ms <= ended_ms),
            id => id == alert.id || !self.is_over(),
        }
    }

    /// An end is for those who know of the beginning: from memory, or because the store has it.
    fn want(&mut self, channel: ChannelId, status: NotificationStatus, alert: AlertId) {
        let knows = alert != NOT_YET || self.told.contains_key(&channel) || self.sending.contains(&channel);
        if status == NotificationStatus::Firing || knows {
            self.wanted.insert(channel, status);
        }
    }
}

/// The entry of the alert's rule, a new one if the breach before is over. None: it is about that one, or there are too many.
fn entry_of<'a>(
    entries: &'a mut BTreeMap<String, Entry>,
    alert: &Alert,
    fault: &str,
    now_ms: UnixMillis,
) -> Option<&'a mut Entry> {
    // What is decided on later may be an older breach, whose commit is tried again.
    if entries.get(&alert.rule).is_some_and(|entry| alert.started_ms < entry.alert.started_ms) {
        return None;
    }
    let is_open = alert.state != AlertState::Resolved;
    if let Some(ended_ms) = entries.get(&alert.rule).and_then(|entry| entry.ended_ms).filter(|_| is_open) {
        // What is tried again may be the commit of a breach that is over.
        if alert.started_ms <= ended_ms {
            return None;
        }
        entries.remove(&alert.rule);
    }
    if entries.len() >= MOST_RULES && !entries.contains_key(&alert.rule) {
        entries.retain(|_, entry| !entry.is_over());
        if entries.len() >= MOST_RULES {
            metrics::counter!("extrack_alerts_unrecorded_dropped_total").increment(1);
            return None;
        }
    }
    let entry = entries.entry(alert.rule.clone()).or_insert_with(|| Entry {
        alert: alert.clone(),
        pending_since_ms: None,
        wanted: BTreeMap::new(),
        mute_times: BTreeMap::new(),
        told: BTreeMap::new(),
        sending: BTreeSet::new(),
        fault: String::new(),
        ended_ms: None,
        touched_ms: now_ms,
    });
    (entry.fault, entry.touched_ms) = (fault.to_owned(), now_ms);
    Some(entry)
}
