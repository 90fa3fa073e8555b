//! Signals after a commit. All of them may be lost without harm: the control store holds the truth.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{Notify, broadcast};

use super::rule_status::RuleStatuses;
use super::unrecorded::Unrecorded;
use crate::domain::{Alert, AlertEvent, ClockJumps, UnixMillis};

/// Changes a slow listener may fall behind by before it has to read the store again.
const CHANGES_KEPT: usize = 1_024;

/// One committed transition.
#[derive(Debug, Clone)]
pub struct AlertChange {
    pub alert: Arc<Alert>,
    pub event: Arc<AlertEvent>,
}

/// Returns what outside of alerting is stuck.
type Stalled = dyn Fn() -> Option<String> + Send + Sync;

#[derive(Clone)]
pub struct AlertSignals {
    changes: broadcast::Sender<AlertChange>,
    /// Wakes the dispatcher, which decides on groups and escalations.
    groups: Arc<Notify>,
    /// Wakes the delivery loop.
    outbox: Arc<Notify>,
    /// Wakes the copying of events.
    events: Arc<Notify>,
    /// Wakes the watch over acknowledgements.
    acknowledged: Arc<Notify>,
    /// When the engine last came round, by a clock that never jumps; 0 before it does.
    beat_ms: Arc<AtomicI64>,
    /// Overdue work, one public line each.
    overdue: Arc<Mutex<Vec<String>>>,
    /// Why results have not been recorded for a while.
    not_recorded: Arc<Mutex<Option<String>>>,
    /// Failures of single alerts, while all others are served.
    warnings: Arc<Mutex<Vec<String>>>,
    rule_statuses: RuleStatuses,
    unrecorded: Unrecorded,
    clock_jumps: ClockJumps,
    /// Check whether probes run.
    stalled: Arc<OnceLock<Box<Stalled>>>,
}

impl std::fmt::Debug for AlertSignals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlertSignals")
            .field("overdue", &self.overdue)
            .finish_non_exhaustive()
    }
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
            not_recorded: Arc::default(),
            warnings: Arc::default(),
            rule_statuses: RuleStatuses::default(),
            clock_jumps: ClockJumps::default(),
            stalled: Arc::default(),
            unrecorded: Unrecorded::default(),
        }
    }
}

impl AlertSignals {
    /// Subscribes to committed changes, for live pages.
    pub fn subscribe(&self) -> broadcast::Receiver<AlertChange> {
        self.changes.subscribe()
    }

    /// Signals a transition that was committed, by the engine or by the API on behalf of a person.
    pub fn committed(&self, alert: &Alert, event: &AlertEvent) {
        self.wake_all();
        // An error means that there is no listener, which is fine.
        let _ = self.changes.send(AlertChange {
            alert: Arc::new(alert.clone()),
            event: Arc::new(event.clone()),
        });
    }

    /// How each rule stands.
    pub fn rule_statuses(&self) -> &RuleStatuses {
        &self.rule_statuses
    }

    /// Alerts that could not be committed.
    pub fn unrecorded(&self) -> &Unrecorded {
        &self.unrecorded
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

    /// Returns overdue work without private data, and probes that do not run; empty while all is
    /// well.
    pub fn overdue(&self) -> Vec<String> {
        let overdue = self
            .overdue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        overdue
            .into_iter()
            .chain(self.stalled.get().and_then(|stalled| stalled()))
            .collect()
    }

    /// Takes over who looks whether probes run. Only the first one counts.
    pub fn watch_probes(&self, stalled: impl Fn() -> Option<String> + Send + Sync + 'static) {
        let _ = self.stalled.set(Box::new(stalled));
    }

    /// Jumps of the wall clock.
    pub fn clock_jumps(&self) -> &ClockJumps {
        &self.clock_jumps
    }

    /// A moment of the wall clock as it would be if that had never jumped since the start.
    fn steady_ms(&self, ms: UnixMillis) -> UnixMillis {
        let ahead_ms = i64::try_from(self.clock_jumps.ahead().as_millis()).unwrap_or(i64::MAX);
        ms.saturating_sub(ahead_ms)
            .saturating_add(self.clock_jumps.back_ms())
    }

    pub(super) fn set_overdue(&self, overdue: Vec<String>) {
        *self.overdue.lock().unwrap_or_else(PoisonError::into_inner) = overdue;
    }

    /// Sets why results are not recorded; none while they are.
    pub fn set_not_recorded(&self, reason: Option<String>) {
        *self
            .not_recorded
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = reason;
    }

    pub(super) fn not_recorded(&self) -> Option<String> {
        self.not_recorded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns failures of single alerts without private data; no reason not to be ready.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn set_warnings(&self, warnings: Vec<String>) {
        *self.warnings.lock().unwrap_or_else(PoisonError::into_inner) = warnings;
    }

    /// How long ago the engine last came round, whatever the clock did since; none before it has.
    pub(super) fn since_beat_ms(&self, now_ms: UnixMillis) -> Option<i64> {
        let beat_ms = Some(self.beat_ms.load(Ordering::Relaxed)).filter(|beat_ms| *beat_ms > 0)?;
        Some(self.steady_ms(now_ms).saturating_sub(beat_ms))
    }

    pub(super) fn beat(&self, now_ms: UnixMillis) {
        self.beat_ms
            .store(self.steady_ms(now_ms), Ordering::Relaxed);
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
