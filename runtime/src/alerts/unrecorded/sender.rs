//! Sends what is not on record: one message at a time to each channel, with all that it has to be
//! notified of by then. Silences, windows and mute times hold as far as the store can be read;
//! templates and groups' waits do not.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Entries, Entry, Key, Unrecorded, of_rule};
use crate::alerts::clock::Clock;
use crate::alerts::destinations::{groups_of, labelled};
use crate::alerts::dispatch::{ActiveMutes, mutes_of};
use crate::alerts::ports::{Notifier, PortError};
use crate::domain::{
    Alert, Catalog, ChannelId, DeliveryError, Firing, Message, MessageTexts, Mutes,
    NotificationReason, NotificationStatus, UnixMillis,
};
use crate::store::ControlStore;

/// Wait after something was offered: what fails together is sent together.
const COLLECT: Duration = Duration::from_millis(500);
/// Interval of the looks while something waits.
const RETRY: Duration = Duration::from_secs(1);
/// Wait before a channel that failed is tried again; doubles up to the longest.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// Deadline of one attempt; the plugin host has a shorter one.
const DEADLINE: Duration = Duration::from_secs(35);
/// Messages under way, each to a channel of its own.
const AT_ONCE: usize = 16;
/// Alerts in one message; no channel shows as many.
const MOST_ALERTS: usize = 100;

pub struct UnrecordedSender {
    store: ControlStore,
    notifier: Arc<dyn Notifier>,
    clock: Arc<dyn Clock>,
    unrecorded: Unrecorded,
    /// Where people find this server; empty if nowhere.
    public_url: String,
    sends: JoinSet<bool>,
    under_way: HashMap<Id, Batch>,
    /// Channels that failed: when to try again, and how long to wait after the next failure.
    paused: HashMap<ChannelId, (Instant, Duration)>,
}

/// Content of one message.
#[derive(Debug, Clone)]
struct Batch {
    channel: ChannelId,
    status: NotificationStatus,
    alerts: Vec<(Key, Alert)>,
    omitted: usize,
    fault: String,
}

impl UnrecordedSender {
    pub fn new(
        store: ControlStore,
        notifier: Arc<dyn Notifier>,
        clock: Arc<dyn Clock>,
        unrecorded: Unrecorded,
        public_url: String,
    ) -> Self {
        let (sends, under_way, paused) = (JoinSet::new(), HashMap::new(), HashMap::new());
        Self {
            store,
            notifier,
            clock,
            unrecorded,
            public_url,
            sends,
            under_way,
            paused,
        }
    }

