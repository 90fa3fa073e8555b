//! Looks for overdue work: groups that were not looked at, messages that were not attempted, steps
//! of escalations that were not taken. It trusts only the clock and the store, and reports what it
//! finds as errors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::ports::PortResult;
use super::signals::AlertSignals;
use crate::domain::{Catalog, ChannelId, UnixMillis};
use crate::store::ControlStore;
use crate::store::control::{Overdue, OverdueKind};

/// Actor in the history of alerts.
const AUDITOR: &str = "auditor";

/// Time until the first look: after a start there is a backlog.
const FIRST_LOOK: Duration = Duration::from_secs(120);

const PATROL: Duration = Duration::from_secs(30);

/// Delay that is overdue. Work that is due is done within a second; a busy machine needs more.
const LATE_MS: i64 = 60_000;

/// Delivery is at work on a channel that was attempted so lately, though others of its messages
/// wait: a receiver that hangs takes 35 s an attempt.
const AT_WORK_MS: i64 = 120_000;

/// Interval of reports of the same item.
const REMIND_MS: i64 = 3_600_000;

/// Overdue items read of each kind.
const PAGE: u32 = 100;

pub struct Auditor {
    store: ControlStore,
    clock: Arc<dyn Clock>,
    signals: AlertSignals,
    /// Has the rate limits of channels.
    catalog: watch::Receiver<Arc<Catalog>>,
    /// Items that were reported, with the moment of the last report.
    said: BTreeMap<(OverdueKind, i64), UnixMillis>,
}

impl Auditor {
    pub fn new(
        store: ControlStore,
        clock: Arc<dyn Clock>,
        signals: AlertSignals,
        catalog: watch::Receiver<Arc<Catalog>>,
    ) -> Self {
        Self {
            store,
            clock,
            signals,
            catalog,
            said: BTreeMap::new(),
        }
    }

    /// Runs until the shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut wait = FIRST_LOOK;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = PATROL;
            if let Err(error) = self.look().await {
                tracing::error!(%error, "whether all messages went out can't be found out");
                self.signals.set_overdue(vec![
                    "whether messages about alerts are overdue can't be found out".to_owned(),
                ]);
            }
        }
    }

    /// Finds what is overdue, and reports what was not reported before.
    pub(super) async fn look(&mut self) -> PortResult<()> {
        let now_ms = self.clock.now_ms();
        let found = self.overdue(now_ms).await?;
        let mut readiness = Vec::new();
        for kind in OverdueKind::ALL {
            let count = found.iter().filter(|overdue| overdue.kind == kind).count();
            metrics::gauge!("extrack_alerting_overdue", "what" => kind.as_str()).set(count as f64);
            if count > 0 {
                readiness.push(format!("{count} overdue: {}", text_of(kind)));
            }
        }
        self.signals.set_overdue(readiness);
        let keys: BTreeSet<_> = found
            .iter()
            .map(|overdue| (overdue.kind, overdue.id))
            .collect();
        self.said.retain(|key, _| keys.contains(key));
        for overdue in &found {
            let said_ms = self.said.get(&(overdue.kind, overdue.id)).copied();
            if said_ms.is_some_and(|said_ms| now_ms.saturating_sub(said_ms) < REMIND_MS) {
                continue;
            }
            self.say(overdue, now_ms, said_ms.is_none()).await?;
            self.said.insert((overdue.kind, overdue.id), now_ms);
        }
        Ok(())
    }

    async fn overdue(&self, now_ms: UnixMillis) -> PortResult<Vec<Overdue>> {
        let (catalog, due_before_ms) = (self.catalog.borrow().clone(), now_ms - LATE_MS);
        let mut at_work = Vec::new();
        for channel in self.store.overdue_channels(due_before_ms).await? {
            if self.is_at_work(&catalog, &channel, now_ms).await? {
                at_work.push(channel);
            }
        }
        Ok(self
            .store
            .overdue_list(due_before_ms, &at_work, PAGE)
            .await?)
    }

    /// A message that is due waits for its channel's rate limit, or for others that fail or hang:
    /// the receiver is at fault, and delivery does what it should.
    async fn is_at_work(
        &self,
        catalog: &Catalog,
        channel: &ChannelId,
        now_ms: UnixMillis,
    ) -> PortResult<bool> {
        let limit = catalog
            .channels
            .get(channel)
            .and_then(|channel| channel.options.rate_limit);
        let per_ms = limit
            .map_or(0, |limit| limit.per.as_millis() as i64)
            .saturating_add(LATE_MS);
        let since_ms = now_ms.saturating_sub(per_ms.max(AT_WORK_MS));
        let attempts = self
            .store
            .notification_attempts_since(channel, since_ms)
            .await?;
        let is_recent = attempts
            .iter()
            .any(|at_ms| now_ms.saturating_sub(*at_ms) < AT_WORK_MS);
        // A limit that was reached at some moment of the time in which the message is late.
        let is_limited = limit.is_some_and(|limit| attempts.len() >= limit.messages as usize);
        Ok(is_recent || is_limited)
    }

    async fn say(&self, overdue: &Overdue, now_ms: UnixMillis, is_new: bool) -> PortResult<()> {
        let late_s = (now_ms - overdue.due_ms) / 1_000;
        let (what, name) = (text_of(overdue.kind), overdue.name.as_str());
        let alerts: Vec<i64> = overdue.alerts.iter().map(|alert| alert.0).collect();
        tracing::error!(
            kind = overdue.kind.as_str(),
            id = overdue.id,
            name,
            late_s,
            ?alerts,
            "overdue: {what}; people may not know of these alerts"
        );
        if is_new {
            metrics::counter!("extrack_alerting_overdue_total", "what" => overdue.kind.as_str())
                .increment(1);
            for alert in &overdue.alerts {
                let reason = format!("overdue for {late_s} s: {what} (`{name}`)");
                self.store
                    .alert_event_note(*alert, AUDITOR, &reason, now_ms)
                    .await?;
            }
            self.signals.wake_all();
        }
        Ok(())
    }
}

fn text_of(kind: OverdueKind) -> &'static str {
    match kind {
        OverdueKind::Group => "a group of alerts whose channel has not been notified",
        OverdueKind::Notification => "a message that was not attempted",
        OverdueKind::Escalation => "a step of an escalation that was not taken",
    }
}

#[cfg(test)]
mod tests;
