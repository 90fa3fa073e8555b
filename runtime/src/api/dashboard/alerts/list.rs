//! Open alerts by what they need, and those that ended last.

use axum::Extension;
use axum::extract::State;
use maud::{Markup, html};

use crate::api::dashboard::fragments::pill;
use crate::api::dashboard::layout;
use crate::api::dashboard::wording::{count, prose, since, spent, subject};
use crate::api::http::auth::Principal;
use crate::api::http::error::ApiResult;
use crate::api::http::state::ApiState;
use crate::api_types::scope::Scope;
use crate::domain::{Alert, AlertState};
use crate::store::control::AlertFilter;

/// Limit of rows in a group.
const MAX_SHOWN: usize = 200;
const MAX_RESOLVED: u32 = 20;

/// Groups in the order in which people look at them.
const GROUPS: [(AlertState, &str, &str); 4] = [
    (AlertState::Firing, "Needs someone", "Nobody is needed."),
    (AlertState::Acknowledged, "Acknowledged", ""),
    (AlertState::Suppressed, "Muted", ""),
    (AlertState::Pending, "Pending", ""),
];

pub(crate) async fn page(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
) -> ApiResult<Markup> {
    let events = state.live.watch_url(None);
    let control = &state.deps.control;
    let mut open = control.alert_open_list().await?;
    open.sort_by_key(|alert| (std::cmp::Reverse(alert.severity), alert.started_ms));
    let filter = AlertFilter {
        state: Some(AlertState::Resolved),
        service: None,
        before: None,
        limit: MAX_RESOLVED,
    };
    let resolved = control.alert_list(&filter).await?;
    let may_act = principal.may(Scope::Write);
    let body = html! {
        h1 { (sentence(&open)) }
        p.muted { a href="/analytics?view=noise" { "Noise" } ": which rules fire for nothing" }
        @for (wanted, title, empty) in GROUPS {
            @let alerts: Vec<&Alert> = open.iter().filter(|alert| alert.state == wanted).collect();
            @if !alerts.is_empty() || !empty.is_empty() {
                section.card.panel aria-label=(title) {
                    h2 { (title) " " @if !alerts.is_empty() { span.count { (alerts.len()) } } }
                    @if alerts.is_empty() { p.empty { (empty) } }
                    @else { (table(&alerts, may_act && wanted == AlertState::Firing)) }
                }
            }
        }
        section.card.panel aria-label="Resolved" {
            h2 { "Resolved last" }
            @if resolved.is_empty() { p.empty { "None yet." } }
            @else { (table(&resolved.iter().collect::<Vec<_>>(), false)) }
        }
    };
    Ok(layout::room(layout::Room {
        title: "Alerts",
        path: "/alerts",
        events: Some(events),
        body,
    }))
}

fn sentence(open: &[Alert]) -> String {
    let firing = open
        .iter()
        .filter(|alert| alert.state == AlertState::Firing)
        .count();
    match firing {
        0 => "No alert needs anybody".to_owned(),
        1 => "1 alert needs someone".to_owned(),
        more => format!("{more} alerts need someone"),
    }
}

fn table(alerts: &[&Alert], may_act: bool) -> Markup {
    html! {
        div.wide { table.list {
            thead { tr {
                th scope="col" { "Severity" } th scope="col" { "Alert" } th scope="col" { "Service" } th scope="col" { "What was found" }
                th scope="col" { "Since" } @if may_act { th scope="col" { "Act" } }
            } }
            tbody { @for alert in alerts.iter().take(MAX_SHOWN) { (row(alert, may_act)) } }
        } }
        @if alerts.len() > MAX_SHOWN { p.muted { "and " (count(alerts.len() - MAX_SHOWN, "alert")) " more" } }
    }
}

fn row(alert: &Alert, may_act: bool) -> Markup {
    html! {
        tr {
            td { (pill(alert.severity.as_str(), alert.severity.as_str())) }
            td { a href={ "/alerts/" (alert.id.0) } { (alert.name) } }
            td { (subject(&alert.service, &alert.service)) }
            td {
                (prose(&alert.summary))
                @if let Some(by) = &alert.suppressed_by { " " span.muted { "muted by " (prose(by)) } }
                @if let Some(by) = alert.flags.acknowledged.as_ref().filter(|_| alert.state == AlertState::Acknowledged) {
                    " " span.muted { "acknowledged by " (by.by) @if !by.note.is_empty() { ": " (by.note) } }
                }
            }
            td { @match alert.resolved_ms { None => { (since(alert.fired_ms.unwrap_or(alert.started_ms))) } Some(ms) => { (spent(alert.fired_ms.unwrap_or(alert.started_ms), ms)) } } }
            @if may_act {
                td { form method="post" action={ "/alerts/" (alert.id.0) "/acknowledge" } { button type="submit" { "Acknowledge" } } }
            }
        }
    }
}
