//! One incident: what happened, in order, and who was notified.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::layout;
use super::replies::refused;
use super::wording::{prose, seconds, written};
use crate::api::http::state::ApiState;
use crate::api::resources::incidents;
use crate::api_types::incidents::IncidentDetailBody;

pub(crate) async fn page(
    State(state): State<ApiState>,
    Path(path): Path<incidents::IncidentPath>,
) -> Response {
    match incidents::get(State(state), Path(path)).await {
        Ok(Json(detail)) => layout::room(layout::Room {
            title: &format!("Incident {}", detail.incident.id),
            path: "/alerts",
            events: None,
            body: body(&detail),
        })
        .into_response(),
        Err(error) => refused(error, "/"),
    }
}

fn body(detail: &IncidentDetailBody) -> Markup {
    let incident = &detail.incident;
    html! {
        header.service-head { div {
            p.back { a href={ "/services/" (incident.service) } { (incident.service) } }
            h1 { (prose(&incident.cause)) }
            p.muted {
                (incident.kind) ", "
                @if incident.source == "ours" { "found by our probes" } @else { "reported by the vendor" }
                " · " (written(&incident.started_at)) " · "
                @match &incident.ended_at {
                    Some(_) => { "lasted " (seconds(incident.seconds.unsigned_abs())) }
                    None => { "open for " (seconds(incident.seconds.unsigned_abs())) }
                }
                @if incident.reopened > 0 { " · went on again " (incident.reopened) " times" }
            }
        } }
        section.card.panel aria-label="What happened" {
            h2 { "What happened" }
            div.wide { table.list {
                thead { tr { th scope="col" { "At" } th scope="col" { "What" } th scope="col" { "By" } } }
                tbody {
                    @for entry in &detail.timeline {
                        tr {
                            td { (written(&entry.at)) }
                            td { @match entry.alert_id { Some(id) => { a href={ "/alerts/" (id) } { (prose(&entry.text)) } } None => { (prose(&entry.text)) } } }
                            td { (entry.actor.as_deref().unwrap_or("–")) }
                        }
                    }
                }
            } }
        }
        section.card.panel aria-label="Notified" {
            h2 { "Notified" }
            @if detail.notified.is_empty() { p.empty { "Nobody." } }
            ul { @for channel in &detail.notified {
                li {
                    b { (channel.channel) } ": " (channel.delivered) " of " (channel.messages) " messages arrived"
                    @if let Some(at) = &channel.first_delivered_at { ", the first " (written(at)) }
                }
            } }
        }
    }
}
