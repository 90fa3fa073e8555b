//! Actions on an alert: acknowledge, take that back, resolve. The actor is the name of the token.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde_json::json;

use super::AlertPath;
use crate::alerts::ActionError;
use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::optional_body::OptionalBody;
use crate::api::http::state::ApiState;
use crate::api::resources::audit;
use crate::api_types::alerts::{AcknowledgeBody, AlertBody, NoteBody};
use crate::api_types::scope::Scope::Write;
use crate::domain::duration::parse_duration;
use crate::domain::{Alert, AlertId, UnixMillis, now_ms};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(Write, "/api/v1/alerts/{id}/acknowledge", acknowledge)
            .id("alertAcknowledge")
            .summary("Acknowledge an alert")
            .description(
                "The alert is not notified again and its escalation waits, until the time is \
                 over or it ends.",
            ),
        Endpoint::post(Write, "/api/v1/alerts/{id}/unacknowledge", unacknowledge)
            .id("alertUnacknowledge")
            .summary("Take an acknowledgement back")
            .description(
                "The alert fires again, it is notified again, and its escalation goes on \
                 where it was.",
            ),
        Endpoint::post(Write, "/api/v1/alerts/{id}/resolve", resolve)
            .id("alertResolve")
            .summary("End an alert by hand")
            .description("Its rule opens no other one before it was satisfied once."),
    ]
}

/// Limit of a note, as much as fits on a page.
const MAX_NOTE_CHARS: usize = 2_000;

/// Longer is for ever, and that can be said.
const MAX_DURATION: Duration = Duration::from_secs(366 * 86_400);

pub(crate) async fn acknowledge(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(AlertPath { id }): Path<AlertPath>,
    OptionalBody(body): OptionalBody<AcknowledgeBody>,
) -> ApiResult<Json<AlertBody>> {
    let note = note(&body.note)?;
    let until_ms = until(&body)?;
    let acknowledged = state
        .deps
        .actions
        .acknowledge(AlertId(id), &principal.name, until_ms, note)
        .await;
    let alert = acknowledged?;
    let detail = json!({"until": until_ms.map(rfc3339), "note": note});
    Ok(done(&state, &principal, "alert.acknowledge", &detail, alert).await)
}

pub(crate) async fn unacknowledge(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(AlertPath { id }): Path<AlertPath>,
    OptionalBody(body): OptionalBody<NoteBody>,
) -> ApiResult<Json<AlertBody>> {
    let note = note(&body.note)?;
    let alert = state
        .deps
        .actions
        .unacknowledge(AlertId(id), &principal.name, note)
        .await?;
    Ok(done(
        &state,
        &principal,
        "alert.unacknowledge",
        &json!({"note": note}),
        alert,
    )
    .await)
}

pub(crate) async fn resolve(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(AlertPath { id }): Path<AlertPath>,
    OptionalBody(body): OptionalBody<NoteBody>,
) -> ApiResult<Json<AlertBody>> {
    let note = note(&body.note)?;
    let alert = state
        .deps
        .actions
        .resolve(AlertId(id), &principal.name, note)
        .await?;
    Ok(done(
        &state,
        &principal,
        "alert.resolve",
        &json!({"note": note}),
        alert,
    )
    .await)
}

async fn done(
    state: &ApiState,
    principal: &Principal,
    action: &str,
    detail: &serde_json::Value,
    alert: Alert,
) -> Json<AlertBody> {
    audit::note_with(state, principal, action, &alert.id.0.to_string(), detail).await;
    Json(alert.into())
}

fn note(note: &str) -> ApiResult<&str> {
    if note.chars().count() > MAX_NOTE_CHARS {
        let detail = format!("must have at most {MAX_NOTE_CHARS} characters");
        return Err(ApiError::bad_parameter("note", detail));
    }
    Ok(note.trim())
}

fn until(body: &AcknowledgeBody) -> ApiResult<Option<UnixMillis>> {
    match (&body.duration, &body.until) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(ApiError::bad_parameter(
            "until",
            "`for` and `until` say the same; give one of them",
        )),
        (Some(text), None) => {
            let duration = parse_duration(text)
                .map_err(|fault| ApiError::bad_parameter("for", fault.to_string()))?;
            if duration.is_zero() || duration > MAX_DURATION {
                return Err(ApiError::bad_parameter(
                    "for",
                    "must be longer than 0 and at most a year",
                ));
            }
            Ok(Some(now_ms() + duration.as_millis() as i64))
        }
        (None, Some(text)) => {
            let moment: jiff::Timestamp = text.parse().map_err(|_| {
                let detail = format!("`{text}` is not a moment; write e.g. `2026-11-23T18:00:00Z`");
                ApiError::bad_parameter("until", detail)
            })?;
            Ok(Some(moment.as_millisecond()))
        }
    }
}

impl From<ActionError> for ApiError {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::NotFound(id) => ApiError::alert_not_found(&id.0.to_string()),
            ActionError::NotNow { .. } => ApiError::alert_not_now(error.to_string()),
            ActionError::Past => ApiError::bad_parameter("until", error.to_string()),
            ActionError::Store(source) => ApiError::internal(source.into()),
        }
    }
}

impl ApiError {
    pub(crate) fn alert_not_now(detail: String) -> Self {
        Self::conflict("alert-not-now", "Alert is in another state", detail)
    }
}
