use std::collections::VecDeque;

use futures::executor::block_on;

use super::*;
use crate::alerts::fakes::{EPOCH_MS, breached, observation, ok, rule};
use crate::alerts::history::Reach;
use crate::alerts::lifecycle::alert_of;
use crate::alerts::ports::PortError;
use crate::domain::{AlertOptions, AlertState, RuleMemory, Status};

const MINUTE_MS: i64 = 60_000;

/// Gives these verdicts in their order, and notes as of when and over how many runs.
#[derive(Default)]
struct Scripted {
    verdicts: VecDeque<PortResult<Verdict>>,
    seen: Vec<(UnixMillis, u32)>,
}

impl RuleSession for Scripted {
    async fn evaluate(
        &mut self,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> PortResult<Verdict> {
        let runs = history.summary(Duration::from_secs(3_600)).count;
        self.seen.push((now_ms, runs as u32));
        self.verdicts.pop_front().unwrap_or_else(|| Ok(ok()))
    }
}

fn session(verdicts: impl IntoIterator<Item = Verdict>) -> Scripted {
    Scripted {
        verdicts: verdicts.into_iter().map(Ok).collect(),
        seen: Vec::new(),
    }
}

fn minute(minute: i64) -> UnixMillis {
    EPOCH_MS + minute * MINUTE_MS
}

fn evaluator(rule: AlertRule) -> RuleEvaluator {
    let after = Some(Duration::from_secs(300));
    RuleEvaluator::new(Arc::new(rule), after, RuleState::default(), EPOCH_MS)
}

/// One run a minute with these results, the last of which is returned as well.
fn history(statuses: &[Status]) -> (Arc<ServiceHistory>, Observation) {
    let mut history = ServiceHistory::new(Reach {
        look_back: Duration::from_secs(3_600),
        interval: Duration::from_secs(60),
    });
    let runs: Vec<Observation> = (1..)
        .zip(statuses)
        .map(|(at, status)| Observation {
            run_id: at,
            ..observation("shop-api", minute(at), *status)
        })
        .collect();
    for run in &runs {
        history.push(Arc::new(run.clone()));
    }
    (Arc::new(history), runs.last().unwrap().clone())
}

#[test]
fn a_breach_leads_to_nothing_while_the_probe_repeats_its_run_unless_an_alert_is_open() {
    use Status::{Healthy, Unhealthy};
    for (statuses, retries, is_open, is_retrying) in [
        (&[Healthy, Unhealthy][..], Some(1), false, true),
        (&[Healthy, Unhealthy], None, false, false),
        (&[Unhealthy, Unhealthy], Some(1), false, false),
        (&[Healthy, Unhealthy], Some(1), true, false),
    ] {
        let (history, last) = history(statuses);
        let mut evaluator = evaluator(rule("shop-api", "Down"));
        let breach = Outcome::Verdict {
            verdict: breached(),
            now_ms: EPOCH_MS,
        };
        if is_open {
            let decided = evaluator.state().decide(&breach, &evaluator.rule().clone());
            evaluator.state_mut().apply(&decided);
        }
        let mut session = session([breached()]);
        let evaluation = block_on(evaluator.on_observation(&history, &last, retries, &mut session));
        assert!(evaluation.is_decided());
        assert_eq!(evaluation.is_retrying, is_retrying, "{statuses:?}");
        assert_eq!(evaluation.into_outcome().is_none(), is_retrying);
    }
}

#[test]
fn a_rule_is_never_evaluated_as_of_a_moment_before_its_last_tick() {
    let (history, last) = history(&[Status::Healthy, Status::Healthy]);
    let mut evaluator = evaluator(rule("shop-api", "Down"));
    let mut session = session([]);
    let later = Arc::new(history.at(minute(9)));
    block_on(async {
        let first = evaluator.on_observation(&history, &last, None, &mut session);
        assert_eq!(first.await.now_ms, minute(2));
        evaluator.on_tick(&later, &mut session).await;
        let after = evaluator.on_observation(&history, &last, None, &mut session);
        assert_eq!(after.await.now_ms, minute(9));
        evaluator.set_clock_back(minute(4));
        let back = evaluator.on_observation(&history, &last, None, &mut session);
        assert_eq!(back.await.now_ms, minute(4));
    });
    let moments = session.seen.iter().map(|(now_ms, _)| *now_ms);
    assert!(moments.eq([2, 9, 9, 4].map(minute)));
}

#[test]
fn a_rule_for_one_probe_sees_the_runs_of_that_probe_alone() {
    let (history, last) = history(&[Status::Healthy, Status::Healthy, Status::Healthy]);
    for (probe, runs) in [(last.probe.as_str(), 3), ("another", 0)] {
        let mut evaluator = evaluator(AlertRule {
            probes: Some(vec![probe.to_owned()]),
            ..rule("shop-api", "Down")
        });
        let mut session = session([]);
        block_on(evaluator.on_observation(&history, &last, None, &mut session));
        assert_eq!(session.seen, [(minute(3), runs)], "{probe}");
    }
}

fn counting_as(no_data: NoData) -> RuleEvaluator {
    evaluator(AlertRule {
        duration: Duration::from_secs(120),
        options: AlertOptions {
            no_data,
            ..AlertOptions::default()
        },
        ..rule("shop-api", "Down")
    })
}

#[test]
fn a_silence_is_noticed_once_and_counted_until_there_is_nothing_more_to_do() {
    for (no_data, outcomes) in [
        (NoData::Keep, [false, false, false, false]),
        (NoData::Ok, [true, false, false, false]),
        // Pending, pending still, firing.
        (NoData::Alert, [true, true, true, false]),
    ] {
        let mut evaluator = counting_as(no_data);
        assert_eq!(evaluator.silence_due_ms(), Some(minute(5)));
        assert_eq!(evaluator.on_silence(minute(5) - 1, None), None);
        for (at, is_counted) in (5..).zip(outcomes) {
            let notice = evaluator.on_silence(minute(at), None);
            let is_new = notice.as_ref().is_some_and(|notice| notice.is_new);
            assert_eq!(is_new, at == 5, "{no_data:?} {at}");
            let outcome = notice.and_then(|notice| notice.outcome);
            assert_eq!(outcome.is_some(), is_counted, "{no_data:?} {at}");
            if let Some(outcome) = outcome {
                let decided = evaluator
                    .state()
                    .decide(&outcome, &evaluator.rule().clone());
                evaluator.state_mut().apply(&decided);
            }
        }
        assert_eq!(evaluator.silence_due_ms(), None, "{no_data:?}");
        let alert = evaluator.state().alert.as_ref();
        let fired_ms = alert.map(|alert| alert.fired_ms);
        let wanted = (no_data == NoData::Alert).then_some(Some(minute(7)));
        assert_eq!(fired_ms, wanted);

        let (history, last) = history(&[Status::Healthy; 20]);
        block_on(evaluator.on_observation(&history, &last, None, &mut session([])));
        assert_eq!(evaluator.silence_due_ms(), Some(minute(25)), "{no_data:?}");
    }
}

#[test]
fn the_reason_of_a_silence_is_the_nearest_one_that_is_known() {
    let (history, last) = history(&[Status::Healthy]);
    let no_opinion = || Ok(Verdict::NoOpinion("too few runs".to_owned()));
    let failure = || Err(PortError("it traps".to_owned()));
    for (verdict, broken, reason) in [
        (None, None, "no run of its probes gave an answer"),
        (
            None,
            Some("no route"),
            "no run of its probes gave an answer; the last one: no route",
        ),
        (Some(no_opinion()), None, "too few runs"),
        (
            Some(no_opinion()),
            Some("no route"),
            "no run of its probes gave an answer; the last one: no route",
        ),
        (Some(failure()), None, "the rule fails: it traps"),
        (
            Some(failure()),
            Some("no route"),
            "the rule fails: it traps",
        ),
        (Some(Ok(ok())), None, "no run of its probes gave an answer"),
    ] {
        let mut evaluator = counting_as(NoData::Alert);
        if let Some(verdict) = verdict {
            let mut session = session([]);
            session.verdicts.push_back(verdict);
            block_on(evaluator.on_observation(&history, &last, None, &mut session));
        }
        let notice = evaluator.on_silence(minute(60), broken).unwrap();
        let summary = notice.finding.summary;
        assert!(summary.ends_with(&format!(": {reason}")), "{summary}");
    }
}

#[test]
fn a_decision_changes_nothing_until_it_is_applied() {
    let rule = rule("shop-api", "Down");
    let mut state = RuleState::default();
    let outcome = |verdict, now_ms| Outcome::Verdict { verdict, now_ms };
    let decided = state.decide(&outcome(breached(), minute(1)), &rule);
    assert!(state.is_empty() && decided.change.is_some());
    state.apply(&decided);
    let alert = state.alert.clone().unwrap();
    assert_eq!((alert.state, alert.id), (AlertState::Firing, UNSAVED));
    assert_eq!(state.memory, Some(decided.memory));
    let decided = state.decide(&outcome(ok(), minute(2)), &rule);
    state.apply(&decided);
    assert_eq!(state.alert, None, "it has ended");
    assert!(!state.is_empty(), "what the rule remembers is kept");
}

#[test]
fn the_store_decides_about_the_alert_and_about_what_people_did() {
    let rule = rule("shop-api", "Down");
    let breach = Outcome::Verdict {
        verdict: breached(),
        now_ms: EPOCH_MS,
    };
    let decided = RuleState::default().decide(&breach, &rule);
    let alert = alert_of(&decided.change.unwrap().alert, UNSAVED);
    let memory = |breaches, is_held| {
        Some(RuleMemory {
            breaches,
            is_held,
            ..RuleMemory::default()
        })
    };
    for (here, stored, kept) in [
        (None, None, None),
        (None, memory(1, true), memory(1, true)),
        (memory(3, false), None, memory(3, false)),
        (memory(3, true), None, None),
        (memory(3, false), memory(1, true), memory(3, true)),
    ] {
        let mut state = RuleState {
            alert: None,
            memory: here,
        };
        state.take_stored(Some(alert.clone()), stored);
        assert_eq!(state.memory, kept, "{here:?} {stored:?}");
        assert!(state.alert.is_some());
        state.take_stored(None, stored);
        assert!(state.alert.is_none());
    }
}
