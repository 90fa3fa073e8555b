use proptest::prelude::*;

use super::*;
use crate::domain::{AlertState, Message, start_of};

const MINUTE: i64 = 60_000;

fn alert(id: i64) -> Alert {
    let (alert, _) = Message::sample(1, 0).alerts.remove(0);
    Alert {
        id: AlertId(id),
        ..alert
    }
}

fn draft(timing: Timing, flush_at_ms: UnixMillis) -> GroupDraft {
    GroupDraft {
        key: "all".to_owned(),
        channel: ChannelId("ops".to_owned()),
        labels: Vec::new(),
        timing,
        mute_times: Vec::new(),
        flush_at_ms,
    }
}

fn step(from: AlertState, to: AlertState, ts_ms: UnixMillis, is_news: bool) -> AlertStep {
    AlertStep {
        from: Some(from),
        to,
        ts_ms,
        is_news,
    }
}

/// A decision that sends what is due, and lets go what is over.
fn flush(group: &AlertGroup, now_ms: UnixMillis) -> GroupFlush {
    let is_open = |member: &&GroupMember| member.alert.state.is_open();
    GroupFlush {
        group: group.id,
        revision: group.revision,
        notifications: Vec::new(),
        notify_states: group
            .members
            .iter()
            .filter(is_open)
            .filter(|member| member.notify_state.needs_message())
            .map(|member| (member.alert.id, NotifyState::Notified))
            .collect(),
        leave: group
            .members
            .iter()
            .filter(|member| !member.alert.state.is_open())
            .map(|member| member.alert.id)
            .collect(),
        flush_at_ms: None,
        last_notified_ms: Some(now_ms),
    }
}

#[test]
fn a_transition_changes_what_the_channel_is_owed_as_the_table_says() {
    use AlertState::{Acknowledged, Firing, Resolved, Suppressed};
    use NotifyState::{EndedMuted, Notified, Pending, Rejected, Stale};
    for (name, before, from, to, is_news, wanted) in [
        ("news", Notified, Firing, Firing, true, Stale),
        (
            "news that is not sent yet",
            Pending,
            Firing,
            Firing,
            true,
            Pending,
        ),
        (
            "news after a rejection",
            Rejected,
            Firing,
            Firing,
            true,
            Rejected,
        ),
        ("no news", Notified, Firing, Acknowledged, false, Notified),
        ("an end", Pending, Firing, Resolved, false, Pending),
        (
            "a muted end before any message",
            Pending,
            Suppressed,
            Resolved,
            false,
            EndedMuted,
        ),
        (
            "an acknowledged end before any message",
            Pending,
            Acknowledged,
            Resolved,
            false,
            EndedMuted,
        ),
        (
            "a muted end after the message",
            Notified,
            Suppressed,
            Resolved,
            false,
            Notified,
        ),
        (
            "a muted end after news",
            Stale,
            Suppressed,
            Resolved,
            false,
            Stale,
        ),
        (
            "a muted end after a rejection",
            Rejected,
            Suppressed,
            Resolved,
            false,
            Rejected,
        ),
    ] {
        assert_eq!(
            before.on_step(&step(from, to, 0, is_news)),
            wanted,
            "{name}"
        );
    }
}

#[test]
fn a_rejection_and_a_resend_change_only_the_states_that_they_are_about() {
    for state in NotifyState::ALL {
        let (rejected, resent) = (state.on_rejected(), state.on_resent());
        match state {
            NotifyState::Notified => assert_eq!(rejected, NotifyState::Rejected),
            other => assert_eq!(rejected, other),
        }
        match state {
            NotifyState::Rejected => assert_eq!(resent, NotifyState::Notified),
            other => assert_eq!(resent, other),
        }
        assert_eq!(NotifyState::parse(state.as_str()), Some(state));
    }
}

#[test]
fn a_group_is_looked_at_when_its_first_alert_has_waited_and_at_once_where_nothing_is_collected() {
    for (name, timing, waiting_ms, joins_ms, wanted_ms) in [
        ("a new group", Timing::default(), None, 30, 30),
        (
            "one that waits keeps on waiting",
            Timing::default(),
            Some(20),
            10,
            20,
        ),
        (
            "one that sends each at once, earlier",
            Timing::AT_ONCE,
            Some(20),
            10,
            10,
        ),
        (
            "one that sends each at once, later",
            Timing::AT_ONCE,
            Some(10),
            20,
            10,
        ),
    ] {
        let mut group = AlertGroup::new(draft(timing, 0));
        group.flush_at_ms = waiting_ms;
        group.join(draft(timing, joins_ms), &alert(1));
        assert_eq!(group.flush_at_ms, Some(wanted_ms), "{name}");
    }
}

