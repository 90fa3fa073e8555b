//! Notes about an incident: what people found out afterwards.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, NoContent, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{IncidentPath, found};
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{Page, PageQuery};
use crate::api::http::state::ApiState;
use crate::api::resources::audit;
use crate::api_types::incidents::{IncidentNoteBody, NewIncidentNote};
use crate::domain::{Fault, now_ms};
use crate::store::ControlError;
use crate::store::control::{IncidentNote, IncidentNoteDraft};

/// Limit of the text of one note.
const MAX_TEXT_BYTES: usize = 64 * 1024;

impl From<IncidentNote> for IncidentNoteBody {
    fn from(note: IncidentNote) -> Self {
        Self {
            id: note.id,
            at: rfc3339(note.draft.at_ms),
            author: note.draft.author,
            text: note.draft.text,
            public: note.draft.is_public,
        }
    }
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    Path(IncidentPath { id }): Path<IncidentPath>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<IncidentNoteBody>>> {
    found(&state, id).await?;
    let notes = state.deps.control.incident_note_list(id).await?;
    let bodies = notes.into_iter().map(IncidentNoteBody::from);
    Ok(Json(Page::of_sorted(bodies, &query, |body| {
        format!("{:019}", body.id)
    })?))
}

pub(crate) async fn create(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(IncidentPath { id }): Path<IncidentPath>,
    Json(new): Json<NewIncidentNote>,
) -> ApiResult<Response> {
    let text = checked(&new.text)?;
    found(&state, id).await?;
    let draft = IncidentNoteDraft {
        incident: id,
        at_ms: now_ms(),
        author: principal.name.clone(),
        text: text.to_owned(),
        is_public: new.public,
    };
    let note = state.deps.control.incident_note_append(draft).await?;
    let detail = json!({"note": note.id, "public": new.public, "text": text});
    audit::note_with(
        &state,
        &principal,
        "incident.note",
        &id.to_string(),
        &detail,
    )
    .await;
    Ok((StatusCode::CREATED, Json(IncidentNoteBody::from(note))).into_response())
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct IncidentNotePath {
    id: i64,
    note: i64,
}

impl IncidentNotePath {
    pub(crate) fn page(&self) -> String {
        IncidentPath { id: self.id }.page()
    }
}

pub(crate) async fn delete(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(IncidentNotePath { id, note }): Path<IncidentNotePath>,
) -> ApiResult<NoContent> {
    let gone = match state.deps.control.incident_note_delete(id, note).await {
        Err(ControlError::NotFound { .. }) => return Err(ApiError::note_not_found(id, note)),
        other => other?,
    };
    let detail = json!({"note": gone.id, "public": gone.draft.is_public});
    let subject = id.to_string();
    audit::note_with(
        &state,
        &principal,
        "incident.note-delete",
        &subject,
        &detail,
    )
    .await;
    Ok(NoContent)
}

impl ApiError {
    fn note_not_found(incident: i64, note: i64) -> Self {
        let detail = format!(
            "incident `{incident}` has no note `{note}`; `GET /api/v1/incidents/{incident}/notes` lists them"
        );
        Self::not_found("note-not-found", "Note not found", detail)
    }
}

fn checked(text: &str) -> ApiResult<&str> {
    let text = text.trim();
    let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    if text.is_empty() || text.len() > MAX_TEXT_BYTES || !text.chars().all(is_text) {
        let message = format!(
            "must be text of at most {} KiB, not empty, without control characters",
            MAX_TEXT_BYTES / 1024
        );
        let faults = vec![Fault::new("/text", message)];
        return Err(ApiError::invalid(
            "invalid-incident-note",
            "Invalid note",
            faults,
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_text_with_a_bound() {
        assert_eq!(checked(" one\r\ntwo\n").ok(), Some("one\r\ntwo"));
        let long = "x".repeat(MAX_TEXT_BYTES + 1);
        for wrong in ["", " \n", "a\u{0}b", long.as_str()] {
            assert!(checked(wrong).is_err(), "{} bytes", wrong.len());
        }
        assert!(checked(&long[1..]).is_ok());
    }
}
