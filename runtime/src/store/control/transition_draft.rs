//! [`Transition`]: one step in an alert's life, with all that is committed together with it.

use crate::domain::{
    Alert, AlertFlags, AlertId, AlertState, EscalationProgress, GroupDraft, Labels, RuleMemory,
    Severity, UnixMillis,
};

/// The alert as it shall be. Without an id it is a new one.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertDraft {
    pub id: Option<AlertId>,
    pub name: String,
    pub rule: String,
    pub service: String,
    pub severity: Severity,
    pub state: AlertState,
    pub summary: String,
    pub value: Option<f64>,
    pub wanted: Option<f64>,
    pub started_ms: UnixMillis,
    pub fired_ms: Option<UnixMillis>,
    pub resolved_ms: Option<UnixMillis>,
    pub updated_ms: UnixMillis,
    pub flags: AlertFlags,
    pub labels: Labels,
}

impl AlertDraft {
    pub fn into_alert(self, id: AlertId) -> Alert {
        Alert {
            id,
            name: self.name,
            rule: self.rule,
            service: self.service,
            severity: self.severity,
            state: self.state,
            summary: self.summary,
            value: self.value,
            wanted: self.wanted,
            started_ms: self.started_ms,
            fired_ms: self.fired_ms,
            resolved_ms: self.resolved_ms,
            updated_ms: self.updated_ms,
            suppressed_by: None,
            flags: self.flags,
            labels: self.labels,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct EventDraft {
    pub ts_ms: UnixMillis,
    /// The state that the alert must still be in; none for a new alert.
    pub from: Option<AlertState>,
    pub to: AlertState,
    pub actor: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    pub alert: AlertDraft,
    pub event: EventDraft,
    /// Groups that the alert joins: those whose channels are to be notified that it fires.
    pub groups: Vec<GroupDraft>,
    /// Channels that were notified that it fires are notified once more.
    pub is_news: bool,
    /// Change of the rule's memory.
    pub memory: Option<MemoryChange>,
    /// Escalation that begins with an alert that fires.
    pub escalation: Option<EscalationDraft>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryChange {
    /// Memory after a judgement. Whether a person holds the rule stays, unless this judgement
    /// released it.
    Judged {
        memory: RuleMemory,
        is_released: bool,
    },
    /// A person resolved its alert.
    Held,
    /// The rule is gone: one that comes back under the same key begins anew.
    Forgotten,
}

impl MemoryChange {
    pub fn of(before: &RuleMemory, memory: RuleMemory) -> Self {
        MemoryChange::Judged {
            memory,
            is_released: before.is_held && !memory.is_held,
        }
    }
}

/// An escalation that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscalationDraft {
    /// Name of its policy.
    pub policy: String,
    pub progress: EscalationProgress,
}