    /// Runs until the shutdown, then gives what is under way its time.
    pub async fn run(
        mut self,
        catalog: watch::Receiver<Arc<Catalog>>,
        shutdown: CancellationToken,
    ) {
        let mut wait = None;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = self.sends.join_next_with_id() => self.end(ended),
                () = self.unrecorded.offered() => tokio::time::sleep(COLLECT).await,
                () = sleep(wait), if wait.is_some() => {}
            }
            let current = catalog.borrow().clone();
            wait = self.start(&current).await.then_some(RETRY);
        }
        while let Some(ended) = self.sends.join_next_with_id().await {
            self.end(ended);
        }
    }

    /// Starts what can be started. True: something is left to be sent.
    async fn start(&mut self, catalog: &Arc<Catalog>) -> bool {
        let now_ms = self.clock.now_ms();
        self.read_told(catalog, now_ms).await;
        let waiting = self.waiting(now_ms);
        if waiting.is_empty() {
            return false;
        }
        let quiet = ReadMutes::read(&self.store, catalog, &self.firing(), now_ms).await;
        let now = Instant::now();
        for batch in batches(&waiting, &quiet, catalog, now_ms) {
            let is_paused = self
                .paused
                .get(&batch.channel)
                .is_some_and(|(until, _)| *until > now);
            let is_busy = self
                .under_way
                .values()
                .any(|other| other.channel == batch.channel);
            if !is_paused && !is_busy && self.under_way.len() < AT_ONCE {
                self.send(batch, catalog);
            }
        }
        true
    }

    /// An alert that the store has ended: its end is for the channels that the store's messages
    /// notified of it.
    async fn read_told(&self, catalog: &Catalog, now_ms: UnixMillis) {
        let owed: Vec<(Key, Alert)> = {
            let entries = self.unrecorded.lock();
            let owed = entries.iter().filter(|(_, entry)| entry.is_end_owed);
            owed.map(|(key, entry)| (key.clone(), entry.alert.clone()))
                .collect()
        };
        for (key, alert) in owed {
            let told = match self
                .store
                .alert_channels_notified(alert.id)
                .await
                .map_err(PortError::from)
            {
                Ok(channels) => channels,
                Err(error) => {
                    tracing::error!(%error, "who was notified of an alert can't be read, all of its channels are notified of its end");
                    let rules = catalog.rules.get(&alert.service).into_iter().flatten();
                    let rule = rules.into_iter().find(|rule| rule.key == alert.rule);
                    let groups =
                        rule.map_or_else(Vec::new, |rule| groups_of(rule, &alert, catalog, now_ms));
                    groups.into_iter().map(|group| group.channel).collect()
                }
            };
            let mut entries = self.unrecorded.lock();
            if let Some(entry) = entries.get_mut(&key).filter(|entry| entry.is_end_owed) {
                entry.is_end_owed = false;
                entry.wanted.extend(
                    told.into_iter()
                        .map(|channel| (channel, NotificationStatus::Resolved)),
                );
            }
        }
    }

    /// Entries with a channel that was not notified yet; forgets those that are done with.
    fn waiting(&self, now_ms: UnixMillis) -> Vec<(Key, Entry)> {
        let mut entries = self.unrecorded.lock();
        drop_overtaken_ends(&mut entries);
        entries.retain(|_, entry| !entry.is_done(now_ms));
        entries
            .iter()
            .filter(|(_, entry)| entry.waits())
            .map(|(key, entry)| (key.clone(), entry.clone()))
            .collect()
    }

    /// Alerts that fire as far as is known here, whether their channels were notified or not: they
    /// inhibit others.
    fn firing(&self) -> Vec<Alert> {
        let entries = self.unrecorded.lock();
        let firing = entries
            .values()
            .filter(|entry| !entry.is_over() && entry.alert.fired_ms.is_some());
        firing.map(|entry| entry.alert.clone()).collect()
    }

    fn send(&mut self, batch: Batch, catalog: &Arc<Catalog>) {
        let Some(channel) = catalog.channels.get(&batch.channel).cloned() else {
            tracing::error!(
                channel = batch.channel.0,
                "a channel left the configuration, it is not notified from memory"
            );
            self.settle(&batch);
            return;
        };
        {
            let mut entries = self.unrecorded.lock();
            for (key, _) in &batch.alerts {
                if let Some(entry) = entries.get_mut(key) {
                    entry.sending.insert(batch.channel.clone(), batch.status);
                }
            }
        }
        let message = self.message(&batch, &channel.name, catalog);
        let notifier = Arc::clone(&self.notifier);
        let id = self
            .sends
            .spawn(async move {
                let sending = AssertUnwindSafe(notifier.notify(&channel, &message)).catch_unwind();
                let (channel, alerts) = (channel.name.as_str(), message.alerts.len());
                match tokio::time::timeout(DEADLINE, sending).await {
                    Ok(Ok(Ok(_))) => {
                        metrics::counter!("extrack_alerts_unrecorded_sent_total").increment(1);
                        tracing::warn!(channel, alerts, "alerts that could not be recorded were sent from memory");
                        true
                    }
                    Ok(Ok(Err(DeliveryError::Permanent(error)))) => {
                        tracing::error!(
                            channel,
                            alerts,
                            error,
                            "alerts that could not be recorded were refused by their channel"
                        );
                        true
                    }
                    Ok(Ok(Err(DeliveryError::Retryable { message: error, .. }))) => {
                        tracing::warn!(
                            channel,
                            alerts,
                            error,
                            "alerts that could not be recorded were not delivered, it is tried again"
                        );
                        false
                    }
                    Ok(Err(_)) | Err(_) => {
                        tracing::warn!(
                            channel,
                            alerts,
                            "a notifier panicked or gave no answer in time, it is tried again"
                        );
                        false
                    }
                }
            })
            .id();
        self.under_way.insert(id, batch);
    }

    fn message(&self, batch: &Batch, receiver: &str, catalog: &Catalog) -> Message {
        let named = |alert: &Alert| {
            let service = catalog.services.get(&alert.service);
            let summary = format!(
                "{} (sent from memory, it could not be recorded: {})",
                alert.summary, batch.fault
            );
            let name =
                service.map_or_else(|| alert.service.clone(), |service| service.name.clone());
            (
                Alert {
                    summary,
                    ..alert.clone()
                },
                name,
            )
        };
        let group_labels = match batch.alerts.as_slice() {
            [(_, alert)] => alert.own_labels(),
            _ => Vec::new(),
        };
        Message {
            id: key_of(batch),
            reason: NotificationReason::Transition,
            status: batch.status,
            group_key: match batch.alerts.as_slice() {
                [(_, alert)] => format!("{}:{}", alert.name, alert.service),
                _ => "unrecorded".to_owned(),
            },
            group_labels,
            receiver: receiver.to_owned(),
            external_url: self.public_url.clone(),
            alerts: batch.alerts.iter().map(|(_, alert)| named(alert)).collect(),
            omitted: u32::try_from(batch.omitted).unwrap_or(u32::MAX),
            attempt: 1,
            texts: MessageTexts::default(),
            files: Arc::default(),
            reference: None,
        }
    }

    fn end(&mut self, ended: Result<(Id, bool), tokio::task::JoinError>) {
        let (id, is_done) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), false),
        };
        let Some(batch) = self.under_way.remove(&id) else {
            return;
        };
        if is_done {
            self.paused.remove(&batch.channel);
            return self.settle(&batch);
        }
        let wait = self
            .paused
            .get(&batch.channel)
            .map_or(FIRST_RETRY, |(_, wait)| *wait);
        let next = (wait * 2).min(LONGEST_RETRY);
        self.paused
            .insert(batch.channel.clone(), (Instant::now() + wait, next));
        let mut entries = self.unrecorded.lock();
        for (key, _) in &batch.alerts {
            if let Some(entry) = entries.get_mut(key) {
                entry.sending.remove(&batch.channel);
            }
        }
    }

    fn settle(&self, batch: &Batch) {
        let mut entries = self.unrecorded.lock();
        for (key, _) in &batch.alerts {
            if let Some(entry) = entries.get_mut(key) {
                entry.sending.remove(&batch.channel);
                entry.told.insert(batch.channel.clone(), batch.status);
            }
        }
    }
}

