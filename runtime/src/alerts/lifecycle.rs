//! The life of an alert, as pure functions: the same code decides live, in tests and in backtests.
//!
//! none → pending → firing → resolved; `acknowledged` and `suppressed` are firing alerts that make no noise, and end as
//! a firing one does. A pending alert that clears is resolved without a word to anyone.

use crate::domain::{Alert, AlertId, AlertRule, AlertState, Finding, NotificationStatus, UnixMillis, Verdict};

use super::ports::{AlertDraft, EventDraft};

/// Who acts when the engine does.
pub const ENGINE: &str = "engine";

#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    Nothing,
    Change(Box<Change>),
}

/// One step of an alert's life, not committed yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub alert: AlertDraft,
    pub event: EventDraft,
    /// What people are to be told.
    pub notify: Option<NotificationStatus>,
}

/// What the verdict makes of the rule's open alert, or of none.
pub fn decide(current: Option<&Alert>, verdict: &Verdict, rule: &AlertRule, now_ms: UnixMillis) -> Decision {
    let current = current.filter(|alert| alert.state.is_open());
    match (current, verdict) {
        (_, Verdict::NoOpinion(_)) | (None, Verdict::Ok(_)) => Decision::Nothing,
        (None, Verdict::Breached(finding)) => suspect(finding, rule, now_ms),
        (Some(alert), Verdict::Breached(finding)) if alert.state == AlertState::Pending => {
            confirm(alert, finding, rule, now_ms)
        }
        (Some(_), Verdict::Breached(_)) => Decision::Nothing,
        (Some(alert), Verdict::Ok(finding)) => {
            let text = text_of(finding);
            let reason = if text.is_empty() { "the rule is satisfied again".to_owned() } else { text };
            let mut change = close(alert, &reason, now_ms);
            describe(&mut change.alert, finding);
            Decision::Change(Box::new(change))
        }
    }
}

/// Ends an open alert whose rule or service is no longer configured.
pub fn remove(alert: &Alert, now_ms: UnixMillis) -> Change {
    close(alert, "rule removed", now_ms)
}

fn suspect(finding: &Finding, rule: &AlertRule, now_ms: UnixMillis) -> Decision {
    let fires = rule.duration.is_zero();
    let mut alert = AlertDraft {
        id: None,
        name: rule.name.clone(),
        rule: rule.key.clone(),
        service: rule.service.clone(),
        severity: rule.severity,
        state: if fires { AlertState::Firing } else { AlertState::Pending },
        summary: String::new(),
        value: None,
        wanted: None,
        started_ms: now_ms,
        fired_ms: fires.then_some(now_ms),
        resolved_ms: None,
        updated_ms: now_ms,
    };
    describe(&mut alert, finding);
    let event = EventDraft {
        from: None,
        to: alert.state,
        actor: ENGINE.to_owned(),
        reason: alert.summary.clone(),
        ts_ms: now_ms,
    };
    Decision::Change(Box::new(Change { alert, event, notify: fires.then_some(NotificationStatus::Firing) }))
}

fn confirm(pending: &Alert, finding: &Finding, rule: &AlertRule, now_ms: UnixMillis) -> Decision {
    let breached_ms = u128::try_from(now_ms - pending.started_ms).unwrap_or(0);
    if breached_ms < rule.duration.as_millis() {
        return Decision::Nothing;
    }
    let mut alert = AlertDraft {
        // The rule may have been edited since the first breach.
        severity: rule.severity,
        state: AlertState::Firing,
        fired_ms: Some(now_ms),
        updated_ms: now_ms,
        ..draft_of(pending)
    };
    describe(&mut alert, finding);
    let event = EventDraft {
        from: Some(AlertState::Pending),
        to: AlertState::Firing,
        actor: ENGINE.to_owned(),
        reason: alert.summary.clone(),
        ts_ms: now_ms,
    };
    Decision::Change(Box::new(Change { alert, event, notify: Some(NotificationStatus::Firing) }))
}

fn close(alert: &Alert, reason: &str, now_ms: UnixMillis) -> Change {
    let event = EventDraft {
        from: Some(alert.state),
        to: AlertState::Resolved,
        actor: ENGINE.to_owned(),
        reason: reason.to_owned(),
        ts_ms: now_ms,
    };
    let notify = alert.fired_ms.is_some().then_some(NotificationStatus::Resolved);
    let alert =
        AlertDraft { state: AlertState::Resolved, resolved_ms: Some(now_ms), updated_ms: now_ms, ..draft_of(alert) };
    Change { alert, event, notify }
}

