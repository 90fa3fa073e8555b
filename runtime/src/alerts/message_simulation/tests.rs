//! Messages that a backtest counts.

use std::time::Duration;

use super::*;
use crate::alerts::fakes::{self, EPOCH_MS, rule};
use crate::domain::{EscalationStep, Matcher, Silence, StepRepeat};

const MINUTE_MS: i64 = 60_000;

/// Fired and ended at these minutes; 0 for never.
fn episodes(rule: AlertRule, spans: &[(i64, i64)]) -> RuleEpisodes {
    let episode = |(fired, ended): &(i64, i64)| Episode {
        started_ms: EPOCH_MS + fired * MINUTE_MS,
        fired_ms: EPOCH_MS + fired * MINUTE_MS,
        resolved_ms: (*ended != 0).then_some(EPOCH_MS + ended * MINUTE_MS),
        summary: String::new(),
        flapping: Vec::new(),
    };
    RuleEpisodes {
        rule: Arc::new(rule),
        episodes: spans.iter().map(episode).collect(),
    }
}

fn by_channel(counted: &MessageCount) -> Vec<(&str, u64)> {
    counted
        .messages
        .iter()
        .map(|(channel, count)| (channel.0.as_str(), *count))
        .collect()
}

#[test]
fn the_steps_of_an_escalation_are_messages_until_the_alert_ends() {
    let escalated = AlertRule {
        escalation: Some("ladder".to_owned()),
        ..rule("shop-api", "Down")
    };
    let mut catalog = fakes::catalog(std::slice::from_ref(&escalated));
    let step = |minutes: u64, channel: &str, repeat| EscalationStep {
        wait: Duration::from_secs(60 * minutes),
        channels: vec![ChannelId(channel.to_owned())],
        repeat,
        hours: None,
    };
    let twice = StepRepeat {
        every: Duration::from_secs(120),
        times: Some(1),
    };
    let steps = vec![step(5, "pager", Some(twice)), step(10, "boss", None)];
    catalog.escalations.insert(
        "ladder".to_owned(),
        Arc::new(EscalationPolicy {
            name: "ladder".to_owned(),
            steps,
        }),
    );
    for name in ["pager", "boss"] {
        catalog
            .channels
            .insert(ChannelId(name.to_owned()), Arc::new(fakes::channel(name)));
    }
    let until_ms = EPOCH_MS + 500 * MINUTE_MS;
    for (name, spans, wanted) in [
        (
            "over before the first step",
            vec![(0, 4)],
            vec![("slack-1", 2)],
        ),
        (
            "the first step, and its end",
            vec![(0, 6)],
            vec![("pager", 2), ("slack-1", 2)],
        ),
        (
            "the step again",
            vec![(0, 8)],
            vec![("pager", 3), ("slack-1", 2)],
        ),
        (
            "the next step",
            vec![(0, 20)],
            vec![("boss", 2), ("pager", 3), ("slack-1", 2)],
        ),
        (
            "each alert by itself",
            vec![(0, 6), (100, 106)],
            vec![("pager", 4), ("slack-1", 4)],
        ),
        (
            "one that does not end",
            vec![(0, 0)],
            vec![("boss", 1), ("pager", 2), ("slack-1", 1)],
        ),
    ] {
        let counted = count_messages(
            &[episodes(escalated.clone(), &spans)],
            &[],
            &catalog,
            &Mutes::default(),
            until_ms,
        );
        assert_eq!(by_channel(&counted), wanted, "{name}");
    }
}

#[test]
fn a_silence_of_that_time_says_what_it_kept_quiet() {
    let rule = rule("shop-api", "Down");
    let catalog = fakes::catalog(std::slice::from_ref(&rule));
    let silence = Silence {
        id: 7,
        matchers: vec![Matcher::parse("service=shop-api").unwrap()],
        starts_ms: EPOCH_MS + 30 * MINUTE_MS,
        ends_ms: EPOCH_MS + 60 * MINUTE_MS,
        author: "ana".to_owned(),
        comment: "moving".to_owned(),
    };
    let mutes = Mutes {
        silences: vec![silence],
        ..Mutes::default()
    };
    // Before it, within it, from it on, and not over when it begins.
    let silenced = episodes(rule, &[(1, 2), (31, 32), (50, 70), (100, 0)]);
    let counted = count_messages(
        &[silenced],
        &[],
        &catalog,
        &mutes,
        EPOCH_MS + 200 * MINUTE_MS,
    );
    assert_eq!(by_channel(&counted), [("slack-1", 5)]);
    let muted: Vec<_> = counted
        .suppressed_by
        .iter()
        .map(|((_, episode), mute)| (*episode, mute.as_str()))
        .collect();
    assert_eq!(muted, [(1, "silence 7"), (2, "silence 7")]);
}
