//! The life of an alert, as pure functions: the same code decides live, in tests and in backtests.
//!
//! none → pending → firing → resolved; `acknowledged` and `suppressed` are firing alerts that make
//! no noise, and end as a firing one does. A pending alert that clears is resolved without a word
//! to anyone. What a rule has to remember from one judgement to the next is a [`RuleMemory`]: given
//! in, handed out.

mod by_hand;
mod draft;
mod no_data;
#[cfg(test)]
mod tests;

use crate::domain::{
    Alert, AlertRule, AlertState, Failures, Finding, NotificationStatus, RuleMemory, UnixMillis,
    Verdict,
};

use super::flapping::Flapping;
use super::ports::{AlertDraft, EventDraft};

pub use by_hand::{acknowledge, expire, resolve_by_hand, unacknowledge};
pub use draft::alert_of;
use draft::{describe, draft_of, event, opening, text_of};
pub use no_data::{is_without_data, no_data_after, no_data_finding};

/// Actor of what the engine does.
pub const ENGINE: &str = "engine";

/// Result of one judgement.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    pub memory: RuleMemory,
    pub change: Option<Box<Change>>,
}

/// One step of an alert's life, not committed yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub alert: AlertDraft,
    pub event: EventDraft,
    /// Status that channels are to be notified of.
    pub notify: Option<NotificationStatus>,
}

/// Applies a verdict to the rule's open alert, or to none. `before` is the memory of the judgement
/// before.
pub fn judge(
    current: Option<&Alert>,
    before: &RuleMemory,
    verdict: &Verdict,
    rule: &AlertRule,
    now_ms: UnixMillis,
) -> Judgement {
    judge_as(current, before, verdict, rule, now_ms, false)
}

/// Judges a rule that could not be evaluated for long by its `noData`; `finding` has the duration
/// and the reason.
pub fn judge_no_data(
    current: Option<&Alert>,
    before: &RuleMemory,
    finding: Finding,
    rule: &AlertRule,
    now_ms: UnixMillis,
) -> Judgement {
    use crate::domain::NoData;
    let verdict = match rule.options.no_data {
        NoData::Keep => {
            return Judgement {
                memory: *before,
                change: None,
            };
        }
        NoData::Ok => Verdict::Ok(finding),
        NoData::Alert => Verdict::Breached(finding),
    };
    // Nothing is counted: one silence is one silence, however often it is looked at.
    let options = crate::domain::AlertOptions {
        failures: Failures::default(),
        flapping: None,
        ..rule.options
    };
    let rule = AlertRule {
        options,
        ..rule.clone()
    };
    let judged = judge_as(current, before, &verdict, &rule, now_ms, true);
    let memory = RuleMemory {
        clear_since_ms: judged.memory.clear_since_ms,
        is_held: judged.memory.is_held,
        ..*before
    };
    Judgement { memory, ..judged }
}

fn judge_as(
    current: Option<&Alert>,
    before: &RuleMemory,
    verdict: &Verdict,
    rule: &AlertRule,
    now_ms: UnixMillis,
    no_data: bool,
) -> Judgement {
    let current = current.filter(|alert| alert.state.is_open());
    let (finding, is_breach) = match verdict {
        Verdict::NoOpinion(_) => {
            return Judgement {
                memory: *before,
                change: None,
            };
        }
        Verdict::Ok(finding) => (finding, false),
        Verdict::Breached(finding) => (finding, true),
    };
    let mut memory = remember(before, is_breach, rule);
    let is_fired = current.is_some_and(|alert| alert.fired_ms.is_some());
    // A breach that is not one yet by the last few does not begin the time, but lets it go on.
    let is_clear =
        is_fired && !memory.was_breached && (!is_breach || memory.clear_since_ms.is_some());
    memory.clear_since_ms = is_clear.then(|| memory.clear_since_ms.unwrap_or(now_ms));
    let change = match current {
        None if memory.is_held => {
            memory.is_held = memory.was_breached;
            None
        }
        None => is_breach.then(|| suspect(finding, rule, &memory, now_ms)),
        Some(alert) if !is_fired && is_breach => confirm(alert, finding, rule, &memory, now_ms),
        Some(alert) if !is_fired => {
            let is_over = window(&memory, rule).count_ones() == 0;
            is_over.then(|| satisfied(alert, finding, now_ms))
        }
        Some(alert) => {
            let breach = is_breach.then_some(finding);
            change_of_fired(alert, finding, breach, rule, &memory, now_ms, no_data)
        }
    };
    let change = change.or_else(|| current.and_then(|alert| reassessed(alert, rule, now_ms)));
    let change = change.map(|mut change| {
        // A silence that outlasts the duration fires as what it is.
        if no_data && is_breach && !is_fired {
            change.alert.flags.no_data = true;
        }
        if !change.alert.state.is_open() {
            memory.clear_since_ms = None;
        }
        Box::new(change)
    });
    Judgement { memory, change }
}

