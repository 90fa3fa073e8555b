//! Changes of alerts by people, and the end of acknowledgements.

use super::draft::{draft_of, event};
use super::{Change, ENGINE, close_by};
use crate::alerts::ports::AlertDraft;
use crate::domain::{Acknowledgement, Alert, AlertState, NotificationStatus, UnixMillis};

/// Acknowledges an alert, or renews that. None: only an alert that fires can be acknowledged.
pub fn acknowledge(alert: &Alert, acknowledgement: Acknowledgement) -> Option<Change> {
    if !alert.state.is_open() || alert.state == AlertState::Pending {
        return None;
    }
    let Acknowledgement {
        by,
        at_ms,
        until_ms,
        note,
    } = &acknowledgement;
    let until = until_ms.map_or_else(String::new, |until_ms| {
        format!(" until {}", moment(until_ms))
    });
    let reason = noted(&format!("acknowledged{until}"), note);
    let mut draft = AlertDraft {
        state: AlertState::Acknowledged,
        updated_ms: *at_ms,
        ..draft_of(alert)
    };
    let event = event(Some(alert.state), &draft, by, &reason, *at_ms);
    draft.flags.acknowledged = Some(acknowledgement);
    Some(Change {
        alert: draft,
        event,
        notify: None,
    })
}

/// Takes an acknowledgement back. None: there is none.
pub fn unacknowledge(alert: &Alert, actor: &str, note: &str, now_ms: UnixMillis) -> Option<Change> {
    fires_again(
        alert,
        actor,
        &noted("the acknowledgement was taken back", note),
        now_ms,
    )
}

/// Ends an acknowledgement whose time is over. None: it is not.
pub fn expire(alert: &Alert, now_ms: UnixMillis) -> Option<Change> {
    let acknowledged = alert.flags.acknowledged.as_ref()?;
    if acknowledged
        .until_ms
        .is_none_or(|until_ms| until_ms > now_ms)
    {
        return None;
    }
    fires_again(
        alert,
        ENGINE,
        &format!("the acknowledgement by {} ran out", acknowledged.by),
        now_ms,
    )
}

/// Resolves an alert, whatever the verdict of its rule, which does not open another one before it
/// was satisfied once. None: it has ended already.
pub fn resolve_by_hand(
    alert: &Alert,
    actor: &str,
    note: &str,
    now_ms: UnixMillis,
) -> Option<Change> {
    alert
        .state
        .is_open()
        .then(|| close_by(alert, actor, &noted("resolved by hand", note), now_ms))
}

/// Returns an acknowledged alert to firing, which counts as news.
fn fires_again(alert: &Alert, actor: &str, reason: &str, now_ms: UnixMillis) -> Option<Change> {
    if alert.state != AlertState::Acknowledged {
        return None;
    }
    let draft = AlertDraft {
        state: AlertState::Firing,
        updated_ms: now_ms,
        ..draft_of(alert)
    };
    let event = event(Some(alert.state), &draft, actor, reason, now_ms);
    Some(Change {
        alert: draft,
        event,
        notify: Some(NotificationStatus::Firing),
    })
}

fn noted(what: &str, note: &str) -> String {
    match note {
        "" => what.to_owned(),
        note => format!("{what}: {note}"),
    }
}

/// RFC 3339, to the second.
fn moment(ms: UnixMillis) -> String {
    let second = jiff::Timestamp::from_second(ms.div_euclid(1_000));
    second.map_or_else(|_| ms.to_string(), |second| second.to_string())
}
