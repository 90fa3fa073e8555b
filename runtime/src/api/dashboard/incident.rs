//! One incident: what happened, in order, and who was notified.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form, Json};
use maud::{Markup, html};
use serde::Deserialize;

use super::layout;
use super::replies::{not_shown, refused};
use super::wording::{prose, seconds, written};
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::api::resources::incidents::{self, notes};
use crate::api_types::incidents::{IncidentDetailBody, IncidentNoteBody, NewIncidentNote};
use crate::api_types::scope::Scope;

pub(crate) async fn page(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(path): Path<incidents::IncidentPath>,
) -> Response {
    match shown(&state, &principal, path, None).await {
        Ok(page) => page.into_response(),
        Err(error) => not_shown(error, "/"),
    }
}

/// A note that was not taken, and why.
struct NotTaken {
    form: NoteForm,
    error: ApiError,
}

async fn shown(
    state: &ApiState,
    principal: &Principal,
    path: incidents::IncidentPath,
    not_taken: Option<&NotTaken>,
) -> ApiResult<Markup> {
    let Json(detail) = incidents::get(State(state.clone()), Path(path)).await?;
    let id = detail.incident.id;
    let notes = state.deps.control.incident_note_list(id).await?;
    let notes: Vec<IncidentNoteBody> = notes.into_iter().map(IncidentNoteBody::from).collect();
    // The answer to a form has no address that could be read again.
    let events = not_taken.is_none().then(|| state.live.watch_url(None));
    Ok(layout::room(layout::Room {
        title: &format!("Incident {id}"),
        path: "/alerts",
        events,
        body: html! {
            (body(&detail))
            section.card.panel aria-label="Notes" {
                (notes_of(id, &notes, principal.may(Scope::Write)))
                @if principal.may(Scope::Write) { (note_form(id, not_taken)) }
            }
        },
    }))
}

#[derive(Debug, Deserialize)]
pub(crate) struct NoteForm {
    text: String,
    /// Any value: the box was ticked.
    public: Option<String>,
}

pub(crate) async fn note(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(path): Path<incidents::IncidentPath>,
    Form(form): Form<NoteForm>,
) -> Response {
    let page = path.page();
    let new = NewIncidentNote {
        text: form.text.clone(),
        public: form.public.is_some(),
    };
    let done = notes::create(
        state.clone(),
        principal.clone(),
        Path(path.clone()),
        Json(new),
    );
    let error = match done.await {
        Ok(_) => return Redirect::to(&page).into_response(),
        Err(error) => error,
    };
    let (status, not_taken) = (error.status(), NotTaken { form, error });
    match shown(&state, &principal, path, Some(&not_taken)).await {
        Ok(page) => (status, page).into_response(),
        Err(error) => refused(error, "/"),
    }
}

pub(crate) async fn delete_note(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(path): Path<notes::IncidentNotePath>,
) -> Response {
    let page = path.page();
    match notes::delete(state, principal, Path(path)).await {
        Ok(_) => Redirect::to(&page).into_response(),
        Err(error) => refused(error, &page),
    }
}

fn notes_of(incident: i64, notes: &[IncidentNoteBody], may_write: bool) -> Markup {
    html! {
        h2 { "Notes" }
        @if notes.is_empty() { p.empty { "None yet: what was the cause, what helped, what changes?" } }
        @for note in notes {
            article.note {
                p.muted { (written(&note.at)) ", " (note.author) @if note.public { " · " b { "public" } } }
                p { (prose(&note.text)) }
                @if may_write {
                    form method="post" action={ "/incidents/" (incident) "/notes/" (note.id) "/delete" } { button.quiet type="submit" { "Delete" } }
                }
            }
        }
    }
}

fn note_form(incident: i64, not_taken: Option<&NotTaken>) -> Markup {
    let typed = not_taken.map(|not_taken| &not_taken.form);
    let is_public = typed.is_some_and(|form| form.public.is_some());
    html! {
        @if let Some(NotTaken { error, .. }) = not_taken { p.fault role="alert" { (prose(&error.detail())) } }
        form.note method="post" action={ "/incidents/" (incident) "/notes" } {
            label { "Note " textarea name="text" rows="4" required { @if let Some(form) = typed { "\n" (form.text) } } }
            label { input type="checkbox" name="public" value="yes" checked[is_public]; " public: on the status pages too" }
            button type="submit" { "Add" }
        }
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
