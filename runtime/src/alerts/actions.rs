//! Actions of people on alerts: acknowledge, take that back, resolve. Each is a transition like the
//! engine's, in one transaction, with who did it; the second of two sees the alert as the first one
//! left it.

use std::sync::Arc;

use super::clock::Clock;
use super::lifecycle::{self, Change};
use super::ports::{CommitError, MemoryChange, PortError, Transition};
use super::signals::AlertSignals;
use crate::domain::{Acknowledgement, Alert, AlertId, NotificationStatus, UnixMillis};
use crate::store::ControlStore;

/// The engine moves alerts on as well; more than this often in a row is a fault.
const TRIES: u32 = 5;

#[derive(Clone)]
pub struct AlertActions {
    store: ControlStore,
    clock: Arc<dyn Clock>,
    signals: AlertSignals,
}

#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    #[error("there is no alert {}", .0.0)]
    NotFound(AlertId),
    #[error("alert {} is {}: {wanted}", .alert.id.0, .alert.state.as_str())]
    NotNow {
        alert: Box<Alert>,
        wanted: &'static str,
    },
    #[error("the time is over already; it has to be in the future")]
    Past,
    #[error(transparent)]
    Store(#[from] PortError),
}

impl AlertActions {
    pub fn new(store: ControlStore, clock: Arc<dyn Clock>, signals: AlertSignals) -> Self {
        Self {
            store,
            clock,
            signals,
        }
    }

    /// How the rules stand.
    pub fn signals(&self) -> &AlertSignals {
        &self.signals
    }

    /// Acknowledges an alert until a moment or until it ends; it is not sent again before that.
    pub async fn acknowledge(
        &self,
        id: AlertId,
        by: &str,
        until_ms: Option<UnixMillis>,
        note: &str,
    ) -> Result<Alert, ActionError> {
        if until_ms.is_some_and(|until_ms| until_ms <= self.clock.now_ms()) {
            return Err(ActionError::Past);
        }
        let wanted = "only an alert that fires can be acknowledged";
        self.act(id, wanted, None, |alert, now_ms| {
            let (by, note) = (by.to_owned(), note.to_owned());
            lifecycle::acknowledge(
                alert,
                Acknowledgement {
                    by,
                    at_ms: now_ms,
                    until_ms,
                    note,
                },
            )
        })
        .await
    }

    /// Takes an acknowledgement back: the alert fires again, and that is news.
    pub async fn unacknowledge(
        &self,
        id: AlertId,
        actor: &str,
        note: &str,
    ) -> Result<Alert, ActionError> {
        let wanted = "it is not acknowledged";
        self.act(id, wanted, None, |alert, now_ms| {
            lifecycle::unacknowledge(alert, actor, note, now_ms)
        })
        .await
    }

    /// Resolves an alert, whatever the verdict of its rule; the rule opens another one only after
    /// it was satisfied once.
    pub async fn resolve(
        &self,
        id: AlertId,
        actor: &str,
        note: &str,
    ) -> Result<Alert, ActionError> {
        let (wanted, held) = ("it has ended already", Some(MemoryChange::Held));
        let resolve =
            |alert: &Alert, now_ms| lifecycle::resolve_by_hand(alert, actor, note, now_ms);
        let alert = self.act(id, wanted, held, resolve).await?;
        // The engine updates it when the rule is satisfied; requests before that have to see it.
        self.signals
            .rule_statuses()
            .change(&alert.rule, |status| status.is_held = true);
        Ok(alert)
    }

    async fn act(
        &self,
        id: AlertId,
        wanted: &'static str,
        memory: Option<MemoryChange>,
        change: impl Fn(&Alert, UnixMillis) -> Option<Change>,
    ) -> Result<Alert, ActionError> {
        let mut refusal = String::new();
        for _ in 0..TRIES {
            let found = self.store.alert_get(id).await.map_err(PortError::from)?;
            let (alert, _) = found.ok_or(ActionError::NotFound(id))?;
            let Some(change) = change(&alert, self.clock.now_ms()) else {
                return Err(ActionError::NotNow {
                    alert: Box::new(alert),
                    wanted,
                });
            };
            match commit(&self.store, &self.signals, change, memory).await {
                Ok(alert) => return Ok(alert),
                Err(CommitError::Changed(reason)) => refusal = reason,
                Err(CommitError::Port(error)) => return Err(error.into()),
            }
        }
        Err(PortError(format!(
            "the alert was changed again and again meanwhile: {refusal}"
        ))
        .into())
    }
}

/// Commits a change to an alert that fires, and signals it.
pub(super) async fn commit(
    store: &ControlStore,
    signals: &AlertSignals,
    change: Change,
    memory: Option<MemoryChange>,
) -> Result<Alert, CommitError> {
    let is_news = change.notify == Some(NotificationStatus::Firing);
    let Change { alert, event, .. } = change;
    let (alert, event) = store
        .transition_commit(Transition {
            alert,
            event,
            groups: Vec::new(),
            is_news,
            memory,
            escalation: None,
        })
        .await?;
    metrics::counter!("extrack_alert_transitions_total", "to" => event.to.as_str()).increment(1);
    let (service, rule, state) = (
        alert.service.as_str(),
        alert.name.as_str(),
        alert.state.as_str(),
    );
    let (actor, reason) = (event.actor.as_str(), event.reason.as_str());
    tracing::info!(
        service,
        rule,
        state,
        alert = alert.id.0,
        actor,
        reason,
        "alert is {state}"
    );
    signals.committed(&alert, &event);
    Ok(alert)
}
