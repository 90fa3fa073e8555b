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

/// Who acts when the engine does.
pub const ENGINE: &str = "engine";

/// What comes of one judgement.
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
    /// What people are to be told.
    pub notify: Option<NotificationStatus>,
}

/// What the verdict makes of the rule's open alert, or of none. `before` is what the judgement
/// before left in mind.
pub fn judge(
    current: Option<&Alert>,
    before: &RuleMemory,
    verdict: &Verdict,
    rule: &AlertRule,
    now_ms: UnixMillis,
) -> Judgement {
    judge_as(current, before, verdict, rule, now_ms, false)
}

/// For a rule that could not be judged for long: what that counts as, `finding` saying for how long
/// and why.
pub fn judge_no_data(
    current: Option<&Alert>,
    before: &RuleMemory,
    finding: Finding,
    rule: &AlertRule,
    now_ms: UnixMillis,
) -> Judgement {
    use crate::domain::NoData;
    let verdict = match rule.life.no_data {
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
    let life = crate::domain::Life {
        failures: Failures::default(),
        flapping: None,
        ..rule.life
    };
    let rule = AlertRule {
        life,
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
    let clear_ms = match is_clear {
        true => {
            let since_ms = *memory.clear_since_ms.get_or_insert(now_ms);
            now_ms.saturating_sub(since_ms)
        }
        false => {
            memory.clear_since_ms = None;
            0
        }
    };
    let change = match current {
        None if memory.is_held => {
            memory.is_held = memory.was_breached;
            None
        }
        None if is_breach => Some(suspect(finding, rule, &memory, now_ms)),
        None => None,
        Some(alert) if !is_fired => match is_breach {
            true => confirm(alert, finding, rule, &memory, now_ms),
            false if window(&memory, rule).count_ones() == 0 => {
                Some(satisfied(alert, finding, now_ms))
            }
            false => None,
        },
        Some(alert) if memory.is_flapping && !alert.marks.flapping => {
            Some(begins_to_flap(alert, &memory, now_ms))
        }
        Some(_) if memory.is_flapping => None,
        Some(alert) if is_clear && !is_breach && clear_ms >= ms(rule.life.keep_firing_for) => {
            Some(satisfied(alert, finding, now_ms))
        }
        Some(alert) if alert.marks.flapping => {
            Some(calmed(alert, is_breach.then_some(finding), now_ms))
        }
        Some(alert) if is_breach && alert.marks.no_data && !no_data => {
            Some(judged_again(alert, finding, now_ms))
        }
        Some(_) => None,
    };
    let change = change.or_else(|| current.and_then(|alert| reassessed(alert, rule, now_ms)));
    let change = change.map(|mut change| {
        // A silence that outlasts the duration fires as what it is.
        if no_data && is_breach && !is_fired {
            change.alert.marks.no_data = true;
        }
        if !change.alert.state.is_open() {
            memory.clear_since_ms = None;
        }
        Box::new(change)
    });
    Judgement { memory, change }
}

/// Without it a restart would make a difference: what a person did, a time that runs, a count that
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
    memory.was_breached = window(&memory, rule).count_ones() >= rule.life.failures.count.max(1);
    let flapping = match &rule.life.flapping {
        None => Flapping::default(),
        Some(thresholds) => Flapping::restore(before.changes, before.is_flapping)
            .judge(memory.was_breached != before.was_breached, thresholds),
    };
    (memory.changes, memory.is_flapping) = (flapping.changes(), flapping.is_flapping);
    memory
}

/// The breaches among the judgements that count.
fn window(memory: &RuleMemory, rule: &AlertRule) -> u64 {
    memory.breaches & ((1 << rule.life.failures.of.clamp(1, Failures::MOST)) - 1)
}

fn suspect(finding: &Finding, rule: &AlertRule, memory: &RuleMemory, now_ms: UnixMillis) -> Change {
    let fires = rule.duration.is_zero() && memory.was_breached;
    let mut alert = opening(rule, now_ms);
    if fires {
        (alert.state, alert.fired_ms) = (AlertState::Firing, Some(now_ms));
        alert.marks.flapping = memory.is_flapping;
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
    alert.marks.flapping = memory.is_flapping;
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
    match alert.marks.flapping {
        true => format!("{}; {}", alert.summary, flapping_text(memory)),
        false => alert.summary.clone(),
    }
}

/// One message; from here on it stays open, whatever the rule says, until it calms.
fn begins_to_flap(alert: &Alert, memory: &RuleMemory, now_ms: UnixMillis) -> Change {
    let reason = flapping_text(memory);
    let mut draft = AlertDraft {
        updated_ms: now_ms,
        ..draft_of(alert)
    };
    draft.marks.flapping = true;
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

/// The rule was edited: whoever knows of the alert is told of it only if it became worse.
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

/// It goes on as any other.
fn calmed(alert: &Alert, finding: Option<&Finding>, now_ms: UnixMillis) -> Change {
    let mut draft = AlertDraft {
        updated_ms: now_ms,
        ..draft_of(alert)
    };
    draft.marks.flapping = false;
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

/// After a time without data, its rule sees a breach of its own.
fn judged_again(alert: &Alert, finding: &Finding, now_ms: UnixMillis) -> Change {
    let mut draft = AlertDraft {
        updated_ms: now_ms,
        ..draft_of(alert)
    };
    draft.marks.no_data = false;
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
    draft.marks.flapping = false;
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
