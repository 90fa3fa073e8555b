//! Brings notifications to their channels: at least once, in order per group and channel, over
//! restarts.
//!
//! It lives from the outbox in the control store alone. Whatever happens to an attempt, its
//! notification stays there until the attempt was recorded, so that an attempt cut off by a crash
//! is made again, with the same key.

mod attempt;
mod backoff;
mod follow;
mod limit;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::domain::{Catalog, ChannelId, MessageRate, NotificationReason, UnixMillis};
use crate::plugin_host::Evaluator;
use crate::store::ControlStore;

use super::clock::Clock;
use super::ports::{DueNotification, Notifier, PortError, PortResult};
use super::signals::AlertSignals;
use attempt::Sender;
use follow::ChannelFollower;
use limit::Limiter;

/// Due messages read at once, without their content, which is read when a message is started.
const ROWS: u32 = 256;

/// Interval of the looks at the outbox without a call and with nothing due: the clock may have been
/// set.
const PATROL: Duration = Duration::from_secs(30);

/// Reports under way at once, of which a channel has one. They are large and not urgent, and take no
/// place of a message about an alert.
const REPORTS: usize = 4;

/// The shortest wait for something that is due but can't be started.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct DeliverySettings {
    /// Attempts under way at once.
    pub at_once: usize,
    /// Attempts under way at once on one channel, so that one that hangs leaves room for the
    /// others.
    pub at_once_per_channel: usize,
    /// Deadline of one attempt, whatever the notifier does. The plugin host has a shorter one,
    /// whose errors have more detail.
    pub deadline: Duration,
    /// Wait before the second attempt; doubles with each one.
    pub first_retry: Duration,
    pub longest_retry: Duration,
    /// The longest wait that another side may ask for.
    pub longest_retry_after: Duration,
    /// Given up when both are over: this long, and this many attempts. Being switched off is no
    /// reason to give up.
    pub give_up_after: Duration,
    pub least_attempts: u32,
    /// Where people find this server; empty if nowhere.
    pub public_url: String,
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self {
            at_once: 32,
            at_once_per_channel: 4,
            deadline: Duration::from_secs(35),
            first_retry: Duration::from_secs(5),
            longest_retry: Duration::from_secs(600),
            longest_retry_after: Duration::from_secs(3_600),
            give_up_after: Duration::from_secs(24 * 3_600),
            least_attempts: 20,
            public_url: String::new(),
        }
    }
}

#[derive(Clone)]
pub struct DeliveryDeps {
    pub store: ControlStore,
    pub notifier: Arc<dyn Notifier>,
    pub clock: Arc<dyn Clock>,
    pub signals: AlertSignals,
    /// Renders templates.
    pub evaluator: Evaluator,
    pub settings: DeliverySettings,
}

pub struct Delivery {
    deps: DeliveryDeps,
    sends: JoinSet<()>,
    under_way: HashMap<Id, Place>,
    /// Read, and not started yet. At most one page.
    backlog: VecDeque<DueNotification>,
    limiter: Limiter,
    channels: ChannelFollower,
}

/// Place that an attempt under way occupies.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    notification: i64,
    channel: ChannelId,
    group_key: String,
    is_report: bool,
}

/// A sign of life that is late is a false alarm, and a report waits for its place, not for a limit.
fn is_unlimited(reason: NotificationReason) -> bool {
    matches!(
        reason,
        NotificationReason::Watchdog | NotificationReason::Report
    )
}

impl Delivery {
    pub fn new(deps: DeliveryDeps) -> Self {
        Self {
            deps,
            sends: JoinSet::new(),
            under_way: HashMap::new(),
            backlog: VecDeque::new(),
            limiter: Limiter::default(),
            channels: ChannelFollower::default(),
        }
    }

