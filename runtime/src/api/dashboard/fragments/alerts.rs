//! Open alerts, the most severe first.

use std::cmp::Reverse;

use maud::{Markup, html};

use super::pill;
use crate::api::dashboard::wording::{prose, since, subject};
use crate::api::http::deps::ApiDeps;
use crate::domain::{Alert, AlertState};
use crate::store::ControlError;

/// Shown on the page; beyond it a number.
const MAX_SHOWN: usize = 50;

pub(crate) async fn alerts(deps: &ApiDeps) -> Result<Markup, ControlError> {
    let mut alerts = deps.control.alert_open_list().await?;
    alerts.sort_by_key(|alert| {
        (
            alert.state == AlertState::Pending,
            Reverse(alert.severity),
            Reverse(alert.started_ms),
        )
    });
    let catalog = deps.registry.catalog();
    let service_name = |slug: &str| {
        catalog
            .described(slug)
            .map_or(slug.to_owned(), |service| service.name.clone())
    };
    Ok(html! {
        div #alerts {
            h2 { "Open alerts" @if !alerts.is_empty() { " " span.count { (alerts.len()) } } }
            @if alerts.is_empty() { p.empty { "No alert is open." } }
            ul.alerts { @for open in alerts.iter().take(MAX_SHOWN) { (alert(open, &service_name(&open.service))) } }
            @if alerts.len() > MAX_SHOWN { p.muted { "and " (alerts.len() - MAX_SHOWN) " more" } }
        }
    })
}

pub(crate) fn alert(alert: &Alert, service: &str) -> Markup {
    html! {
        li class={ "alert " (alert.severity.as_str()) " " (alert.state.as_str()) } {
            p.head { (pill(alert.severity.as_str(), alert.severity.as_str())) " " b { a href={ "/alerts/" (alert.id.0) } { (alert.name) } } }
            p.service { (subject(&alert.service, service)) }
            @if !alert.summary.is_empty() { p.summary { (prose(&alert.summary)) } }
            p.muted { (standing(alert)) }
        }
    }
}

/// Begin of the alert, and the reason why it is not notified.
fn standing(alert: &Alert) -> Markup {
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
