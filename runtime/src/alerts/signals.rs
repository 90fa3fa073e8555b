//! What the engine says right after a commit. All of it may be lost without harm: the control store holds the truth.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, broadcast};

use super::standing::RuleStandings;
use crate::domain::{Alert, AlertEvent, UnixMillis};

/// Changes a slow listener may fall behind by before it has to read the store again.
const CHANGES_KEPT: usize = 1_024;

/// One committed transition.
#[derive(Debug, Clone)]
pub struct AlertChange {
    pub alert: Arc<Alert>,
    pub event: Arc<AlertEvent>,
}

#[derive(Debug, Clone)]
pub struct AlertSignals {
    changes: broadcast::Sender<AlertChange>,
    /// Wakes the dispatcher, which decides on groups and escalations.
    groups: Arc<Notify>,
    /// Wakes the delivery loop.
    outbox: Arc<Notify>,
    /// Wakes the copying of events.
    events: Arc<Notify>,
    /// Wakes whoever watches over acknowledgements.
    acknowledged: Arc<Notify>,
    /// When the engine last came round, 0 before it does.
    beat_ms: Arc<AtomicI64>,
    /// What should have happened and did not, in one line each; for anyone to read.
    overdue: Arc<Mutex<Vec<String>>>,
    /// What can't be done for single alerts, while all others are served.
    warnings: Arc<Mutex<Vec<String>>>,
    standings: RuleStandings,
}

impl Default for AlertSignals {
    fn default() -> Self {
        Self {
            changes: broadcast::channel(CHANGES_KEPT).0,
            groups: Arc::new(Notify::new()),
            outbox: Arc::new(Notify::new()),
            events: Arc::new(Notify::new()),
            acknowledged: Arc::new(Notify::new()),
            beat_ms: Arc::default(),
            overdue: Arc::default(),
            warnings: Arc::default(),
            standings: RuleStandings::default(),
        }
    }
}

impl AlertSignals {
    /// For pages that follow along.
    pub fn subscribe(&self) -> broadcast::Receiver<AlertChange> {
        self.changes.subscribe()
    }

    /// To be called by whoever committed a transition: the engine, or the API on behalf of a person.
    pub fn committed(&self, alert: &Alert, event: &AlertEvent) {
        self.wake_all();
        // Nobody listening is fine.
        let _ = self.changes.send(AlertChange { alert: Arc::new(alert.clone()), event: Arc::new(event.clone()) });
    }

    /// How each rule stands.
    pub fn standings(&self) -> &RuleStandings {
        &self.standings
    }

    /// Has the outbox looked at now, for instance after a dead letter was put back.
    pub fn wake_delivery(&self) {
        self.outbox.notify_one();
    }

    pub(super) fn wake_all(&self) {
        self.events.notify_one();
        self.groups.notify_one();
        self.outbox.notify_one();
        self.acknowledged.notify_one();
    }

    /// What is overdue, nothing private; empty while all is well.
    pub fn overdue(&self) -> Vec<String> {
        self.overdue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_overdue(&self, overdue: Vec<String>) {
        *self.overdue.lock().unwrap_or_else(PoisonError::into_inner) = overdue;
    }

    /// What can't be done for single alerts, nothing private; no reason not to be ready.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_warnings(&self, warnings: Vec<String>) {
        *self.warnings.lock().unwrap_or_else(PoisonError::into_inner) = warnings;
    }

    /// When the engine last came round; none before it has.
    pub(super) fn last_beat_ms(&self) -> Option<UnixMillis> {
        Some(self.beat_ms.load(Ordering::Relaxed)).filter(|beat_ms| *beat_ms > 0)
    }

    pub(super) fn beat(&self, now_ms: UnixMillis) {
        self.beat_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(super) async fn acknowledged_woken(&self) {
        self.acknowledged.notified().await;
    }

    /// Has the groups looked at now, for instance after a silence was made.
    pub fn wake_dispatcher(&self) {
        self.groups.notify_one();
    }

    /// Has new events copied to the results.
    pub(super) fn wake_events(&self) {
        self.events.notify_one();
    }

    pub(super) async fn groups_woken(&self) {
        self.groups.notified().await;
    }

    pub(super) async fn outbox_woken(&self) {
        self.outbox.notified().await;
    }

    pub(super) async fn events_woken(&self) {
        self.events.notified().await;
    }
}