/// Returns the change of an alert that has fired. `breach` is the finding if it is one, `no_data`
/// that it is one of missing data.
fn change_of_fired(
    alert: &Alert,
    finding: &Finding,
    breach: Option<&Finding>,
    rule: &AlertRule,
    memory: &RuleMemory,
    now_ms: UnixMillis,
    no_data: bool,
) -> Option<Change> {
    if memory.is_flapping {
        return (!alert.flags.flapping).then(|| begins_to_flap(alert, memory, now_ms));
    }
    let is_clear_for_long = memory.clear_since_ms.is_some_and(|since_ms| {
        now_ms.saturating_sub(since_ms) >= ms(rule.options.keep_firing_for)
    });
    match breach {
        None if is_clear_for_long => Some(satisfied(alert, finding, now_ms)),
        _ if alert.flags.flapping => Some(calmed(alert, breach, now_ms)),
        Some(_) if alert.flags.no_data && !no_data => Some(judged_again(alert, finding, now_ms)),
        _ => None,
    }
}

/// Whether a memory has to survive a restart: an action of a person, a time that runs, a count that
/// has begun.
pub fn is_worth_keeping(before: &RuleMemory, after: &RuleMemory, current: Option<&Alert>) -> bool {
    before.is_held != after.is_held
        || before.clear_since_ms != after.clear_since_ms
        || (current.is_some_and(|alert| alert.state == AlertState::Pending)
            && before.breaches != after.breaches)
}

/// Ends an open alert whose rule or service is no longer configured.
pub fn remove(alert: &Alert, now_ms: UnixMillis) -> Change {
    close(alert, "rule removed", now_ms)
}

/// Takes in one judgement: is it a breach by the last few, and does it change too often?
fn remember(before: &RuleMemory, is_breach: bool, rule: &AlertRule) -> RuleMemory {
    let breaches = (before.breaches << 1) | u64::from(is_breach);
    let mut memory = RuleMemory {
        breaches,
        ..*before
    };
    memory.was_breached = window(&memory, rule).count_ones() >= rule.options.failures.count.max(1);
    let flapping = match &rule.options.flapping {
        None => Flapping::default(),
        Some(thresholds) => Flapping::restore(before.changes, before.is_flapping)
            .judge(memory.was_breached != before.was_breached, thresholds),
    };
    (memory.changes, memory.is_flapping) = (flapping.changes(), flapping.is_flapping);
    memory
}

/// The breaches among the judgements that count.
fn window(memory: &RuleMemory, rule: &AlertRule) -> u64 {
    memory.breaches & ((1 << rule.options.failures.of.clamp(1, Failures::MOST)) - 1)
}

fn suspect(finding: &Finding, rule: &AlertRule, memory: &RuleMemory, now_ms: UnixMillis) -> Change {
    let fires = rule.duration.is_zero() && memory.was_breached;
    let mut alert = opening(rule, now_ms);
    if fires {
        (alert.state, alert.fired_ms) = (AlertState::Firing, Some(now_ms));
        alert.flags.flapping = memory.is_flapping;
    }
    describe(&mut alert, finding);
    let reason = fired_reason(&alert, memory);
    let event = event(None, &alert, ENGINE, &reason, now_ms);
    Change {
        alert,
        event,
        notify: fires.then_some(NotificationStatus::Firing),
    }
}

/// Long enough, and often enough?
fn confirm(
    pending: &Alert,
    finding: &Finding,
    rule: &AlertRule,
    memory: &RuleMemory,
    now_ms: UnixMillis,
) -> Option<Change> {
    if now_ms.saturating_sub(pending.started_ms) < ms(rule.duration) || !memory.was_breached {
        return None;
    }
    let mut alert = AlertDraft {
        // The rule may have been edited since the first breach.
        severity: rule.severity,
        state: AlertState::Firing,
        fired_ms: Some(now_ms),
        updated_ms: now_ms,
        ..draft_of(pending)
    };
    alert.flags.flapping = memory.is_flapping;
    describe(&mut alert, finding);
    let reason = fired_reason(&alert, memory);
    let event = event(Some(AlertState::Pending), &alert, ENGINE, &reason, now_ms);
    Some(Change {
        alert,
        event,
        notify: Some(NotificationStatus::Firing),
    })
}