/// Mutes, as far as they can be read.
struct ReadMutes {
    mutes: Mutes,
    firing: Vec<Firing>,
}

impl ReadMutes {
    async fn read(
        store: &ControlStore,
        catalog: &Catalog,
        unrecorded: &[Alert],
        now_ms: UnixMillis,
    ) -> Self {
        let read = async {
            Ok::<_, PortError>((
                ActiveMutes::read(store, now_ms).await?,
                store.alert_open_list().await?,
            ))
        };
        let (quiet, open) = read.await.unwrap_or_else(|error| {
            tracing::error!(%error, "what is muted can't be read, alerts are sent from memory all the same");
            Default::default()
        });
        let silences = quiet
            .silences
            .iter()
            .map(|stored| stored.silence.clone())
            .collect();
        let mutes = mutes_of(catalog, silences, quiet.maintenance);
        let alerts = open
            .iter()
            .filter(|alert| alert.fired_ms.is_some())
            .chain(unrecorded);
        Self {
            mutes,
            firing: alerts.map(|alert| labelled(alert, catalog)).collect(),
        }
    }

    fn mutes(
        &self,
        entry: &Entry,
        channel: &ChannelId,
        catalog: &Catalog,
        now_ms: UnixMillis,
    ) -> bool {
        let times = entry.mute_times.get(channel).into_iter().flatten();
        let mut times = times.filter_map(|name| catalog.mute_times.get(name));
        times.any(|time| time.open_at(now_ms).is_some())
            || self
                .mutes
                .find(&labelled(&entry.alert, catalog), &self.firing, now_ms)
                .is_some()
    }
}

/// A channel that was notified of a later alert of the same rule is not notified of the end of the
/// one before: it would be taken for the end of both.
fn drop_overtaken_ends(entries: &mut Entries) {
    let ended: Vec<(Key, ChannelId)> = entries
        .iter()
        .flat_map(|(key, entry)| {
            entry
                .wanted
                .iter()
                .map(move |(channel, status)| (key, channel, *status))
        })
        .filter(|(_, _, status)| *status == NotificationStatus::Resolved)
        .map(|(key, channel, _)| (key.clone(), channel.clone()))
        .collect();
    for (key, channel) in ended {
        let began_ms = key.1;
        let is_overtaken = of_rule(entries, &key.0).any(|other| {
            other.alert.started_ms > began_ms
                && (other.told.contains_key(&channel) || other.sending.contains_key(&channel))
        });
        if let Some(entry) = entries.get_mut(&key).filter(|_| is_overtaken) {
            entry.told.insert(channel, NotificationStatus::Resolved);
        }
    }
}

/// Returns the messages of now: for each channel an end before anything new.
fn batches(
    waiting: &[(Key, Entry)],
    quiet: &ReadMutes,
    catalog: &Catalog,
    now_ms: UnixMillis,
) -> Vec<Batch> {
    let mut batches: BTreeMap<(ChannelId, bool), Batch> = BTreeMap::new();
    for (key, entry) in waiting {
        for (channel, status) in &entry.wanted {
            let is_done =
                entry.told.get(channel) == Some(status) || entry.sending.contains_key(channel);
            let is_firing = *status == NotificationStatus::Firing;
            if is_done || is_firing && quiet.mutes(entry, channel, catalog, now_ms) {
                continue;
            }
            let batch = batches
                .entry((channel.clone(), is_firing))
                .or_insert_with(|| Batch {
                    channel: channel.clone(),
                    status: *status,
                    alerts: Vec::new(),
                    omitted: 0,
                    fault: entry.fault.clone(),
                });
            if batch.alerts.len() < MOST_ALERTS {
                batch.alerts.push((key.clone(), entry.alert.clone()));
            } else {
                // In the next message.
                batch.omitted += 1;
            }
        }
    }
    batches.into_values().collect()
}

/// The same for another attempt with the same content.
fn key_of(batch: &Batch) -> String {
    let mut hash = Sha256::new();
    hash.update(batch.channel.0.as_bytes());
    hash.update(batch.status.as_str().as_bytes());
    for ((rule, started_ms), _) in &batch.alerts {
        hash.update(rule.as_bytes());
        hash.update(started_ms.to_le_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
