//! Timing and deduplication of a group's messages, as a pure function over the clock, like
//! Alertmanager's dispatcher. Two things differ, so that no outage seems to go on after its end:
//! the end of an alert that was notified is sent even if it is muted by then; and a message of a
//! repeat holds what is muted by nothing.

use std::collections::BTreeMap;

use crate::domain::{AlertId, NotifyState, Timing, UnixMillis};

/// One alert in a group. A rule that is breached again before its end was sent goes on as
/// if it had never ended, with its new alert in the place of the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Key of the rule: `SERVICE/NAME`.
    pub(super) rule: String,
    pub(super) alert: AlertId,
    pub(super) is_firing: bool,
    /// Silenced, inhibited, in maintenance, acknowledged or flapping: that it fires is not sent.
    pub(super) is_muted: bool,
    pub(super) notify_state: NotifyState,
}

/// Returns the moment of the first look at a group that begins with an alert. An alert that has
/// waited for long already, say while the program was off, waits no longer.
pub fn first_flush_ms(timing: &Timing, fired_ms: UnixMillis, now_ms: UnixMillis) -> UnixMillis {
    let wait_ms = timing.wait.as_millis() as i64;
    (fired_ms + wait_ms).clamp(now_ms, now_ms + wait_ms)
}

/// Decision on a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flush {
    /// Content of the message; none: nothing is sent.
    pub(super) message: Option<Message>,
    /// New states, where they change.
    pub(super) notify_states: Vec<(AlertId, NotifyState)>,
    /// Alerts that ended and have been told of, or need not be, or have another one in their
    /// place.
    pub(super) leave: Vec<AlertId>,
    /// Moment of the next look; none: the group has ended.
    pub(super) next_flush_ms: Option<UnixMillis>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) firing: Vec<AlertId>,
    pub(super) resolved: Vec<AlertId>,
    /// Whether nothing is new in it.
    pub(super) is_repeat: bool,
}

/// Called when the group's moment has come. `members` are in the order in which they came,
/// `last_notified_ms` is the moment of the last message.
pub(super) fn flush(
    members: &[Member],
    last_notified_ms: Option<UnixMillis>,
    timing: &Timing,
    now_ms: UnixMillis,
) -> Flush {
    let (current, mut leave) = newest_of_each_rule(members);
    let firing: Vec<&Member> = current
        .iter()
        .filter(|member| member.is_firing && !member.is_muted)
        .collect();
    let resolved: Vec<&Member> = current
        .iter()
        .filter(|member| !member.is_firing && member.notify_state.was_notified())
        .collect();

    let is_new = firing
        .iter()
        .any(|member| member.notify_state.needs_message());
    let is_due_again = !firing.is_empty()
        && last_notified_ms.is_some_and(|last_notified_ms| {
            now_ms.saturating_sub(last_notified_ms) >= timing.repeat.as_millis() as i64
        });
    let has_news = is_new || !resolved.is_empty();
    let sends = has_news || is_due_again;

    leave.extend(
        current
            .iter()
            .filter(|member| !member.is_firing)
            .map(|member| member.alert),
    );
    let is_over = current.iter().all(|member| !member.is_firing);
    let next_ms = now_ms + timing.interval.as_millis().max(1) as i64;
    let message = sends.then(|| Message {
        firing: ids(&firing),
        resolved: ids(&resolved),
        is_repeat: !has_news,
    });
    Flush {
        message,
        notify_states: changed_states(members, &current, sends),
        leave,
        next_flush_ms: (!is_over).then_some(next_ms),
    }
}

/// States of the alerts that fire, where they change.
fn changed_states(
    members: &[Member],
    current: &[Member],
    sends: bool,
) -> Vec<(AlertId, NotifyState)> {
    let before = |id: AlertId| {
        members
            .iter()
            .find(|member| member.alert == id)
            .map(|member| member.notify_state)
    };
    // A muted alert that was notified keeps its state: its end will be sent.
    let after = |member: &Member| {
        if sends && !member.is_muted {
            NotifyState::Notified
        } else {
            member.notify_state
        }
    };
    current
        .iter()
        .filter(|member| member.is_firing)
        .map(|member| (member.alert, after(member)))
        .filter(|(alert, state)| before(*alert) != Some(*state))
        .collect()
}

