//! When a group of alerts is told of, as a pure function over the clock: Alertmanager's dispatcher
//! and its deduplication.
//!
//! Two things differ, both so that nobody is left thinking that something is still broken: an alert
//! that people were told of is told of again when it ends, even if it is muted by then; and a
//! message of a repeat holds what is muted by nothing.

use std::collections::BTreeMap;

use crate::domain::{AlertId, Timing, Told, UnixMillis};

/// One alert in a group. A rule that is breached again before anyone was told of its end goes on as
/// if it had never ended, with its new alert in the place of the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Key of the rule: `SERVICE/NAME`.
    pub(super) rule: String,
    pub(super) alert: AlertId,
    pub(super) is_firing: bool,
    /// Silenced, inhibited, in maintenance, acknowledged or flapping: nobody is told that it
    /// fires.
    pub(super) is_muted: bool,
    pub(super) told: Told,
}

/// When a group that begins with an alert is looked at first. An alert that has waited for long
/// already, say while the program was off, waits no longer.
pub fn first_flush_ms(timing: &Timing, fired_ms: UnixMillis, now_ms: UnixMillis) -> UnixMillis {
    let wait_ms = timing.wait.as_millis() as i64;
    (fired_ms + wait_ms).clamp(now_ms, now_ms + wait_ms)
}

/// What comes of a look at a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flush {
    /// None: nobody is told.
    pub(super) message: Option<Message>,
    /// What the channel knows from now on, where that changes.
    pub(super) told: Vec<(AlertId, Told)>,
    /// Alerts that ended and have been told of, or need not be, or have another one in their
    /// place.
    pub(super) leave: Vec<AlertId>,
    /// None: the group has ended.
    pub(super) next_flush_ms: Option<UnixMillis>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) firing: Vec<AlertId>,
    pub(super) resolved: Vec<AlertId>,
    /// Nothing is new in it.
    pub(super) is_repeat: bool,
}

/// Called when the group's moment has come. `members` are in the order in which they came,
/// `told_ms` is the moment of the last message.
pub(super) fn flush(
    members: &[Member],
    told_ms: Option<UnixMillis>,
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
        .filter(|member| !member.is_firing && member.told.knows())
        .collect();

    let is_new = firing.iter().any(|member| member.told.is_owed());
    let is_due_again = !firing.is_empty()
        && told_ms.is_some_and(|told_ms| {
            now_ms.saturating_sub(told_ms) >= timing.repeat.as_millis() as i64
        });
    let has_news = is_new || !resolved.is_empty();
    let tells = has_news || is_due_again;

    let before = |id: AlertId| {
        members
            .iter()
            .find(|member| member.alert == id)
            .map(|member| member.told)
    };
    let mut told = Vec::new();
    for member in current.iter().filter(|member| member.is_firing) {
        // A muted alert that people were told of stays in mind: its end is told of.
        let now = if tells && !member.is_muted {
            Told::Firing
        } else {
            member.told
        };
        if before(member.alert) != Some(now) {
            told.push((member.alert, now));
        }
    }
    leave.extend(
        current
            .iter()
            .filter(|member| !member.is_firing)
            .map(|member| member.alert),
    );
    let is_over = current.iter().all(|member| !member.is_firing);
    let next_ms = now_ms + timing.interval.as_millis().max(1) as i64;
    let message = tells.then(|| Message {
        firing: ids(&firing),
        resolved: ids(&resolved),
        is_repeat: !has_news,
    });
    Flush {
        message,
        told,
        leave,
        next_flush_ms: (!is_over).then_some(next_ms),
    }
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
                let told = if member.told == Told::Nothing && before.told.knows() {
                    before.told
                } else {
                    member.told
                };
                *before = Member {
                    told,
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

    /// What happens to an alert at a second: it fires, ends, is muted, or is heard again.
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
        let (mut next_flush_ms, mut told_ms) = (None, None);
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
                        let (rule, told) = (rule.to_string(), Told::Nothing);
                        let member = Member {
                            rule,
                            alert: AlertId(id),
                            is_firing: true,
                            is_muted: false,
                            told,
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
            let flushed = flush(&present, told_ms, &TIMING, now_ms);
            for (alert, told) in flushed.told {
                members.get_mut(&alert.0).unwrap().told = told;
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
                told_ms = Some(now_ms);
            }
            flushed
                .leave
                .iter()
                .for_each(|alert| drop(members.remove(&alert.0)));
            next_flush_ms = flushed.next_flush_ms;
            if next_flush_ms.is_none() {
                assert!(members.is_empty());
                told_ms = None;
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
        let member = |told, is_firing| Member {
            rule: "a".to_owned(),
            alert: AlertId(1),
            is_firing,
            is_muted: false,
            told,
        };
        assert_eq!(
            flush(&[member(Told::Refused, true)], Some(0), &TIMING, 1_000).message,
            None
        );
        assert_eq!(
            flush(&[member(Told::Refused, false)], Some(0), &TIMING, 1_000).message,
            None
        );
        let again = flush(&[member(Told::Again, true)], Some(0), &TIMING, 1_000);
        assert_eq!(again.message.map(|message| message.is_repeat), Some(false));
        assert_eq!(again.told, [(AlertId(1), Told::Firing)]);
        let repeat = flush(&[member(Told::Refused, true)], Some(0), &TIMING, 3_600_000);
        assert_eq!(repeat.message.map(|message| message.is_repeat), Some(true));
    }
}
