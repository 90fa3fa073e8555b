//! Alerts that could not be committed, and are sent from memory: the control store's disk is full
//! beyond its ballast, or fails. People are notified that an alert fires or ended, with a note that
//! it is not on record, of each outage once; when it can be committed after all, they are not
//! notified of it again. All of it is lost with the process.

mod entry;
mod sender;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::{
    Alert, AlertGroup, AlertId, AlertRule, AlertState, Catalog, GroupFlush, NotificationStatus,
    NotifyState, UnixMillis,
};

use super::destinations::{groups_of, with_labels};
use super::lifecycle::{Change, alert_of};
use entry::Entry;
pub use sender::UnrecordedSender;

/// Alerts with something that is not on record, about two kilobytes each; more at once are of no
/// use to a reader.
const MOST_ENTRIES: usize = 10_000;

/// Alerts of one rule, one after the other: as many as its verdicts that wait for the store can
/// have led to.
const MOST_OF_RULE: usize = 16;

/// How long it is known of an alert what was sent of it, once its end is on record: until its
/// groups were looked at for the last time.
const KEPT_MS: i64 = 10 * 60 * 1_000;

/// The store gives an alert its number.
const NOT_YET: AlertId = AlertId(0);

/// An alert that may not have a number: the key of its rule, and when it began.
type Key = (String, UnixMillis);
type Entries = BTreeMap<Key, Entry>;

#[derive(Debug, Clone, Default)]
pub struct Unrecorded {
    entries: Arc<Mutex<Entries>>,
    offered: Arc<Notify>,
}

impl Unrecorded {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn offered(&self) {
        self.offered.notified().await;
    }

    /// Takes a change whose commit failed. The same change may be offered again: each channel is
    /// notified once. `rule` is none where it was removed.
    pub(super) fn offer(
        &self,
        rule: Option<&AlertRule>,
        change: &Change,
        catalog: &Catalog,
        fault: &str,
        now_ms: UnixMillis,
    ) {
        let Some(status) = change.notify else { return };
        let draft = with_labels(change.alert.clone(), catalog);
        let alert = alert_of(&draft, draft.id.unwrap_or(NOT_YET));
        let mut entries = self.lock();
        let Some(entry) = entry_of(&mut entries, &alert, fault, now_ms) else {
            return;
        };
        if status == NotificationStatus::Resolved {
            entry.end(alert);
        } else {
            for group in rule.map_or_else(Vec::new, |rule| groups_of(rule, &alert, catalog, now_ms))
            {
                entry
                    .mute_times
                    .insert(group.channel.clone(), group.mute_times);
                entry
                    .wanted
                    .insert(group.channel, NotificationStatus::Firing);
            }
            entry.alert = alert;
        }
        self.offered.notify_one();
    }

    /// Takes messages that were decided on and could not be committed.
    pub(super) fn offer_flushes(&self, flushes: &[GroupFlush], fault: &str, now_ms: UnixMillis) {
        let mut entries = self.lock();
        for draft in flushes.iter().flat_map(|flush| &flush.notifications) {
            for alert in &draft.alerts {
                let Some(entry) = entry_of(&mut entries, alert, fault, now_ms) else {
                    continue;
                };
                let status = match alert.state {
                    AlertState::Resolved => NotificationStatus::Resolved,
                    _ => NotificationStatus::Firing,
                };
                entry.wanted.insert(draft.channel.clone(), status);
                entry.alert = alert.clone();
            }
        }
        self.offered.notify_one();
    }

    /// Takes messages that are on record: they go the usual way unless they are on their way
    /// already.
    pub(super) fn flushed(&self, flushes: &[GroupFlush]) {
        let mut entries = self.lock();
        for draft in flushes.iter().flat_map(|flush| &flush.notifications) {
            for alert in &draft.alerts {
                if let Some(entry) =
                    of_rule(&mut entries, &alert.rule).find(|entry| entry.alert.id == alert.id)
                    && !entry.sending.contains_key(&draft.channel)
                {
                    entry.wanted.remove(&draft.channel);
                }
            }
        }
    }

    /// The store has it now: what was not sent yet goes the usual way.
    pub(super) fn recorded(&self, alert: &Alert, now_ms: UnixMillis) {
        let mut entries = self.lock();
        let Some(key) = key_of(&entries, alert) else {
            return;
        };
        let Some(entry) = entries.get_mut(&key) else {
            return;
        };
        entry.record(alert, now_ms);
        if entry.is_empty() {
            entries.remove(&key);
        }
        self.offered.notify_one();
    }

