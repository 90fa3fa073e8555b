//! What the engine says right after a commit. All of it may be lost without harm: the control store holds the truth.

use std::sync::Arc;

use tokio::sync::{Notify, broadcast};

use crate::domain::{Alert, AlertEvent};

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
    /// Wakes the dispatcher.
    groups: Arc<Notify>,
    /// Wakes the delivery loop.
    outbox: Arc<Notify>,
    /// Wakes the copying of events.
    events: Arc<Notify>,
}

impl Default for AlertSignals {
    fn default() -> Self {
        Self {
            changes: broadcast::channel(CHANGES_KEPT).0,
            groups: Arc::new(Notify::new()),
            outbox: Arc::new(Notify::new()),
            events: Arc::new(Notify::new()),
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

    /// Has the outbox looked at now, for instance after a dead letter was put back.
    pub fn wake_delivery(&self) {
        self.outbox.notify_one();
    }

    pub(super) fn wake_all(&self) {
        self.events.notify_one();
        self.groups.notify_one();
        self.outbox.notify_one();
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
