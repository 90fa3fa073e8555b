//! Recordings of runs: which there are, and one as a file.

use aide::transform::TransformOperation;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::{ApiError, ApiResult};
use super::moment::rfc3339;
use super::page::{self, Page};
use super::state::ApiState;
use crate::domain::{PluginKind, RunOutcome, Status};
use crate::plugin_host::{RecordingEntry, RecordingFilter};

/// One run of which a recording is kept.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecordingBody {
    run_id: i64,
    /// When the run was due, or when it began, RFC 3339.
    ts: String,
    plugin: String,
    kind: PluginKind,
    version: String,
    /// sha256 of the component, in hex.
    digest: String,
    /// The exported function, e.g. `check`.
    function: String,
    /// Slug.
    service: Option<String>,
    probe: Option<String>,
    webhook: Option<String>,
    /// Name of the channel, for messages.
    channel: Option<String>,
    /// Of the observation.
    status: Option<Status>,
    outcome: RunOutcome,
    /// Why the run did not end well, or what the observation says is wrong.
    error: Option<String>,
    duration_us: u64,
    host_calls: u32,
    /// What is missing from the recording, because it was too much to keep.
    truncated: Option<String>,
    /// Bytes of the file; null while the run is kept in memory only, as those are that went well.
    size: Option<u64>,
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
pub(super) struct RecordingQuery {
    /// Slug.
    service: Option<String>,
    plugin: Option<String>,
    /// How the run ended: `ok`, `error`, `trap`, `timeout` or `limit`.
    outcome: Option<String>,
    /// What a probe found: `healthy`, `degraded`, `unhealthy` or `error`.
    status: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

pub(super) async fn list(
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
        .parts
        .recordings
        .page(&filter, before, limit as usize + 1);
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |row| row.run.run_id.to_string(),
        RecordingBody::from,
    )))
}

pub(super) fn list_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation.id("recordingList").tag("plugins").summary("Runs of which a recording is kept, newest first").description(
        "Of each probe, rule and channel the last runs that failed, and of each probe the last that went well. Recordings are \
         bounded in number and size, and the oldest go first.",
    )
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunPath {
    run_id: i64,
}

pub(super) async fn get(
    State(state): State<ApiState>,
    Path(RunPath { run_id }): Path<RunPath>,
) -> ApiResult<Response> {
    let recording = state
        .parts
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

pub(super) fn get_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("recordingGet")
        .tag("plugins")
        .summary("The recording of a run, as a file")
        .description("For `extrack plugin replay`, and for tests of a plugin. Secrets are placeholders in it.")
        .response::<200, Json<serde_json::Map<String, serde_json::Value>>>()
}
