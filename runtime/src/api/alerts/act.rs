//! What people do to an alert: acknowledge it, take that back, resolve it. Who did it is the name
//! of the token.

use std::time::Duration;

use aide::transform::TransformOperation;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{AlertBody, AlertPath};
use crate::alerts::ActionError;
use crate::api::audit;
use crate::api::auth::Principal;
use crate::api::error::{ApiError, ApiResult};
use crate::api::moment::rfc3339;
use crate::api::optional_body::OptionalBody;
use crate::api::state::ApiState;
use crate::domain::duration::parse_duration;
use crate::domain::{Alert, AlertId, UnixMillis, now_ms};

/// What fits on a page.
const MAX_NOTE_CHARS: usize = 2_000;

/// Longer is for ever, and that can be said.
const MOST: Duration = Duration::from_secs(366 * 86_400);

/// Without `for` and `until`: until the alert ends.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::api) struct AcknowledgeBody {
    /// How long, e.g. `2h`; then the alert fires again, and everyone is told again.
    #[serde(rename = "for")]
    duration: Option<String>,
    /// Until when, RFC 3339.
    until: Option<String>,
    /// What others should know.
    #[serde(default)]
    note: String,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::api) struct NoteBody {
    /// Why, for the alert's history.
    #[serde(default)]
    note: String,
}

pub(in crate::api) async fn acknowledge(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(AlertPath { id }): Path<AlertPath>,
    OptionalBody(body): OptionalBody<AcknowledgeBody>,
) -> ApiResult<Json<AlertBody>> {
    let note = note(&body.note)?;
    let until_ms = until(&body)?;
    let acknowledged = state
        .parts
        .actions
        .acknowledge(AlertId(id), &principal.name, until_ms, note)
        .await;
    let alert = acknowledged.map_err(refused)?;
    let detail = json!({"until": until_ms.map(rfc3339), "note": note});
    Ok(done(&state, &principal, "alert.acknowledge", &detail, alert).await)
}

pub(in crate::api) fn acknowledge_docs(
    operation: TransformOperation<'_>,
) -> TransformOperation<'_> {
    operation
        .id("alertAcknowledge")
        .tag("alerts")
        .summary("Say that somebody is on it")
        .description("Nobody is told of the alert again and its escalation waits, until the time is over or it ends.")
}

pub(in crate::api) async fn unacknowledge(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(AlertPath { id }): Path<AlertPath>,
    OptionalBody(body): OptionalBody<NoteBody>,
) -> ApiResult<Json<AlertBody>> {
    let note = note(&body.note)?;
    let alert = state
        .parts
        .actions
        .unacknowledge(AlertId(id), &principal.name, note)
        .await
        .map_err(refused)?;
    Ok(done(
        &state,
        &principal,
        "alert.unacknowledge",
        &json!({"note": note}),
        alert,
    )
    .await)
}

pub(in crate::api) fn unacknowledge_docs(
    operation: TransformOperation<'_>,
) -> TransformOperation<'_> {
    operation
        .id("alertUnacknowledge")
        .tag("alerts")
        .summary("Say that nobody is on it any more")
        .description("The alert fires again, everyone is told again, and its escalation goes on where it stood.")
}

pub(in crate::api) async fn resolve(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(AlertPath { id }): Path<AlertPath>,
    OptionalBody(body): OptionalBody<NoteBody>,
) -> ApiResult<Json<AlertBody>> {
    let note = note(&body.note)?;
    let alert = state
        .parts
        .actions
        .resolve(AlertId(id), &principal.name, note)
        .await
        .map_err(refused)?;
    Ok(done(
        &state,
        &principal,
        "alert.resolve",
        &json!({"note": note}),
        alert,
    )
    .await)
}

pub(in crate::api) fn resolve_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("alertResolve")
        .tag("alerts")
        .summary("End an alert by hand")
        .description("Its rule opens no other one before it was satisfied once.")
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
    match note.chars().count() > MAX_NOTE_CHARS {
        true => Err(ApiError::bad_parameter(
            "note",
            format!("must have at most {MAX_NOTE_CHARS} characters"),
        )),
        false => Ok(note.trim()),
    }
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
            if duration.is_zero() || duration > MOST {
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

fn refused(error: ActionError) -> ApiError {
    match error {
        ActionError::NotFound(id) => ApiError::alert_not_found(&id.0.to_string()),
        ActionError::NotNow { .. } => ApiError::alert_not_now(error.to_string()),
        ActionError::Past => ApiError::bad_parameter("until", error.to_string()),
        ActionError::Store(source) => ApiError::internal(source.into()),
    }
}
