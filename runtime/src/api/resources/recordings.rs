//! Recordings of runs: which there are, and one as a file.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{self, Page};
use crate::api::http::state::ApiState;
use crate::api_types::recordings::RecordingBody;
use crate::api_types::scope::Scope::Read;
use crate::domain::{RunOutcome, Status};
use crate::plugin_host::{RecordingEntry, RecordingFilter};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/recordings", list)
            .id("recordingList")
            .summary("Runs of which a recording is kept, newest first")
            .description(
                "Of each probe, rule and channel the last runs that failed, and of each probe \
                 the last that went well. Recordings are bounded in number and size, and the \
                 oldest go first.",
            ),
        Endpoint::get(Read, "/api/v1/recordings/{runId}", get)
            .id("recordingGet")
            .summary("The recording of a run, as a file")
            .description(
                "For `extrack plugin replay`, and for tests of a plugin. It \
                 names secrets by their settings.",
            )
            .returns::<200, Json<serde_json::Map<String, serde_json::Value>>>(),
    ]
}

impl From<RecordingEntry> for RecordingBody {
    fn from(RecordingEntry { run, size }: RecordingEntry) -> Self {
        Self {
            run_id: run.run_id,
            ts: rfc3339(run.ts_ms),
            plugin: run.plugin,
            kind: run.kind,
            version: run.version,
            digest: run.digest,
            function: run.function,
            service: run.subject.service,
            probe: run.subject.probe,
            webhook: run.subject.webhook,
            meter: run.subject.meter,
            channel: run.subject.channel,
            status: run.status,
            outcome: run.outcome,
            error: run.error.or(run.message),
            duration_us: run.cost.duration_us,
            host_calls: run.cost.host_calls,
            truncated: run.truncated,
            size,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordingQuery {
    /// Slug.
    service: Option<String>,
    plugin: Option<String>,
    /// How the run ended: `ok`, `error`, `trap`, `timeout` or `limit`.
    #[schemars(with = "Option<RunOutcome>")]
    outcome: Option<String>,
    /// Status that a probe found: `healthy`, `degraded`, `unhealthy` or `error`.
    #[schemars(with = "Option<Status>")]
    status: Option<String>,
    /// `next` of the page before.
    #[schemars(regex(pattern = "^[0-9]{1,18}$"))]
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

async fn list(
    State(state): State<ApiState>,
    Query(query): Query<RecordingQuery>,
) -> ApiResult<Json<Page<RecordingBody>>> {
    let outcomes = RunOutcome::ALL.map(RunOutcome::as_str);
    let statuses = Status::ALL.map(Status::as_str);
    let filter = RecordingFilter {
        service: query.service,
        plugin: query.plugin,
        outcome: page::word(
            "outcome",
            query.outcome.as_deref(),
            RunOutcome::parse,
            &outcomes,
        )?,
        status: page::word("status", query.status.as_deref(), Status::parse, &statuses)?,
    };
    let before = page::id_cursor(query.cursor.as_deref())?;
    let limit = page::limit(query.limit)?;
    let rows = state
        .deps
        .recordings
        .page(&filter, before, limit as usize + 1);
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |row| row.run.run_id.to_string(),
        RecordingBody::from,
    )))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunPath {
    run_id: i64,
}

async fn get(
    State(state): State<ApiState>,
    Path(RunPath { run_id }): Path<RunPath>,
) -> ApiResult<Response> {
    let recording = state
        .deps
        .recordings
        .read(run_id)
        .await
        .map_err(|error| ApiError::internal(error.into()))?;
    let mut response = recording
        .ok_or_else(|| ApiError::recording_not_found(run_id))?
        .into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(disposition) =
        HeaderValue::from_str(&format!("attachment; filename=\"recording-{run_id}.json\""))
    {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

impl ApiError {
    pub(crate) fn recording_not_found(run_id: i64) -> Self {
        let detail = format!(
            "there is no recording of run {run_id}, or not any more; `GET /api/v1/recordings` lists them"
        );
        Self::not_found("recording-not-found", "Recording not found", detail)
    }
}