/// The newest alert of each rule, which takes over what people know of the ones before, and the ids
/// of those.
fn newest_of_each_rule(members: &[Member]) -> (Vec<Member>, Vec<AlertId>) {
    let mut newest: BTreeMap<&str, usize> = BTreeMap::new();
    let mut current: Vec<Member> = Vec::new();
    let mut replaced = Vec::new();
    for member in members {
        match newest.get(member.rule.as_str()) {
            None => {
                newest.insert(&member.rule, current.len());
                current.push(member.clone());
            }
            Some(index) => {
                let before = &mut current[*index];
                replaced.push(before.alert);
                let notify_state = if member.notify_state == NotifyState::Pending
                    && before.notify_state.was_notified()
                {
                    before.notify_state
                } else {
                    member.notify_state
                };
                *before = Member {
                    notify_state,
                    ..member.clone()
                };
            }
        }
    }
    (current, replaced)
}

fn ids(members: &[&Member]) -> Vec<AlertId> {
    members.iter().map(|member| member.alert).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    const TIMING: Timing = Timing {
        wait: Duration::from_secs(30),
        interval: Duration::from_secs(300),
        repeat: Duration::from_secs(3_600),
    };

    /// Event of an alert at a second: it fires, ends, is muted or unmuted.
    #[derive(Clone, Copy)]
    enum Act {
        Fire,
        End,
        Mute,
        Unmute,
    }
    use Act::*;

    /// Plays a timeline of one group and notes each message as `second: firing/resolved`. An alert
    /// that fires again is another one of the same rule.
    fn play(acts: &[(i64, i64, Act)], until_s: i64) -> Vec<String> {
        let mut members: BTreeMap<i64, Member> = BTreeMap::new();
        let (mut next_flush_ms, mut last_notified_ms) = (None, None);
        let mut log = Vec::new();
        for second in 0..=until_s {
            let now_ms = second * 1_000;
            for (_, rule, act) in acts.iter().filter(|(at, ..)| *at == second) {
                let latest = members
                    .values_mut()
                    .rev()
                    .find(|member| member.rule == rule.to_string());
                match (act, latest) {
                    (Fire, _) => {
                        let id = now_ms + rule;
                        let (rule, notify_state) = (rule.to_string(), NotifyState::Pending);
                        let member = Member {
                            rule,
                            alert: AlertId(id),
                            is_firing: true,
                            is_muted: false,
                            notify_state,
                        };
                        members.insert(id, member);
                        next_flush_ms
                            .get_or_insert_with(|| first_flush_ms(&TIMING, now_ms, now_ms));
                    }
                    (End, Some(member)) => member.is_firing = false,
                    (Mute, Some(member)) => member.is_muted = true,
                    (Unmute, Some(member)) => member.is_muted = false,
                    (_, None) => panic!("nothing fires"),
                }
            }
            if next_flush_ms.is_none_or(|next_ms| next_ms > now_ms) {
                continue;
            }
            let present: Vec<Member> = members.values().cloned().collect();
            let flushed = flush(&present, last_notified_ms, &TIMING, now_ms);
            for (alert, state) in flushed.notify_states {
                members.get_mut(&alert.0).unwrap().notify_state = state;
            }
            if let Some(Message {
                firing, resolved, ..
            }) = flushed.message
            {
                let names = |alerts: &[AlertId]| {
                    alerts
                        .iter()
                        .map(|alert| members[&alert.0].rule.clone())
                        .collect::<Vec<_>>()
                        .join("+")
                };
                log.push(format!("{second}: {}/{}", names(&firing), names(&resolved)));
                last_notified_ms = Some(now_ms);
            }
            flushed
                .leave
                .iter()
                .for_each(|alert| drop(members.remove(&alert.0)));
            next_flush_ms = flushed.next_flush_ms;
            if next_flush_ms.is_none() {
                assert!(members.is_empty());
                last_notified_ms = None;
            }
        }
        log
    }

    #[test]
    fn groups_speak_as_the_table_says() {
        for (name, acts, until_s, wanted) in [
            (
                "waits for others first",
                vec![(0, 1, Fire), (10, 2, Fire), (29, 3, Fire)],
                60,
                vec!["30: 1+2+3/"],
            ),
            (
                "what comes later waits for the interval",
                vec![(0, 1, Fire), (40, 2, Fire), (50, 3, Fire)],
                400,
                vec!["30: 1/", "330: 1+2+3/"],
            ),
            (
                "repeats when nothing changes",
                vec![(0, 1, Fire)],
                7_300,
                vec!["30: 1/", "3630: 1/", "7230: 1/"],
            ),
            (
                "an alert that ends before the first message is not told of",
                vec![(0, 1, Fire), (20, 1, End)],
                400,
                vec![],
            ),
            (
                "an end is told of once, with the next interval",
                vec![(0, 1, Fire), (60, 1, End)],
                2_000,
                vec!["30: 1/", "330: /1"],
            ),
            (
                "a partial end says what is left",
                vec![(0, 1, Fire), (1, 2, Fire), (60, 1, End)],
                400,
                vec!["30: 1+2/", "330: 2/1"],
            ),
            (
                "a repeat is counted from the last message, whatever it was for",
                vec![(0, 1, Fire), (1_000, 2, Fire)],
                5_000,
                vec!["30: 1/", "1230: 1+2/", "4830: 1+2/"],
            ),
            (
                "a muted alert is not told of",
                vec![(0, 1, Fire), (1, 1, Mute)],
                5_000,
                vec![],
            ),
            (
                "and is when it is heard again",
                vec![(0, 1, Fire), (1, 1, Mute), (500, 1, Unmute)],
                1_000,
                vec!["630: 1/"],
            ),
            (
                "the end of an alert that was told of is told of, muted or not",
                vec![(0, 1, Fire), (60, 1, Mute), (400, 1, End)],
                2_000,
                vec!["30: 1/", "630: /1"],
            ),
            (
                "muting silences repeats, and the end still comes",
                vec![(0, 1, Fire), (60, 1, Mute), (4_000, 1, End)],
                5_000,
                vec!["30: 1/", "4230: /1"],
            ),
            (
                "others are told of beside a muted one, whose end still comes",
                vec![(0, 1, Fire), (60, 1, Mute), (70, 2, Fire), (700, 1, End)],
                1_000,
                vec!["30: 1/", "330: 2/", "930: 2/1"],
            ),
            (
                "unmuted without a change, nothing new is said before the repeat",
                vec![(0, 1, Fire), (60, 1, Mute), (400, 1, Unmute)],
                3_700,
                vec!["30: 1/", "3630: 1/"],
            ),
            (
                "one that ends and fires again within an interval is not told of twice",
                vec![(0, 1, Fire), (60, 1, End), (90, 1, Fire)],
                400,
                vec!["30: 1/"],
            ),
            (
                "a group that ended begins anew",
                vec![(0, 1, Fire), (60, 1, End), (400, 2, Fire)],
                500,
                vec!["30: 1/", "330: /1", "430: 2/"],
            ),
        ] {
            assert_eq!(play(&acts, until_s), wanted, "{name}");
        }
    }

    #[test]
    fn an_alert_that_has_waited_already_waits_no_longer() {
        assert_eq!(first_flush_ms(&TIMING, 0, 20_000), 30_000);
        assert_eq!(first_flush_ms(&TIMING, 0, 90_000), 90_000);
        assert_eq!(
            first_flush_ms(&TIMING, 500_000, 90_000),
            120_000,
            "a clock that was set back"
        );
    }

    #[test]
    fn what_was_refused_is_not_new_and_its_end_is_not_told() {
        let member = |notify_state, is_firing| Member {
            rule: "a".to_owned(),
            alert: AlertId(1),
            is_firing,
            is_muted: false,
            notify_state,
        };
        assert_eq!(
            flush(
                &[member(NotifyState::Rejected, true)],
                Some(0),
                &TIMING,
                1_000
            )
            .message,
            None
        );
        assert_eq!(
            flush(
                &[member(NotifyState::Rejected, false)],
                Some(0),
                &TIMING,
                1_000
            )
            .message,
            None
        );
        let again = flush(&[member(NotifyState::Stale, true)], Some(0), &TIMING, 1_000);
        assert_eq!(again.message.map(|message| message.is_repeat), Some(false));
        assert_eq!(again.notify_states, [(AlertId(1), NotifyState::Notified)]);
        let repeat = flush(
            &[member(NotifyState::Rejected, true)],
            Some(0),
            &TIMING,
            3_600_000,
        );
        assert_eq!(repeat.message.map(|message| message.is_repeat), Some(true));
    }
}