fn fired_reason(alert: &AlertDraft, memory: &RuleMemory) -> String {
    if alert.flags.flapping {
        return format!("{}; {}", alert.summary, flapping_text(memory));
    }
    alert.summary.clone()
}

/// Begins flapping, with one message; the alert stays open, whatever the verdicts, until it calms.
fn begins_to_flap(alert: &Alert, memory: &RuleMemory, now_ms: UnixMillis) -> Change {
    let reason = flapping_text(memory);
    let mut draft = AlertDraft {
        updated_ms: now_ms,
        ..draft_of(alert)
    };
    draft.flags.flapping = true;
    // Who is on it knows.
    let notify = (alert.state == AlertState::Firing).then_some(NotificationStatus::Firing);
    if notify.is_some() {
        draft.summary = format!("{}; {reason}", alert.summary);
    }
    let event = event(Some(alert.state), &draft, ENGINE, &reason, now_ms);
    Change {
        alert: draft,
        event,
        notify,
    }
}

fn flapping_text(memory: &RuleMemory) -> String {
    format!(
        "flapping: it changed {} times in the last 20 judgements",
        memory.changes.count_ones()
    )
}

/// Applies an edited severity; channels are notified only if it became worse.
fn reassessed(alert: &Alert, rule: &AlertRule, now_ms: UnixMillis) -> Option<Change> {
    if rule.severity == alert.severity {
        return None;
    }
    let draft = AlertDraft {
        severity: rule.severity,
        updated_ms: now_ms,
        ..draft_of(alert)
    };
    let is_news = alert.state == AlertState::Firing && rule.severity > alert.severity;
    let (now, before) = (rule.severity.as_str(), alert.severity.as_str());
    let reason = format!("its rule was edited: the severity is {now}, and was {before}");
    let event = event(Some(alert.state), &draft, ENGINE, &reason, now_ms);
    Some(Change {
        alert: draft,
        event,
        notify: is_news.then_some(NotificationStatus::Firing),
    })
}

/// Ends the flapping of an alert that stays open.
fn calmed(alert: &Alert, finding: Option<&Finding>, now_ms: UnixMillis) -> Change {
    let mut draft = AlertDraft {
        updated_ms: now_ms,
        ..draft_of(alert)
    };
    draft.flags.flapping = false;
    if let Some(finding) = finding {
        describe(&mut draft, finding);
    }
    let event = event(
        Some(alert.state),
        &draft,
        ENGINE,
        "no longer flapping, still breached",
        now_ms,
    );
    Change {
        alert: draft,
        event,
        notify: None,
    }
}

/// Updates an alert of missing data whose rule sees a breach now.
fn judged_again(alert: &Alert, finding: &Finding, now_ms: UnixMillis) -> Change {
    let mut draft = AlertDraft {
        updated_ms: now_ms,
        ..draft_of(alert)
    };
    draft.flags.no_data = false;
    describe(&mut draft, finding);
    let reason = format!("there is data again: {}", draft.summary);
    let event = event(Some(alert.state), &draft, ENGINE, &reason, now_ms);
    Change {
        alert: draft,
        event,
        notify: None,
    }
}

fn satisfied(alert: &Alert, finding: &Finding, now_ms: UnixMillis) -> Change {
    let text = text_of(finding);
    let reason = if text.is_empty() {
        "the rule is satisfied again".to_owned()
    } else {
        text
    };
    let mut change = close(alert, &reason, now_ms);
    describe(&mut change.alert, finding);
    change
}

fn close(alert: &Alert, reason: &str, now_ms: UnixMillis) -> Change {
    close_by(alert, ENGINE, reason, now_ms)
}

fn close_by(alert: &Alert, actor: &str, reason: &str, now_ms: UnixMillis) -> Change {
    let mut draft = AlertDraft {
        state: AlertState::Resolved,
        resolved_ms: Some(now_ms),
        updated_ms: now_ms,
        ..draft_of(alert)
    };
    draft.flags.flapping = false;
    let event = event(Some(alert.state), &draft, actor, reason, now_ms);
    let notify = alert
        .fired_ms
        .is_some()
        .then_some(NotificationStatus::Resolved);
    Change {
        alert: draft,
        event,
        notify,
    }
}

fn ms(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