#[test]
fn a_transition_wakes_only_groups_that_send_each_at_once() {
    for (timing, waiting_ms, wanted_ms) in [
        (Timing::default(), None, None),
        (Timing::default(), Some(MINUTE), Some(MINUTE)),
        (Timing::AT_ONCE, None, Some(5)),
        (Timing::AT_ONCE, Some(MINUTE), Some(5)),
        (Timing::AT_ONCE, Some(1), Some(1)),
    ] {
        let mut group = AlertGroup::new(draft(timing, 0));
        group.join(draft(timing, 0), &alert(1));
        group.flush_at_ms = waiting_ms;
        let fires_again = step(AlertState::Acknowledged, AlertState::Firing, 5, true);
        group.on_step(&alert(1), &fires_again);
        assert_eq!(group.flush_at_ms, wanted_ms, "{timing:?} {waiting_ms:?}");
    }
}

#[test]
fn an_escalation_notifies_of_the_end_also_where_the_channel_was_in_no_group() {
    let channel = ChannelId("pager".to_owned());
    let mut group = AlertGroup::for_escalation(&alert(7), &channel, 90);
    assert_eq!(
        (group.key.as_str(), group.flush_at_ms),
        ("escalation:7", None)
    );
    group.on_escalated(&alert(7));
    assert_eq!(group.members[0].notify_state, NotifyState::Notified);
    let mut joined = AlertGroup::new(draft(Timing::default(), 0));
    joined.join(draft(Timing::default(), 0), &alert(7));
    joined.on_escalated(&alert(7));
    assert_eq!(joined.members[0].notify_state, NotifyState::Notified);
    assert_eq!(joined.members.len(), 1);
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Join(i64),
    /// Alert, state, and whether that is news.
    Step(i64, AlertState, bool),
    Reject,
    Resend,
    /// A look that is decided on now, and committed after as many acts.
    Flush,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let state = proptest::sample::select(vec![
        AlertState::Firing,
        AlertState::Acknowledged,
        AlertState::Suppressed,
        AlertState::Resolved,
    ]);
    let act = prop_oneof![
        (1..4_i64).prop_map(Act::Join),
        (1..4_i64, state, any::<bool>()).prop_map(|(id, to, is_news)| Act::Step(id, to, is_news)),
        Just(Act::Reject),
        Just(Act::Resend),
        Just(Act::Flush),
    ];
    proptest::collection::vec(act, 1..40)
}

proptest! {
    /// Events in any order: the revision grows with each change, a decision on what has changed
    /// since is refused as a whole, and an alert of which the channel was notified stays a member,
    /// owed its end, until a decision lets it go.
    #[test]
    fn no_order_of_events_loses_an_end_that_is_owed(acts in acts()) {
        let mut alerts: Vec<Alert> = (1..4).map(alert).collect();
        let mut group = AlertGroup::new(draft(Timing::AT_ONCE, 0));
        let mut late: Option<GroupFlush> = None;
        for (index, act) in acts.into_iter().enumerate() {
            let (now_ms, before) = (index as i64, group.clone());
            match act {
                Act::Join(id) => group.join(draft(Timing::AT_ONCE, now_ms), &alerts[id as usize - 1]),
                Act::Step(id, to, is_news) => {
                    let alert = &mut alerts[id as usize - 1];
                    let Some(from) = start_of(Some(alert.state), alert.state, to) else { continue };
                    if !from.is_open() {
                        continue;
                    }
                    alert.state = to;
                    group.on_step(alert, &step(from, to, now_ms, is_news && to == AlertState::Firing));
                }
                Act::Reject => group.on_rejected(&alerts),
                Act::Resend => group.on_resent(&alerts),
                Act::Flush => {
                    if let Some(late) = late.take().filter(|late| late.revision != group.revision) {
                        let unchanged = group.clone();
                        prop_assert!(!group.apply_flush(&late));
                        prop_assert_eq!(&group, &unchanged);
                    }
                    let now = flush(&group, now_ms);
                    prop_assert!(group.apply_flush(&now));
                    late = Some(now);
                }
            }
            prop_assert!(group == before || group.revision > before.revision);
            for member in &before.members {
                let now = group.members.iter().find(|now| now.alert.id == member.alert.id);
                if let Act::Flush = act {
                    prop_assert!(now.is_some() || !member.alert.state.is_open());
                    continue;
                }
                let now = now.expect("only a decision lets a member go");
                let is_rejected = matches!(act, Act::Reject);
                if member.notify_state.was_notified() && !is_rejected {
                    prop_assert!(now.notify_state.was_notified(), "{:?} after {act:?}", now.notify_state);
                }
            }
        }
    }
}
