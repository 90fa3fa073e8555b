//! Decision on one group: its messages and the states after them. Pure.

use super::group::{self, Member};
use crate::domain::{
    Alert, AlertGroup, AlertId, AlertState, GroupFlush, NotificationDraft, NotificationReason,
    NotificationStatus, NotifyState, UnixMillis,
};

/// Alerts in one message, about half a kilobyte each; no channel shows as many. Firing ones come
/// first.
const MAX_ALERTS: usize = 500;

/// `is_quiet`: one of the group's mute times is now.
pub fn decide(group: &AlertGroup, is_quiet: bool, now_ms: UnixMillis) -> GroupFlush {
    if group.timing.is_at_once() {
        message_for_each(group, now_ms)
    } else {
        message_for_all(group, is_quiet, now_ms)
    }
}

/// One message for each transition, in their order.
fn message_for_each(group: &AlertGroup, now_ms: UnixMillis) -> GroupFlush {
    let mut flush = unchanged(group);
    let reason = NotificationReason::Transition;
    for member in &group.members {
        let alert = &member.alert;
        let is_over = !alert.state.is_open();
        let mut state = member.notify_state;
        if state.needs_message() && !is_muted(alert) {
            // What is sent is what was found then, even if it is over by now.
            let shown = if state == NotifyState::Stale && !is_over {
                alert
            } else {
                &member.fired
            };
            flush.notifications.push(draft(
                group,
                reason,
                NotificationStatus::Firing,
                vec![shown.clone()],
            ));
            state = NotifyState::Notified;
        }
        if is_over {
            if state.was_notified() {
                flush.notifications.push(draft(
                    group,
                    reason,
                    NotificationStatus::Resolved,
                    vec![alert.clone()],
                ));
            }
            flush.leave.push(alert.id);
        } else if state != member.notify_state {
            flush.notify_states.push((alert.id, state));
        }
    }
    flush.flush_at_ms = None;
    if !flush.notifications.is_empty() {
        flush.last_notified_ms = Some(now_ms);
    }
    flush
}

/// One message for all, when something is new, when something ended, and again after a while.
fn message_for_all(group: &AlertGroup, is_quiet: bool, now_ms: UnixMillis) -> GroupFlush {
    let members: Vec<Member> = group
        .members
        .iter()
        .map(|member| Member {
            rule: member.alert.rule.clone(),
            alert: member.alert.id,
            is_firing: member.alert.state.is_open(),
            // A flapping alert is sent once, and then no more until it has calmed.
            is_muted: is_quiet
                || is_muted(&member.alert)
                || (member.alert.flags.flapping && !member.notify_state.needs_message()),
            notify_state: member.notify_state,
        })
        .collect();
    let flushed = group::flush(&members, group.last_notified_ms, &group.timing, now_ms);
    let mut flush = unchanged(group);
    flush.flush_at_ms = flushed.next_flush_ms;
    flush.notify_states = flushed.notify_states;
    flush.leave = flushed.leave;
    if let Some(message) = flushed.message {
        let status = if message.firing.is_empty() {
            NotificationStatus::Resolved
        } else {
            NotificationStatus::Firing
        };
        let reason = if message.is_repeat {
            NotificationReason::Repeat
        } else {
            NotificationReason::Transition
        };
        let alerts = message
            .firing
            .iter()
            .chain(&message.resolved)
            .filter_map(|id| find(group, *id));
        let mut alerts: Vec<Alert> = alerts.cloned().collect();
        let omitted = u32::try_from(alerts.len().saturating_sub(MAX_ALERTS)).unwrap_or(u32::MAX);
        alerts.truncate(MAX_ALERTS);
        flush.notifications.push(NotificationDraft {
            omitted,
            ..draft(group, reason, status, alerts)
        });
        flush.last_notified_ms = Some(now_ms);
    }
    flush
}

fn unchanged(group: &AlertGroup) -> GroupFlush {
    GroupFlush {
        group: group.id,
        revision: group.revision,
        notifications: Vec::new(),
        notify_states: Vec::new(),
        leave: Vec::new(),
        flush_at_ms: group.flush_at_ms,
        last_notified_ms: group.last_notified_ms,
    }
}

fn find(group: &AlertGroup, id: AlertId) -> Option<&Alert> {
    group
        .members
        .iter()
        .map(|member| &member.alert)
        .find(|alert| alert.id == id)
}

fn is_muted(alert: &Alert) -> bool {
    matches!(
        alert.state,
        AlertState::Suppressed | AlertState::Acknowledged
    )
}

fn draft(
    group: &AlertGroup,
    reason: NotificationReason,
    status: NotificationStatus,
    alerts: Vec<Alert>,
) -> NotificationDraft {
    NotificationDraft {
        group_key: group.key.clone(),
        group_labels: group.labels.clone(),
        channel: group.channel.clone(),
        reason,
        status,
        idempotency_key: format!("{:032x}", rand::random::<u128>()),
        alerts,
        omitted: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::alerts::fakes;
    use crate::domain::{ChannelId, GroupMember, Timing};

    #[test]
    fn a_message_says_how_many_alerts_it_has_no_room_for() {
        let second = Duration::from_secs(1);
        let members = (1..=MAX_ALERTS as i64 + 3).map(|id| {
            let alert = Alert {
                rule: format!("shop-{id}/Down"),
                ..fakes::alert(id, &format!("shop-{id}"))
            };
            GroupMember {
                fired: alert.clone(),
                alert,
                notify_state: NotifyState::Pending,
            }
        });
        let group = AlertGroup {
            id: 1,
            key: "all".to_owned(),
            channel: ChannelId("ops".to_owned()),
            labels: Vec::new(),
            timing: Timing {
                wait: second,
                interval: second,
                repeat: second,
            },
            mute_times: Vec::new(),
            flush_at_ms: Some(0),
            last_notified_ms: None,
            revision: 0,
            members: members.collect(),
        };
        let [message] = &decide(&group, false, 0).notifications[..] else {
            panic!("one message")
        };
        assert_eq!((message.alerts.len(), message.omitted), (MAX_ALERTS, 3));
    }
}
