//! [`AlertStep`]: one transition of an alert, as its groups and its escalation see it, and
//! [`MuteChange`], which makes one.

use super::{Alert, AlertId, AlertState, UnixMillis};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertStep {
    /// State before; none: the alert is new.
    pub from: Option<AlertState>,
    pub to: AlertState,
    pub ts_ms: UnixMillis,
    /// Channels that were notified that it fires are notified once more.
    pub is_news: bool,
}

impl AlertStep {
    /// Whether the alert ends while it is muted or acknowledged.
    pub fn ends_muted(&self) -> bool {
        self.to == AlertState::Resolved
            && matches!(
                self.from,
                Some(AlertState::Suppressed | AlertState::Acknowledged)
            )
    }
}

/// Returns the state that a transition starts from, given the one that it expects and the one that
/// the alert is in; none: the transition comes too late. An end is an end, whether the alert was
/// muted meanwhile or not.
pub fn start_of(
    expected: Option<AlertState>,
    found: AlertState,
    to: AlertState,
) -> Option<AlertState> {
    let is_mutable = |state| matches!(state, AlertState::Firing | AlertState::Suppressed);
    match expected {
        None => Some(found),
        Some(expected) if expected == found => Some(found),
        Some(expected)
            if to == AlertState::Resolved && is_mutable(expected) && is_mutable(found) =>
        {
            Some(found)
        }
        Some(_) => None,
    }
}

/// Change of what mutes an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct MuteChange {
    pub alert: AlertId,
    /// The state that it must still be in.
    pub from: AlertState,
    /// Cause of the mute; none: the alert is not muted any more.
    pub suppressed_by: Option<String>,
    pub actor: String,
    pub reason: String,
    pub ts_ms: UnixMillis,
}

impl MuteChange {
    pub fn to(&self) -> AlertState {
        if self.suppressed_by.is_some() {
            AlertState::Suppressed
        } else {
            AlertState::Firing
        }
    }
}

impl Alert {
    /// Mutes or unmutes the alert. None, and nothing changes, if it is no longer in the state that
    /// the change starts from.
    pub fn apply_mute(&mut self, change: &MuteChange) -> Option<AlertStep> {
        if self.state != change.from {
            return None;
        }
        self.state = change.to();
        self.suppressed_by.clone_from(&change.suppressed_by);
        self.updated_ms = change.ts_ms;
        Some(AlertStep {
            from: Some(change.from),
            to: self.state,
            ts_ms: change.ts_ms,
            is_news: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_starts_from_the_state_it_expects_and_an_end_from_a_mute_as_well() {
        use AlertState::*;
        for expected in AlertState::ALL {
            for found in AlertState::ALL {
                for to in AlertState::ALL {
                    let is_late_mute = to == Resolved
                        && [expected, found]
                            .iter()
                            .all(|state| matches!(state, Firing | Suppressed));
                    let wanted = (expected == found || is_late_mute).then_some(found);
                    assert_eq!(
                        start_of(Some(expected), found, to),
                        wanted,
                        "{expected:?} {found:?} {to:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn an_end_is_muted_only_where_the_alert_was_muted_or_acknowledged() {
        use AlertState::*;
        for from in AlertState::ALL {
            for to in AlertState::ALL {
                let step = AlertStep {
                    from: Some(from),
                    to,
                    ts_ms: 0,
                    is_news: false,
                };
                let wanted = to == Resolved && [Suppressed, Acknowledged].contains(&from);
                assert_eq!(step.ends_muted(), wanted, "{from:?} {to:?}");
            }
        }
    }
}
