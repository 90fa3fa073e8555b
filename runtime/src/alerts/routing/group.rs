//! When a group of alerts is told of, as a pure function over the clock: Alertmanager's dispatcher and its deduplication.
//!
//! Two things differ, both so that nobody is left thinking that something is still broken: an alert that people were told of
//! is told of again when it ends, even if it is muted by then; and a message of a repeat holds what is muted by nothing.

use std::collections::BTreeSet;

use super::Timing;
use crate::domain::{AlertId, UnixMillis};

/// One rule's alert in a group. A rule that is breached again before anyone was told of its end goes on as if it had never
/// ended, with its new alert in the place of the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Key of the rule: `SERVICE/NAME`.
    pub rule: String,
    pub alert: AlertId,
    pub is_firing: bool,
    /// Silenced, inhibited, in maintenance, acknowledged or flapping: nobody is told that it fires.
    pub is_muted: bool,
}

/// What has to be kept of a group from one message to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupState {
    pub next_flush_ms: UnixMillis,
    /// When the last message was decided on; none before the first.
    pub told_ms: Option<UnixMillis>,
    /// Keys of the rules that the last message called firing, and those that are muted since.
    pub told_firing: BTreeSet<String>,
}

impl GroupState {
    /// A group begins with its first alert. One that has waited for long already, say while the program was off, waits no
    /// longer.
    pub fn begin(timing: &Timing, fired_ms: UnixMillis, now_ms: UnixMillis) -> Self {
        let wait_ms = timing.wait.as_millis() as i64;
        Self {
            next_flush_ms: (fired_ms + wait_ms).clamp(now_ms, now_ms + wait_ms),
            told_ms: None,
            told_firing: BTreeSet::new(),
        }
    }
}

/// What comes of a look at a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flush {
    /// The alerts of the message, firing ones first; none: nobody is told.
    pub message: Option<Message>,
    /// None: the group has ended.
    pub state: Option<GroupState>,
    /// Rules whose alerts ended and have been told of, or need not be.
    pub leave: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub firing: Vec<AlertId>,
    pub resolved: Vec<AlertId>,
}

/// Called when the group's moment has come. `members` are in the order in which they came.
pub fn flush(state: &GroupState, members: &[Member], timing: &Timing, now_ms: UnixMillis) -> Flush {
    let was_told = |member: &&Member| state.told_firing.contains(&member.rule);
    let firing: Vec<&Member> = members.iter().filter(|member| member.is_firing && !member.is_muted).collect();
    let ended: Vec<&Member> = members.iter().filter(|member| !member.is_firing).collect();
    let resolved: Vec<&Member> = ended.iter().copied().filter(was_told).collect();
    let muted = members.iter().filter(|member| member.is_firing && member.is_muted).filter(was_told);

    let is_new = firing.iter().any(|member| !was_told(member));
    let is_repeat = !firing.is_empty()
        && state.told_ms.is_some_and(|told_ms| now_ms.saturating_sub(told_ms) >= timing.repeat.as_millis() as i64);
    let tells = is_new || !resolved.is_empty() || is_repeat;

    // A muted alert that people were told of stays in mind: its end is told of.
    let told_firing: BTreeSet<String> = match tells {
        true => firing.iter().copied().chain(muted).map(|member| member.rule.clone()).collect(),
        false => {
            let gone = |rule: &String| ended.iter().any(|member| member.rule == *rule);
            state.told_firing.iter().filter(|rule| !gone(rule)).cloned().collect()
        }
    };
    let is_over = members.len() == ended.len();
    let next_flush_ms = now_ms + timing.interval.as_millis().max(1) as i64;
    let told_ms = if tells { Some(now_ms) } else { state.told_ms };
    Flush {
        message: tells.then(|| Message { firing: ids(&firing), resolved: ids(&resolved) }),
        state: (!is_over).then_some(GroupState { next_flush_ms, told_ms, told_firing }),
        leave: ended.iter().map(|member| member.rule.clone()).collect(),
    }
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

    /// Plays a timeline of one group and notes each message as `second: firing/resolved`.
    fn play(acts: &[(i64, i64, Act)], until_s: i64) -> Vec<String> {
        let mut members: BTreeMap<i64, Member> = BTreeMap::new();
        let mut state: Option<GroupState> = None;
        let mut told = Vec::new();
        for second in 0..=until_s {
            for (_, alert, act) in acts.iter().filter(|(at, ..)| *at == second) {
                let member = members.entry(*alert).or_insert(Member {
                    rule: alert.to_string(),
                    alert: AlertId(*alert),
                    is_firing: true,
                    is_muted: false,
                });
                match act {
                    Fire => member.is_firing = true,
                    End => member.is_firing = false,
                    Mute => member.is_muted = true,
                    Unmute => member.is_muted = false,
                }
                state.get_or_insert_with(|| GroupState::begin(&TIMING, second * 1_000, second * 1_000));
            }
            let Some(current) = state.clone().filter(|state| state.next_flush_ms <= second * 1_000) else { continue };
            let present: Vec<Member> = members.values().cloned().collect();
            let flushed = flush(&current, &present, &TIMING, second * 1_000);
            flushed.leave.iter().for_each(|alert: &String| drop(members.remove(&alert.parse().unwrap())));
            state = flushed.state;
            if let Some(Message { firing, resolved }) = flushed.message {
                let ids =
                    |alerts: &[AlertId]| alerts.iter().map(|alert| alert.0.to_string()).collect::<Vec<_>>().join("+");
                told.push(format!("{second}: {}/{}", ids(&firing), ids(&resolved)));
            }
        }
        told
    }

    #[test]
    fn groups_speak_as_the_table_says() {
        for (name, acts, until_s, wanted) in [
            ("waits for others first", vec![(0, 1, Fire), (10, 2, Fire), (29, 3, Fire)], 60, vec!["30: 1+2+3/"]),
            (
                "what comes later waits for the interval",
                vec![(0, 1, Fire), (40, 2, Fire), (50, 3, Fire)],
                400,
                vec!["30: 1/", "330: 1+2+3/"],
            ),
            ("repeats when nothing changes", vec![(0, 1, Fire)], 7_300, vec!["30: 1/", "3630: 1/", "7230: 1/"]),
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
            ("a muted alert is not told of", vec![(0, 1, Fire), (1, 1, Mute)], 5_000, vec![]),
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
        assert_eq!(GroupState::begin(&TIMING, 0, 20_000).next_flush_ms, 30_000);
        assert_eq!(GroupState::begin(&TIMING, 0, 90_000).next_flush_ms, 90_000);
        assert_eq!(GroupState::begin(&TIMING, 500_000, 90_000).next_flush_ms, 120_000, "a clock that was set back");
    }
}