    /// Runs until the shutdown, then waits for the attempts under way, each of which has a
    /// deadline.
    pub async fn run(
        mut self,
        mut catalog: watch::Receiver<Arc<Catalog>>,
        shutdown: CancellationToken,
    ) {
        let sender = Arc::new(Sender {
            deps: self.deps.clone(),
            catalog: catalog.clone(),
            shutdown: shutdown.clone(),
        });
        let mut is_published = true;
        loop {
            let current = catalog.borrow_and_update().clone();
            let look = async {
                let is_followed = self.channels.follow(&self.deps, &current).await;
                let wait = self.start_due(&sender).await;
                if is_followed { wait } else { wait.min(PAUSE) }
            };
            let wait = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                wait = look => wait,
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = self.sends.join_next_with_id() => self.release(ended),
                () = self.deps.signals.outbox_woken() => {}
                changed = catalog.changed(), if is_published => is_published = changed.is_ok(),
                () = tokio::time::sleep(wait) => {}
            }
        }
        while let Some(ended) = self.sends.join_next_with_id().await {
            self.release(ended);
        }
    }

    /// Starts what is due as far as there is room, and answers how long nothing else is to be done.
    async fn start_due(&mut self, sender: &Arc<Sender>) -> Duration {
        self.start_backlog(sender);
        let now_ms = self.deps.clock.now_ms();
        let mut after = (UnixMillis::MIN, 0);
        // Page by page, because a whole page may wait for a channel that hangs.
        while self.has_room() {
            let due = match self
                .deps
                .store
                .notification_due_after(now_ms, after, ROWS)
                .await
                .map_err(PortError::from)
            {
                Ok(due) => due,
                Err(error) => {
                    tracing::error!(%error, "the outbox can't be read, it is tried again");
                    return PAUSE;
                }
            };
            let Some(last) = due.last() else { break };
            after = (last.next_attempt_ms, last.id);
            let is_last = due.len() < ROWS as usize;
            let busy: HashSet<i64> = self
                .under_way
                .values()
                .map(|place| place.notification)
                .collect();
            let free = due
                .into_iter()
                .filter(|notification| !busy.contains(&notification.id))
                .collect();
            self.backlog = self.hold_back(free, sender, now_ms).await;
            self.start_backlog(sender);
            if is_last {
                break;
            }
        }
        self.wait().await
    }

    fn has_room(&self) -> bool {
        let urgent = self.under_way.values().filter(|place| !place.is_report);
        urgent.count() < self.deps.settings.at_once
    }

    fn start_backlog(&mut self, sender: &Arc<Sender>) {
        for notification in std::mem::take(&mut self.backlog) {
            if self.has_room()
                && self.may_start(&notification)
                && self.is_within_limit(sender, &notification)
            {
                let place = Place {
                    notification: notification.id,
                    channel: notification.channel.clone(),
                    group_key: notification.group_key.clone(),
                    is_report: notification.reason == NotificationReason::Report,
                };
                if !place.is_report && self.limit(sender, &place.channel).is_some() {
                    self.limiter.begin(&place.channel, self.deps.clock.now_ms());
                }
                let sender = Arc::clone(sender);
                let id = self
                    .sends
                    .spawn(async move { sender.send(notification.id).await })
                    .id();
                self.under_way.insert(id, place);
            } else {
                self.backlog.push_back(notification);
            }
        }
    }

    fn may_start(&self, notification: &DueNotification) -> bool {
        let is_report = notification.reason == NotificationReason::Report;
        let (mut all, mut count, mut same_group) = (0, 0, false);
        for place in self.under_way.values() {
            if place.is_report != is_report {
                continue;
            }
            all += 1;
            if place.channel == notification.channel {
                count += 1;
                same_group |= place.group_key == notification.group_key;
            }
        }
        if is_report {
            return count == 0 && all < REPORTS;
        }
        !same_group && count < self.deps.settings.at_once_per_channel
    }

    /// Returns the limit as configured now: a channel that left the configuration has none.
    fn limit(&self, sender: &Sender, channel: &ChannelId) -> Option<MessageRate> {
        sender
            .catalog
            .borrow()
            .channels
            .get(channel)
            .and_then(|channel| channel.options.rate_limit)
    }

    fn is_within_limit(&mut self, sender: &Sender, notification: &DueNotification) -> bool {
        let now_ms = self.deps.clock.now_ms();
        match self.limit(sender, &notification.channel) {
            _ if is_unlimited(notification.reason) => true,
            Some(limit) => self.limiter.room(&notification.channel, limit, now_ms) > 0,
            None => true,
        }
    }

    /// Leaves out what is beyond the rate limit of its channel. The last attempt that the limit
    /// allows goes to a digest of everything that would be held back, so that a storm is told
    /// of at once.
    async fn hold_back(
        &mut self,
        due: Vec<DueNotification>,
        sender: &Arc<Sender>,
        now_ms: UnixMillis,
    ) -> VecDeque<DueNotification> {
        let mut counts: HashMap<ChannelId, usize> = HashMap::new();
        for notification in due
            .iter()
            .filter(|notification| !is_unlimited(notification.reason))
        {
            *counts.entry(notification.channel.clone()).or_default() += 1;
        }
        let mut left: HashMap<ChannelId, usize> = HashMap::new();
        for (channel, count) in counts {
            let Some(limit) = self.limit(sender, &channel) else {
                continue;
            };
            if let Err(error) = self.read_attempts(&channel, limit, now_ms).await {
                tracing::error!(channel = channel.0, %error, "a channel's attempts can't be read, it waits");
                left.insert(channel, 0);
                continue;
            }
            let room = self.limiter.room(&channel, limit, now_ms);
            let starts = if count > room && limit.digest {
                room.saturating_sub(1)
            } else {
                room
            };
            if count > room && room > 0 && limit.digest {
                let first = due
                    .iter()
                    .filter(|it| it.channel == channel && !is_unlimited(it.reason))
                    .take(starts);
                self.make_digest(
                    &channel,
                    first.map(|notification| notification.id).collect(),
                    now_ms,
                )
                .await;
            }
            left.insert(channel, starts);
        }
        let mut is_allowed =
            |notification: &DueNotification| match left.get_mut(&notification.channel) {
                Some(_) if is_unlimited(notification.reason) => true,
                Some(0) => false,
                Some(left) => {
                    *left -= 1;
                    true
                }
                None => true,
            };
        due.into_iter()
            .filter(|notification| is_allowed(notification))
            .collect()
    }

    /// Reads a channel's attempts of before the start, once.
    async fn read_attempts(
        &mut self,
        channel: &ChannelId,
        limit: MessageRate,
        now_ms: UnixMillis,
    ) -> PortResult<()> {
        if !self.limiter.knows(channel) {
            let since_ms = now_ms.saturating_sub(limit.per.as_millis() as i64);
            let store = &self.deps.store;
            let begun = store.notification_attempts_since(channel, since_ms).await?;
            self.limiter.tell(channel, begun);
        }
        Ok(())
    }

    /// Merges what waits on a channel into a digest, which is read with what is due next.
    async fn make_digest(&self, channel: &ChannelId, starting: Vec<i64>, now_ms: UnixMillis) {
        let under_way = self.under_way.values().map(|place| place.notification);
        let except: Vec<i64> = starting.into_iter().chain(under_way).collect();
        let key = format!("{:032x}", rand::random::<u128>());
        match self
            .deps
            .store
            .notification_digest(channel, &except, key, now_ms)
            .await
            .map_err(PortError::from)
        {
            Ok(Some(digest)) => {
                metrics::counter!("extrack_notification_digests_total").increment(1);
                let (alerts, notification) = (digest.alerts.len(), digest.id);
                tracing::warn!(
                    channel = channel.0,
                    notification,
                    alerts,
                    "the channel's rate limit is reached, a digest names the rest"
                );
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(channel = channel.0, %error, "a digest can't be made, it is tried again")
            }
        }
    }

    fn release(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => error.id(),
        };
        self.under_way.remove(&id);
    }

    async fn wait(&self) -> Duration {
        let next = self.deps.store.notification_next_due().await;
        let next_ms = match next.map_err(PortError::from) {
            Ok(Some(next_ms)) => next_ms,
            Ok(None) => return PATROL,
            Err(error) => {
                tracing::error!(%error, "the outbox can't be read, it is tried again");
                return PAUSE;
            }
        };
        // What is due already and was not started waits for something under way, which wakes the
        // loop when it ends.
        match u64::try_from(next_ms - self.deps.clock.now_ms()) {
            Ok(wait_ms) if wait_ms > 0 => Duration::from_millis(wait_ms).min(PATROL),
            _ => PAUSE,
        }
    }
}
