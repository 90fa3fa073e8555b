//! Timelines of alerts, as tables; in one file, because they share one notation.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::alerts::fakes::{breached, no_opinion, ok, rule};
use crate::domain::{Acknowledgement, AlertId, AlertOptions, FlappingThresholds, NoData};

const SECOND: i64 = 1_000;

/// Stored state of one rule.
#[derive(Default)]
struct Kept {
    alert: Option<Alert>,
    memory: RuleMemory,
    story: Vec<String>,
}

impl Kept {
    /// Notes a change as `state@second`, with `~` while flapping and `!` where people are notified.
    fn take(&mut self, judged: Judgement, second: i64) {
        self.memory = judged.memory;
        if let Some(change) = judged.change {
            let told = if change.notify.is_some() { "!" } else { "" };
            let flaps = if change.alert.flags.flapping { "~" } else { "" };
            self.story.push(format!(
                "{}@{second}{flaps}{told}",
                change.alert.state.as_str()
            ));
            self.alert = Some(alert_of(&change.alert, AlertId(1)));
        }
    }

    fn judge(&mut self, verdict: &Verdict, rule: &AlertRule, second: i64) {
        let judged = judge(
            self.alert.as_ref(),
            &self.memory,
            verdict,
            rule,
            second * SECOND,
        );
        self.take(judged, second);
    }
}

/// Applies verdicts one after another.
fn timeline(rule: &AlertRule, verdicts: &[(i64, Verdict)]) -> Vec<String> {
    let mut kept = Kept::default();
    verdicts
        .iter()
        .for_each(|(second, verdict)| kept.judge(verdict, rule, *second));
    kept.story
}

/// One judgement every ten seconds: `x` is a breach, `.` is none, `?` no opinion.
fn judgements(text: &str) -> Vec<(i64, Verdict)> {
    let verdict = |judged| match judged {
        'x' => breached(),
        '.' => ok(),
        _ => no_opinion(),
    };
    text.chars()
        .enumerate()
        .map(|(index, judged)| (index as i64 * 10, verdict(judged)))
        .collect()
}

fn living(duration_s: u64, options: AlertOptions) -> AlertRule {
    AlertRule {
        duration: Duration::from_secs(duration_s),
        options,
        ..rule("shop-api", "Down")
    }
}

fn fired() -> Alert {
    let judged = judge(
        None,
        &RuleMemory::default(),
        &breached(),
        &rule("shop-api", "Down"),
        0,
    );
    alert_of(&judged.change.expect("must fire").alert, AlertId(7))
}

/// Name, duration of the rule in seconds, verdicts at seconds, and the changes they make.
type Timeline = (&'static str, u64, Vec<(i64, Verdict)>, Vec<&'static str>);

