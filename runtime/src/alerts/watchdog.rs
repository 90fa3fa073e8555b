//! An alert that always fires: a message in a steady rhythm to somebody outside, who calls when it
//! stays away. It goes the way of every message, through the outbox and its notifier, and is held
//! back as soon as the engine or the way is stuck.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::ports::PortResult;
use super::signals::AlertSignals;
use crate::domain::{
    Alert, AlertFlags, AlertId, AlertState, Catalog, NotificationDraft, NotificationReason,
    NotificationStatus, Severity, UnixMillis, Watchdog,
};
use crate::store::ControlStore;

/// The name of the alert, and of the group its messages are in.
const NAME: &str = "Watchdog";
const GROUP: &str = "watchdog";

/// Subject in the place of a service.
const SUBJECT: &str = "extrack";

/// The engine comes round every 15 s; it is stuck when it has not for this long.
const BEAT_MS: i64 = 60_000;

/// Interval of the checks whether the engine has begun.
const START: Duration = Duration::from_secs(1);

pub struct WatchdogSender {
    store: ControlStore,
    clock: Arc<dyn Clock>,
    signals: AlertSignals,
    is_held: bool,
}

impl WatchdogSender {
    pub fn new(store: ControlStore, clock: Arc<dyn Clock>, signals: AlertSignals) -> Self {
        Self {
            store,
            clock,
            signals,
            is_held: false,
        }
    }

    /// Runs until the shutdown, also while no watchdog is configured: one may come.
    pub async fn run(
        mut self,
        mut catalog: watch::Receiver<Arc<Catalog>>,
        shutdown: CancellationToken,
    ) {
        let mut next = tokio::time::Instant::now();
        loop {
            let current = catalog.borrow_and_update().clone();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                changed = catalog.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return shutdown.cancelled().await,
                },
                () = tokio::time::sleep_until(next), if current.watchdog.is_some() => {}
            }
            if self.signals.since_beat_ms(self.clock.now_ms()).is_none() {
                next = tokio::time::Instant::now() + START;
            } else if let Some(watchdog) = &current.watchdog {
                next = tokio::time::Instant::now() + watchdog.interval;
                if let Err(error) = self.send(&current, watchdog).await {
                    tracing::error!(%error, "the watchdog's message can't be written");
                }
            }
        }
    }

    /// Queues a message, unless something is stuck or the one before still waits.
    pub(super) async fn send(
        &mut self,
        catalog: &Catalog,
        watchdog: &Watchdog,
    ) -> PortResult<bool> {
        let now_ms = self.clock.now_ms();
        let held = self.why_held(now_ms);
        metrics::gauge!("extrack_watchdog_held").set(if held.is_some() { 1.0 } else { 0.0 });
        match &held {
            Some(reason) if !self.is_held => {
                tracing::error!(reason, "the watchdog's messages are held back: {reason}");
            }
            None if self.is_held => tracing::info!("the watchdog's messages go out again"),
            _ => {}
        }
        self.is_held = held.is_some();
        let Some(channel) = catalog
            .channels
            .get(&watchdog.channel)
            .filter(|_| !self.is_held)
        else {
            return Ok(false);
        };
        self.store.channel_put(channel).await?;
        let draft = draft(watchdog, now_ms);
        let is_queued = self.store.notification_queue_alone(draft, now_ms).await?;
        if is_queued {
            self.signals.wake_delivery();
        }
        Ok(is_queued)
    }

    fn why_held(&self, now_ms: UnixMillis) -> Option<String> {
        match self.signals.since_beat_ms(now_ms) {
            None => Some("the alert engine has not begun yet".to_owned()),
            Some(since_ms) if since_ms > BEAT_MS => Some("the alert engine is stuck".to_owned()),
            Some(_) => self
                .signals
                .overdue()
                .into_iter()
                .next()
                .or_else(|| self.signals.not_recorded()),
        }
    }
}

fn draft(watchdog: &Watchdog, now_ms: UnixMillis) -> NotificationDraft {
    let alert = Alert {
        // No row of its own.
        id: AlertId(0),
        name: NAME.to_owned(),
        rule: format!("{SUBJECT}/{NAME}"),
        service: SUBJECT.to_owned(),
        severity: Severity::Info,
        state: AlertState::Firing,
        summary: "extrack is running; its notifications have stopped when this message stays away"
            .to_owned(),
        value: None,
        wanted: None,
        started_ms: now_ms,
        fired_ms: Some(now_ms),
        resolved_ms: None,
        updated_ms: now_ms,
        suppressed_by: None,
        flags: AlertFlags::default(),
        labels: Default::default(),
    };
    NotificationDraft {
        group_key: GROUP.to_owned(),
        group_labels: vec![("alertname".to_owned(), NAME.to_owned())],
        channel: watchdog.channel.clone(),
        reason: NotificationReason::Watchdog,
        status: NotificationStatus::Firing,
        idempotency_key: format!("{:032x}", rand::random::<u128>()),
        alerts: vec![alert],
        omitted: 0,
    }
}

#[cfg(test)]
mod tests;
