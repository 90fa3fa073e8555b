//! An open alert.

use maud::{Markup, html};

use super::pill;
use crate::api::dashboard::wording::{prose, since, subject};
use crate::domain::{Alert, AlertState};

pub(crate) fn alert(alert: &Alert, service: &str) -> Markup {
    html! {
        li class={ "alert " (alert.severity.as_str()) " " (alert.state.as_str()) } {
            p.head { (pill(alert.severity.as_str(), alert.severity.as_str())) " " b { a href={ "/alerts/" (alert.id.0) } { (alert.name) } } }
            p.service { (subject(&alert.service, service)) }
            @if !alert.summary.is_empty() { p.summary { (prose(&alert.summary)) } }
            p.muted { (fate(alert)) }
        }
    }
}

/// Begin of the alert, and the reason why it is not notified.
pub(super) fn fate(alert: &Alert) -> Markup {
    let since = since(alert.fired_ms.unwrap_or(alert.started_ms));
    match (alert.state, &alert.suppressed_by, &alert.flags.acknowledged) {
        (AlertState::Suppressed, Some(by), _) => {
            html! { "firing " (since) ", muted by " (prose(by)) }
        }
        (AlertState::Acknowledged, _, Some(by)) => {
            html! { "firing " (since) ", acknowledged by " (by.by) }
        }
        (state, ..) => html! { (state.as_str()) " " (since) },
    }
}