fn draft_of(alert: &Alert) -> AlertDraft {
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
    }
}

/// The draft as an alert with an id.
pub(super) fn alert_of(draft: &AlertDraft, id: AlertId) -> Alert {
    let AlertDraft { name, rule, service, summary, .. } = draft.clone();
    Alert {
        id,
        name,
        rule,
        service,
        severity: draft.severity,
        state: draft.state,
        summary,
        value: draft.value,
        wanted: draft.wanted,
        started_ms: draft.started_ms,
        fired_ms: draft.fired_ms,
        resolved_ms: draft.resolved_ms,
        updated_ms: draft.updated_ms,
        suppressed_by: None,
    }
}

/// Keeps the former text where the finding has none.
fn describe(alert: &mut AlertDraft, finding: &Finding) {
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
fn text_of(finding: &Finding) -> String {
    match (finding.summary.trim(), finding.value, finding.wanted) {
        ("", Some(value), Some(wanted)) => format!("found {value}, wanted {wanted}"),
        ("", Some(value), None) => format!("found {value}"),
        (summary, ..) => summary.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::alerts::fakes::{breached, no_opinion, ok, rule};

    const SECOND: i64 = 1_000;

    /// Applies verdicts one after another and notes each change as `state@second` with `!` where people are told.
    fn timeline(rule: &AlertRule, verdicts: &[(i64, Verdict)]) -> Vec<String> {
        let mut current: Option<Alert> = None;
        let mut story = Vec::new();
        for (second, verdict) in verdicts {
            if let Decision::Change(change) = decide(current.as_ref(), verdict, rule, second * SECOND) {
                let told = if change.notify.is_some() { "!" } else { "" };
                story.push(format!("{}@{second}{told}", change.alert.state.as_str()));
                current = Some(alert_of(&change.alert, AlertId(1)));
            }
        }
        story
    }

    /// Its name, the rule's duration in seconds, verdicts at seconds, and the changes they make.
    type Timeline = (&'static str, u64, Vec<(i64, Verdict)>, Vec<&'static str>);

    #[test]
    fn an_alert_lives_as_the_table_says() {
        let cases: Vec<Timeline> = vec![
            ("ok alone is nothing", 0, vec![(0, ok()), (30, ok())], vec![]),
            ("fires at once without a duration", 0, vec![(0, breached()), (30, breached())], vec!["firing@0!"]),
            (
                "fires once breached for the duration",
                60,
                vec![(0, breached()), (30, breached()), (60, breached()), (90, breached())],
                vec!["pending@0", "firing@60!"],
            ),
            (
                "a breach that clears in time is resolved silently",
                60,
                vec![(0, breached()), (59, ok()), (60, ok())],
                vec!["pending@0", "resolved@59"],
            ),
            (
                "a new breach waits for the whole duration again",
                60,
                vec![(0, breached()), (59, ok()), (60, breached()), (119, breached()), (120, breached())],
                vec!["pending@0", "resolved@59", "pending@60", "firing@120!"],
            ),
            (
                "a firing alert is resolved once",
                0,
                vec![(0, breached()), (30, ok()), (60, ok()), (90, breached())],
                vec!["firing@0!", "resolved@30!", "firing@90!"],
            ),
            (
                "no opinion changes nothing, in any state",
                60,
                vec![
                    (0, no_opinion()),
                    (10, breached()),
                    (20, no_opinion()),
                    (70, breached()),
                    (80, no_opinion()),
                    (90, ok()),
                ],
                vec!["pending@10", "firing@70!", "resolved@90!"],
            ),
            (
                "a clock set back fires nothing early",
                60,
                vec![(1_000, breached()), (500, breached()), (1_060, breached())],
                vec!["pending@1000", "firing@1060!"],
            ),
        ];
        for (name, duration_s, verdicts, wanted) in cases {
            let rule = AlertRule { duration: Duration::from_secs(duration_s), ..rule("shop-api", "Down") };
            assert_eq!(timeline(&rule, &verdicts), wanted, "{name}");
        }
    }

    #[test]
    fn acknowledged_and_suppressed_alerts_stay_until_the_rule_is_satisfied() {
        let rule = rule("shop-api", "Down");
        for state in [AlertState::Acknowledged, AlertState::Suppressed] {
            let Decision::Change(fired) = decide(None, &breached(), &rule, 0) else { panic!("must fire") };
            let alert = Alert { state, ..alert_of(&fired.alert, AlertId(7)) };
            assert_eq!(decide(Some(&alert), &breached(), &rule, 10), Decision::Nothing);
            assert_eq!(decide(Some(&alert), &no_opinion(), &rule, 10), Decision::Nothing);
            let Decision::Change(change) = decide(Some(&alert), &ok(), &rule, 20) else { panic!("must resolve") };
            assert_eq!(change.alert.state, AlertState::Resolved);
            assert_eq!(change.event.from, Some(state));
            assert_eq!(change.notify, Some(NotificationStatus::Resolved));
        }
    }

    #[test]
    fn a_removed_rule_tells_only_those_who_were_told() {
        let rule = AlertRule { duration: Duration::from_secs(60), ..rule("shop-api", "Down") };
        let Decision::Change(pending) = decide(None, &breached(), &rule, 0) else { panic!("must be pending") };
        let pending = alert_of(&pending.alert, AlertId(1));
        let change = remove(&pending, 5);
        assert_eq!((change.notify, change.event.reason.as_str()), (None, "rule removed"));
        let Decision::Change(firing) = decide(Some(&pending), &breached(), &rule, 60_000) else { panic!("must fire") };
        let change = remove(&alert_of(&firing.alert, AlertId(1)), 61_000);
        assert_eq!(change.notify, Some(NotificationStatus::Resolved));
        assert_eq!(change.alert.summary, "found 90, wanted 99.5");
    }

    #[test]
    fn texts_show_the_value_found_beside_the_value_wanted() {
        let finding =
            |summary: &str, value, wanted| Finding { summary: summary.into(), value, wanted, details: vec![] };
        for (finding, wanted) in [
            (finding("p95 is 2 s, wanted at most 1 s", Some(2.0), Some(1.0)), "p95 is 2 s, wanted at most 1 s"),
            (finding("", Some(2.0), Some(1.0)), "found 2, wanted 1"),
            (finding(" ", Some(2.0), None), "found 2"),
            (finding("", None, None), "rule `Down` is breached"),
        ] {
            let Decision::Change(change) = decide(None, &Verdict::Breached(finding), &rule("a", "Down"), 0) else {
                panic!("must fire")
            };
            assert_eq!(change.alert.summary, wanted);
        }
    }

    fn verdicts() -> impl Strategy<Value = Vec<(i64, Verdict)>> {
        let verdict = prop_oneof![Just(ok()), Just(breached()), Just(no_opinion())];
        proptest::collection::vec((1..90_i64, verdict), 0..200).prop_map(|steps| {
            let mut second = 0;
            steps
                .into_iter()
                .map(|(gap, verdict)| {
                    second += gap;
                    (second, verdict)
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn states_follow_each_other_only_as_drawn(duration_s in 0..200_u64, steps in verdicts()) {
            let rule = AlertRule { duration: Duration::from_secs(duration_s), ..rule("shop-api", "Down") };
            let mut current: Option<Alert> = None;
            for (second, verdict) in steps {
                let Decision::Change(change) = decide(current.as_ref(), &verdict, &rule, second * SECOND) else { continue };
                let from = current.as_ref().map(|alert| alert.state).filter(|state| state.is_open());
                prop_assert_eq!(change.event.from, from);
                prop_assert_eq!(change.event.to, change.alert.state);
                let told = match (from, change.alert.state) {
                    (None, AlertState::Pending) => None,
                    (None | Some(AlertState::Pending), AlertState::Firing) => Some(NotificationStatus::Firing),
                    (Some(AlertState::Pending), AlertState::Resolved) => None,
                    (Some(AlertState::Firing), AlertState::Resolved) => Some(NotificationStatus::Resolved),
                    other => return Err(TestCaseError::fail(format!("{other:?}"))),
                };
                prop_assert_eq!(change.notify, told);
                if let Some(fired_ms) = change.alert.fired_ms {
                    prop_assert!(fired_ms - change.alert.started_ms >= duration_s as i64 * SECOND);
                }
                current = Some(alert_of(&change.alert, AlertId(1)));
            }
        }
    }
}