    /// Takes that the alerts of a rule are on record, and which one is open.
    /// Channels that were notified of another one, which the store has never had, get its end.
    pub(super) fn settled(&self, rule: &str, open: Option<&Alert>, now_ms: UnixMillis) {
        let mut entries = self.lock();
        for entry in of_rule(&mut entries, rule) {
            if entry.alert.id == NOT_YET
                && !entry.is_over()
                && !open.is_some_and(|open| entry.is_of(open))
            {
                let alert = entry.alert.clone();
                entry.end(Alert {
                    state: AlertState::Resolved,
                    resolved_ms: Some(now_ms),
                    ..alert
                });
            }
            if entry.is_over() && !entry.is_settled {
                (entry.is_settled, entry.touched_ms) = (true, now_ms);
            }
        }
        self.offered.notify_one();
    }

    /// Sets what the group's channel was notified of from memory, and returns what of it the store
    /// has yet to know.
    pub(super) fn take_over(&self, group: &mut AlertGroup) -> Vec<(AlertId, NotifyState)> {
        let mut entries = self.lock();
        let mut learned = Vec::new();
        for member in &mut group.members {
            let alert = &member.alert;
            let Some(entry) =
                of_rule(&mut entries, &alert.rule).find(|entry| entry.alert.id == alert.id)
            else {
                continue;
            };
            match entry
                .sending
                .get(&group.channel)
                .or_else(|| entry.told.get(&group.channel))
            {
                None => {}
                // Nothing is owed to the channel, and it need not be notified of the end.
                Some(NotificationStatus::Resolved) if alert.state == AlertState::Resolved => {
                    member.notify_state = NotifyState::Rejected;
                }
                Some(_) if member.notify_state == NotifyState::Pending => {
                    member.notify_state = NotifyState::Notified;
                    if alert.state != AlertState::Resolved {
                        learned.push((alert.id, NotifyState::Notified));
                    }
                }
                Some(_) => {}
            }
        }
        learned
    }
}

/// Entries of one rule, the oldest first.
fn of_rule<'a>(entries: &'a mut Entries, rule: &str) -> impl Iterator<Item = &'a mut Entry> {
    entries
        .range_mut((rule.to_owned(), UnixMillis::MIN)..=(rule.to_owned(), UnixMillis::MAX))
        .map(|(_, entry)| entry)
}

/// The alert's own entry: by its number, else by its beginning.
fn key_of(entries: &Entries, alert: &Alert) -> Option<Key> {
    let of_rule = || {
        entries.range((alert.rule.clone(), UnixMillis::MIN)..=(alert.rule.clone(), UnixMillis::MAX))
    };
    let by_number = of_rule().find(|(_, entry)| entry.alert.id == alert.id && alert.id != NOT_YET);
    let by_beginning = || of_rule().rev().find(|(_, entry)| entry.is_of(alert));
    by_number.or_else(by_beginning).map(|(key, _)| key.clone())
}

/// The alert's entry, a new one if there is none. None: there are too many, or what is decided on
/// is out of date, because the alert is known to be over, or a later one of its rule to have begun.
fn entry_of<'a>(
    entries: &'a mut Entries,
    alert: &Alert,
    fault: &str,
    now_ms: UnixMillis,
) -> Option<&'a mut Entry> {
    let is_open = alert.state != AlertState::Resolved;
    let key = match key_of(entries, alert) {
        Some(key) if is_open && entries[&key].is_over() => return None,
        Some(key) => key,
        None => {
            let rule = of_rule(entries, &alert.rule);
            let (count, last_ms) = rule.fold((0, None), |(count, _), entry| {
                (count + 1, Some(entry.alert.started_ms))
            });
            if is_open && last_ms > Some(alert.started_ms) {
                return None;
            }
            if count >= MOST_OF_RULE {
                let oldest = entries
                    .range((alert.rule.clone(), UnixMillis::MIN)..)
                    .next()
                    .map(|(key, _)| key.clone());
                oldest.map(|key| entries.remove(&key));
            } else if entries.len() >= MOST_ENTRIES {
                entries.retain(|_, entry| !entry.is_over());
            }
            if entries.len() >= MOST_ENTRIES {
                metrics::counter!("extrack_alerts_unrecorded_dropped_total").increment(1);
                return None;
            }
            (alert.rule.clone(), alert.started_ms)
        }
    };
    let entry = entries
        .entry(key)
        .or_insert_with(|| Entry::new(alert.clone()));
    (entry.fault, entry.touched_ms) = (fault.to_owned(), now_ms);
    Some(entry)
}