#[test]
fn an_alert_lives_as_the_table_says() {
    let cases: Vec<Timeline> = vec![
        (
            "ok alone is nothing",
            0,
            vec![(0, ok()), (30, ok())],
            vec![],
        ),
        (
            "fires at once without a duration",
            0,
            vec![(0, breached()), (30, breached())],
            vec!["firing@0!"],
        ),
        (
            "fires once breached for the duration",
            60,
            vec![
                (0, breached()),
                (30, breached()),
                (60, breached()),
                (90, breached()),
            ],
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
            vec![
                (0, breached()),
                (59, ok()),
                (60, breached()),
                (119, breached()),
                (120, breached()),
            ],
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
        assert_eq!(
            timeline(&living(duration_s, AlertOptions::default()), &verdicts),
            wanted,
            "{name}"
        );
    }
}

#[test]
fn so_many_of_the_last_judgements_have_to_be_breaches() {
    for (name, duration_s, (count, of), text, wanted) in [
        (
            "three of five",
            0,
            (3, 5),
            "x.x.x",
            vec!["pending@0", "firing@40!"],
        ),
        ("too far apart", 0, (3, 5), "x..x...x", vec!["pending@0"]),
        (
            "suspicion ends when no breach is left",
            0,
            (3, 5),
            "x.....",
            vec!["pending@0", "resolved@50"],
        ),
        (
            "fires on a breach, not on its absence",
            30,
            (2, 5),
            "xx..x",
            vec!["pending@0", "firing@40!"],
        ),
        (
            "stays while enough are breaches",
            0,
            (3, 5),
            "xxx..",
            vec!["pending@0", "firing@20!"],
        ),
        (
            "and ends when they are not",
            0,
            (3, 5),
            "xxx...",
            vec!["pending@0", "firing@20!", "resolved@50!"],
        ),
        (
            "no opinion is not counted",
            0,
            (2, 2),
            "x???x",
            vec!["pending@0", "firing@40!"],
        ),
        (
            "all in a row",
            0,
            (3, 3),
            "xx.xx.xxx",
            vec!["pending@0", "firing@80!"],
        ),
    ] {
        let options = AlertOptions {
            failures: Failures { count, of },
            ..AlertOptions::default()
        };
        assert_eq!(
            timeline(&living(duration_s, options), &judgements(text)),
            wanted,
            "{name}"
        );
    }
}

#[test]
fn it_fires_on_until_the_rule_was_satisfied_for_long_enough() {
    for (name, keep_s, text, wanted) in [
        (
            "as long as it says",
            30,
            "x....",
            vec!["firing@0!", "resolved@40!"],
        ),
        (
            "a breach starts the time anew",
            30,
            "x..x....",
            vec!["firing@0!", "resolved@70!"],
        ),
        (
            "no opinion does not",
            30,
            "x.??.",
            vec!["firing@0!", "resolved@40!"],
        ),
        (
            "one message for a storm",
            100,
            "x.x.x.x.x.x",
            vec!["firing@0!"],
        ),
    ] {
        let options = AlertOptions {
            keep_firing_for: Duration::from_secs(keep_s),
            ..AlertOptions::default()
        };
        assert_eq!(
            timeline(&living(0, options), &judgements(text)),
            wanted,
            "{name}"
        );
    }
    let options = AlertOptions {
        keep_firing_for: Duration::from_secs(600),
        ..AlertOptions::default()
    };
    assert_eq!(
        timeline(&living(60, options), &judgements("x.")),
        ["pending@0", "resolved@10"],
        "what never fired is not kept"
    );
}

#[test]
fn a_flapping_alert_is_told_of_when_it_begins_and_when_it_has_calmed() {
    // Six changes among the last judgements are 33.9 percent; each calm one lets them fade.
    let flapping = AlertOptions {
        flapping: Some(FlappingThresholds::default()),
        ..AlertOptions::default()
    };
    let before = [
        "firing@0!",
        "resolved@10!",
        "firing@20!",
        "resolved@30!",
        "firing@40!",
    ];
    let with = |more: &[&str]| {
        before
            .iter()
            .chain(more)
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    for (name, text, wanted) in [
        (
            "the end that would be its third begins it",
            "x.x.x.",
            with(&["firing@50~!"]),
        ),
        (
            "nothing is said while it goes on",
            "x.x.x.x.x.x.x.x.x.",
            with(&["firing@50~!"]),
        ),
        (
            "it calms down satisfied",
            "x.x.x................",
            with(&["firing@50~!", "resolved@200!"]),
        ),
        (
            "it calms down breached, and ends as any other",
            "x.x.x.xxxxxxxxxxxxxxxxxx.",
            with(&["firing@50~!", "firing@210", "resolved@240!"]),
        ),
        (
            "new judgements without a verdict calm nothing",
            "x.x.x.???????????????????",
            with(&["firing@50~!"]),
        ),
    ] {
        assert_eq!(
            timeline(&living(0, flapping), &judgements(text)),
            wanted,
            "{name}"
        );
    }
    let never = timeline(
        &living(0, AlertOptions::default()),
        &judgements("x.x.x.x.x."),
    );
    assert_eq!(
        never.len(),
        10,
        "switched off, each change is told: {never:?}"
    );
}

#[test]
fn below_its_duration_nobody_hears_of_flapping() {
    let flapping = AlertOptions {
        flapping: Some(FlappingThresholds::default()),
        ..AlertOptions::default()
    };
    let story = timeline(&living(30, flapping), &judgements("x.x.x.x.x.x."));
    assert!(
        story.iter().all(|change| !change.contains('!')),
        "{story:?}"
    );
    let story = timeline(&living(30, flapping), &judgements("x.x.x.x.xxxxx"));
    assert_eq!(
        story.last().unwrap(),
        "firing@110~!",
        "and when it fires, it says so at once"
    );
}

#[test]
fn who_is_on_it_is_not_told_of_flapping() {
    let options = AlertOptions {
        flapping: Some(FlappingThresholds::default()),
        ..AlertOptions::default()
    };
    let mut kept = Kept::default();
    for (second, verdict) in judgements("x.x.x") {
        kept.judge(&verdict, &living(0, options), second);
    }
    let acknowledged = acknowledge(kept.alert.as_ref().unwrap(), by("ann", 45, None)).unwrap();
    kept.alert = Some(alert_of(&acknowledged.alert, AlertId(1)));
    kept.judge(&ok(), &living(0, options), 50);
    assert_eq!(kept.story.last().unwrap(), "acknowledged@50~");
}

fn by(name: &str, second: i64, until_s: Option<i64>) -> Acknowledgement {
    Acknowledgement {
        by: name.to_owned(),
        at_ms: second * SECOND,
        until_ms: until_s.map(|second| second * SECOND),
        note: "looking".to_owned(),
    }
}

#[test]
fn somebody_is_on_it_until_the_time_is_over() {
    let fired = fired();
    let change = acknowledge(&fired, by("ann", 10, Some(3_600))).unwrap();
    assert_eq!(
        (change.event.from, change.event.to),
        (Some(AlertState::Firing), AlertState::Acknowledged)
    );
    assert_eq!((change.event.actor.as_str(), change.notify), ("ann", None));
    assert_eq!(
        change.event.reason,
        "acknowledged until 1970-01-01T01:00:00Z: looking"
    );
    let alert = alert_of(&change.alert, AlertId(7));
    assert_eq!(expire(&alert, 3_599_999), None);
    let change = expire(&alert, 3_600_000).unwrap();
    assert_eq!(
        (change.alert.state, change.notify),
        (AlertState::Firing, Some(NotificationStatus::Firing))
    );
    assert_eq!(
        (change.event.actor.as_str(), change.event.reason.as_str()),
        (ENGINE, "the acknowledgement by ann ran out")
    );
    assert_eq!(
        expire(&alert_of(&change.alert, AlertId(7)), 9_000_000),
        None,
        "once"
    );

    let change = unacknowledge(&alert, "bob", "", 20_000).unwrap();
    assert_eq!(
        (change.alert.state, change.event.actor.as_str()),
        (AlertState::Firing, "bob")
    );
    assert_eq!(
        unacknowledge(&fired, "bob", "", 20_000),
        None,
        "nobody is on it"
    );
    let unlimited = alert_of(
        &acknowledge(&fired, by("ann", 10, None)).unwrap().alert,
        AlertId(7),
    );
    assert_eq!(expire(&unlimited, i64::MAX), None);
    let pending = judge(
        None,
        &RuleMemory::default(),
        &breached(),
        &living(60, AlertOptions::default()),
        0,
    )
    .change
    .unwrap();
    assert_eq!(
        acknowledge(&alert_of(&pending.alert, AlertId(1)), by("ann", 0, None)),
        None
    );
    let ended = resolve_by_hand(&fired, "ann", "", 5).unwrap();
    assert_eq!(
        acknowledge(&alert_of(&ended.alert, AlertId(1)), by("ann", 0, None)),
        None
    );
}

#[test]
fn what_a_person_resolved_stays_so_until_the_rule_is_satisfied_once() {
    let rule = rule("shop-api", "Down");
    let mut kept = Kept {
        alert: Some(fired()),
        ..Kept::default()
    };
    let change = resolve_by_hand(
        kept.alert.as_ref().unwrap(),
        "ann",
        "the vendor knows",
        10 * SECOND,
    )
    .unwrap();
    assert_eq!(
        (change.event.actor.as_str(), change.event.reason.as_str()),
        ("ann", "resolved by hand: the vendor knows")
    );
    assert_eq!(change.notify, Some(NotificationStatus::Resolved));
    kept.take(
        Judgement {
            memory: RuleMemory {
                is_held: true,
                ..kept.memory
            },
            change: Some(Box::new(change)),
        },
        10,
    );
    for (second, verdict) in [
        (20, breached()),
        (30, no_opinion()),
        (40, breached()),
        (50, ok()),
        (60, breached()),
    ] {
        kept.judge(&verdict, &rule, second);
    }
    assert_eq!(kept.story, ["resolved@10!", "firing@60!"]);
    assert_eq!(
        resolve_by_hand(
            &Alert {
                state: AlertState::Resolved,
                ..fired()
            },
            "ann",
            "",
            0
        ),
        None
    );
}

#[test]
fn no_data_counts_as_the_rule_says() {
    let silence = || Finding {
        summary: "no verdict for 10m".to_owned(),
        ..Finding::default()
    };
    for (no_data, open, wanted) in [
        (NoData::Keep, false, vec![]),
        (NoData::Keep, true, vec![]),
        (NoData::Ok, false, vec![]),
        (NoData::Ok, true, vec!["resolved@600!"]),
        (NoData::Alert, false, vec!["firing@600!"]),
        (NoData::Alert, true, vec![]),
    ] {
        let rule = living(
            0,
            AlertOptions {
                no_data,
                ..AlertOptions::default()
            },
        );
        let mut kept = Kept {
            alert: open.then(fired),
            ..Kept::default()
        };
        for second in [600, 615] {
            let judged = judge_no_data(
                kept.alert.as_ref(),
                &kept.memory,
                silence(),
                &rule,
                second * SECOND,
            );
            kept.take(judged, second);
        }
        assert_eq!(kept.story, wanted, "{no_data:?} {open}");
    }

    let options = AlertOptions {
        no_data: NoData::Alert,
        failures: Failures { count: 3, of: 5 },
        ..AlertOptions::default()
    };
    let rule = living(30, options);
    let mut kept = Kept::default();
    for second in [600, 615, 630] {
        let judged = judge_no_data(
            kept.alert.as_ref(),
            &kept.memory,
            silence(),
            &rule,
            second * SECOND,
        );
        kept.take(judged, second);
    }
    assert_eq!(
        kept.story,
        ["pending@600", "firing@630!"],
        "its duration counts, its count of failures does not"
    );
    let alert = kept.alert.clone().unwrap();
    assert!(
        alert.flags.no_data && alert.summary == "no verdict for 10m",
        "{alert:?}"
    );
    kept.judge(&breached(), &rule, 640);
    assert!(
        !kept.alert.as_ref().unwrap().flags.no_data,
        "a breach of its own"
    );
    assert_eq!(kept.story.len(), 3);
}

#[test]
fn acknowledged_and_suppressed_alerts_stay_until_the_rule_is_satisfied() {
    let rule = rule("shop-api", "Down");
    for state in [AlertState::Acknowledged, AlertState::Suppressed] {
        let alert = Alert { state, ..fired() };
        let judged = |verdict: &Verdict, ms| {
            judge(Some(&alert), &RuleMemory::default(), verdict, &rule, ms).change
        };
        assert_eq!(judged(&breached(), 10), None);
        assert_eq!(judged(&no_opinion(), 10), None);
        let change = judged(&ok(), 20).expect("must resolve");
        assert_eq!(change.alert.state, AlertState::Resolved);
        assert_eq!(change.event.from, Some(state));
        assert_eq!(change.notify, Some(NotificationStatus::Resolved));
    }
}

#[test]
fn a_removed_rule_tells_only_those_who_were_told() {
    let mut kept = Kept::default();
    kept.judge(&breached(), &living(60, AlertOptions::default()), 0);
    let change = remove(kept.alert.as_ref().unwrap(), 5);
    assert_eq!(
        (change.notify, change.event.reason.as_str()),
        (None, "rule removed")
    );
    kept.judge(&breached(), &living(60, AlertOptions::default()), 60);
    let change = remove(kept.alert.as_ref().unwrap(), 61_000);
    assert_eq!(change.notify, Some(NotificationStatus::Resolved));
    assert_eq!(change.alert.summary, "found 90, wanted 99.5");
}

#[test]
fn texts_show_the_value_found_beside_the_value_wanted() {
    let finding = |summary: &str, value, wanted| Finding {
        summary: summary.into(),
        value,
        wanted,
        details: vec![],
    };
    for (finding, wanted) in [
        (
            finding("p95 is 2 s, wanted at most 1 s", Some(2.0), Some(1.0)),
            "p95 is 2 s, wanted at most 1 s",
        ),
        (finding("", Some(2.0), Some(1.0)), "found 2, wanted 1"),
        (finding(" ", Some(2.0), None), "found 2"),
        (finding("", None, None), "rule `Down` is breached"),
    ] {
        let mut kept = Kept::default();
        kept.judge(&Verdict::Breached(finding), &rule("a", "Down"), 0);
        assert_eq!(kept.alert.unwrap().summary, wanted);
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

fn lives() -> impl Strategy<Value = AlertOptions> {
    (1..5_u32, 0..3_u32, 0..100_u64, any::<bool>()).prop_map(|(count, more, keep_s, flaps)| {
        AlertOptions {
            failures: Failures {
                count,
                of: count + more,
            },
            keep_firing_for: Duration::from_secs(keep_s),
            flapping: flaps.then(FlappingThresholds::default),
            ..AlertOptions::default()
        }
    })
}

proptest! {
    #[test]
    fn states_follow_each_other_only_as_drawn(duration_s in 0..200_u64, options in lives(), steps in verdicts()) {
        let rule = living(duration_s, options);
        let (mut current, mut memory): (Option<Alert>, _) = (None, RuleMemory::default());
        for (second, verdict) in steps {
            let judged = judge(current.as_ref(), &memory, &verdict, &rule, second * SECOND);
            memory = judged.memory;
            let Some(change) = judged.change else { continue };
            let from = current.as_ref().map(|alert| alert.state).filter(|state| state.is_open());
            prop_assert_eq!(change.event.from, from);
            prop_assert_eq!(change.event.to, change.alert.state);
            let begins = change.alert.flags.flapping;
            let told = match (from, change.alert.state) {
                (None, AlertState::Pending) => None,
                (None | Some(AlertState::Pending), AlertState::Firing) => Some(NotificationStatus::Firing),
                (Some(AlertState::Pending), AlertState::Resolved) => None,
                (Some(AlertState::Firing), AlertState::Firing) => begins.then_some(NotificationStatus::Firing),
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
