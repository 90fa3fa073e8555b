//! A rule's open alert and memory, and what an outcome makes of them. The live engine decides, commits
//! and then takes over what was committed; the backtest, and the engine while the control store is
//! not there, decide and apply at once.

use super::Outcome;
use crate::alerts::lifecycle::{self, Judgement};
use crate::domain::{Alert, AlertId, AlertRule, AlertState, RuleMemory, UnixMillis};

/// Number of an alert that the store has not numbered yet.
pub const UNSAVED: AlertId = AlertId(0);

#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleState {
    /// The open alert.
    pub alert: Option<Alert>,
    /// Memory of the rule; none: it was never evaluated.
    pub memory: Option<RuleMemory>,
}

impl RuleState {
    pub fn memory(&self) -> RuleMemory {
        self.memory.unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.alert.is_none() && self.memory.is_none()
    }

    /// Returns what the outcome makes of the alert, without changing anything.
    pub fn decide(&self, outcome: &Outcome, rule: &AlertRule) -> Judgement {
        let (alert, memory) = (self.alert.as_ref(), self.memory());
        match outcome {
            Outcome::Verdict { verdict, now_ms } => {
                lifecycle::judge(alert, &memory, verdict, rule, *now_ms)
            }
            Outcome::NoData { finding, now_ms } => {
                lifecycle::judge_no_data(alert, &memory, finding.clone(), rule, *now_ms)
            }
        }
    }

    /// Applies a decision that is not committed to a store.
    pub fn apply(&mut self, decided: &Judgement) {
        self.memory = Some(decided.memory);
        if let Some(change) = &decided.change {
            let id = change.alert.id.unwrap_or(UNSAVED);
            self.take_alert(lifecycle::alert_of(&change.alert, id));
        }
    }

    /// Takes over the alert as it is now; one that has ended is not kept.
    pub fn take_alert(&mut self, alert: Alert) {
        self.alert = Some(alert).filter(|alert| alert.state.is_open());
    }

    /// Takes over what the store has. Its memory may be older than the one here, except for what
    /// people did.
    pub fn take_stored(&mut self, alert: Option<Alert>, memory: Option<RuleMemory>) {
        self.alert = alert;
        self.memory = match (self.memory, memory) {
            // A held rule that the store does not have was forgotten with its service.
            (Some(here), None) => Some(here).filter(|here| !here.is_held),
            (Some(here), Some(stored)) => Some(RuleMemory {
                is_held: stored.is_held,
                ..here
            }),
            (None, stored) => stored,
        };
    }

    /// Brings moments after `latest_ms` to now: the clock was set back.
    pub fn set_clock_back(&mut self, latest_ms: UnixMillis, now_ms: UnixMillis) {
        let brought = |ms: UnixMillis| if ms > latest_ms { now_ms } else { ms };
        if let Some(alert) = self
            .alert
            .as_mut()
            .filter(|alert| alert.state == AlertState::Pending)
        {
            alert.started_ms = brought(alert.started_ms);
        }
        if let Some(memory) = &mut self.memory {
            memory.clear_since_ms = memory.clear_since_ms.map(brought);
        }
    }
}
