//! Alerts as they shall be, and the words about them.

use crate::alerts::ports::{AlertDraft, EventDraft};
use crate::domain::{Alert, AlertFlags, AlertId, AlertRule, AlertState, Finding, UnixMillis};

/// Returns a new alert of a rule.
pub(super) fn opening(rule: &AlertRule, now_ms: UnixMillis) -> AlertDraft {
    AlertDraft {
        id: None,
        name: rule.name.clone(),
        rule: rule.key.clone(),
        service: rule.service.clone(),
        severity: rule.severity,
        state: AlertState::Pending,
        summary: String::new(),
        value: None,
        wanted: None,
        started_ms: now_ms,
        fired_ms: None,
        resolved_ms: None,
        updated_ms: now_ms,
        flags: AlertFlags::default(),
        labels: Default::default(),
    }
}

pub(super) fn draft_of(alert: &Alert) -> AlertDraft {
    AlertDraft {
        id: Some(alert.id),
        name: alert.name.clone(),
        rule: alert.rule.clone(),
        service: alert.service.clone(),
        severity: alert.severity,
        state: alert.state,
        summary: alert.summary.clone(),
        value: alert.value,
        wanted: alert.wanted,
        started_ms: alert.started_ms,
        fired_ms: alert.fired_ms,
        resolved_ms: alert.resolved_ms,
        updated_ms: alert.updated_ms,
        flags: alert.flags.clone(),
        labels: alert.labels.clone(),
    }
}

/// The draft as an alert with an id.
pub fn alert_of(draft: &AlertDraft, id: AlertId) -> Alert {
    draft.clone().into_alert(id)
}

pub(super) fn event(
    from: Option<AlertState>,
    to: &AlertDraft,
    actor: &str,
    reason: &str,
    now_ms: UnixMillis,
) -> EventDraft {
    EventDraft {
        from,
        to: to.state,
        actor: actor.to_owned(),
        reason: reason.to_owned(),
        ts_ms: now_ms,
    }
}

/// Keeps the former text where the finding has none.
pub(super) fn describe(alert: &mut AlertDraft, finding: &Finding) {
    let text = text_of(finding);
    if !text.is_empty() {
        alert.summary = text;
    } else if alert.summary.is_empty() {
        alert.summary = format!("rule `{}` is breached", alert.name);
    }
    alert.value = finding.value;
    alert.wanted = finding.wanted.or(alert.wanted);
}

/// The rule's own words, or the value found beside the value wanted.
pub(super) fn text_of(finding: &Finding) -> String {
    match (finding.summary.trim(), finding.value, finding.wanted) {
        ("", Some(value), Some(wanted)) => format!("found {value}, wanted {wanted}"),
        ("", Some(value), None) => format!("found {value}"),
        (summary, ..) => summary.to_owned(),
    }
}
