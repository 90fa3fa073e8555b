//! Reports: the list of both origins, changes, runs, files and previews.

use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, NoContent, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::audit;
use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::file::ReportFile;
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{self, Page, PageQuery};
use crate::api::http::state::ApiState;
use crate::api_types::reports::{ReportBody, ReportMessageBody, ReportRunBody};
use crate::api_types::scope::Scope::{Read, Sql, Write};
use crate::domain::ReportFormat;
use crate::registry::bundled_reports;
use crate::reports::{ReportEntry, ReportError};
use crate::spec::ReportSpec;
use crate::store::control::ReportRun;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/reports", list)
            .id("reportList")
            .summary("Reports of the files and of the API, by name"),
        Endpoint::post(Write, "/api/v1/reports", create)
            .id("reportCreate")
            .summary("Add a report; one with `sql` or `query` needs the scope `sql` as well")
            .returns::<201, Json<ReportBody>>(),
        Endpoint::get(Read, "/api/v1/reports/{name}", get)
            .id("reportGet")
            .summary("One report with its last run"),
        Endpoint::put(Write, "/api/v1/reports/{name}", replace)
            .id("reportReplace")
            .summary("Replace a report of the API; one with `sql` or `query` needs the scope `sql` as well"),
        Endpoint::delete(Write, "/api/v1/reports/{name}", delete)
            .id("reportDelete")
            .summary("Remove a report of the API with its runs"),
        Endpoint::post(Write, "/api/v1/reports/{name}/run", run)
            .id("reportRun")
            .summary("Make a report of the last period now, and send it")
            .description("Answers with the row of the run, before anything is rendered.")
            .returns::<202, Json<ReportRunBody>>(),
        Endpoint::get(Read, "/api/v1/reports/{name}/preview", preview)
            .slow()
            .id("reportPreview")
            .summary("Make a report of the last period; it is neither kept nor sent")
            .returns::<200, ReportFile>(),
        Endpoint::get(Read, "/api/v1/reports/{name}/runs", runs)
            .id("reportRuns")
            .summary("Runs of a report, the newest first, with their messages"),
        Endpoint::get(Read, "/api/v1/reports/{name}/runs/{run}", file)
            .slow()
            .id("reportFile")
            .summary("What a run made")
            .description(
                "`run` is the id with a format: `12.html`, `.pdf`, `.csv`, `.json`, `.parquet`.",
            )
            .returns::<200, ReportFile>(),
        Endpoint::post(Write, "/api/v1/reports/{name}/runs/{run}/resend", resend)
            .id("reportResend")
            .summary("Send what a run made once more, to the channels of now"),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ReportPath {
    pub(crate) name: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct FilePath {
    pub(crate) name: String,
    /// `12.pdf`
    pub(crate) run: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct RunPath {
    pub(crate) name: String,
    pub(crate) run: i64,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewQuery {
    /// Default: `html`.
    format: Option<ReportFormat>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunsQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = "^[0-9]{1,18}$"))]
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

pub(crate) async fn body(state: &ApiState, entry: ReportEntry) -> ApiResult<ReportBody> {
    let reports = &state.deps.reports;
    let definition = entry.definition;
    let last = reports.runs(&definition.name, None, 1).await?.pop();
    let last_run = match last {
        Some(run) => Some(run_body(state, run).await?),
        None => None,
    };
    Ok(ReportBody {
        name: definition.name.clone(),
        title: definition.title.clone(),
        origin: entry.origin,
        schedule: definition.schedule.as_ref().map(|it| it.text.clone()),
        next_at: entry.next_ms.map(rfc3339),
        span: definition.span,
        channels: definition.channels.clone(),
        formats: definition.formats.clone(),
        author: entry.author,
        spec: serde_json::from_value(definition.spec.clone()).unwrap_or_default(),
        faults: entry.faults,
        last_run,
    })
}

pub(crate) async fn run_body(state: &ApiState, run: ReportRun) -> ApiResult<ReportRunBody> {
    let messages = state.deps.reports.messages(&run).await?;
    let message = |message: crate::domain::Notification| ReportMessageBody {
        id: message.id,
        channel: message.channel.0,
        state: message.state,
        delivered_at: message.delivered_ms.map(rfc3339),
        last_error: message.last_error,
    };
    Ok(ReportRunBody {
        id: run.id,
        report: run.report,
        period: run.period,
        scheduled: run.is_scheduled,
        state: run.state,
        error: run.error,
        title: run.title,
        due_at: rfc3339(run.due_ms),
        created_at: rfc3339(run.created_ms),
        finished_at: run.finished_ms.map(rfc3339),
        messages: messages.into_iter().map(message).collect(),
    })
}

async fn list(
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<ReportBody>>> {
    let entries = state.deps.reports.list().await?;
    let page = Page::of_sorted(entries, &query, |entry| entry.definition.name.clone())?;
    let mut items = Vec::new();
    for entry in page.items {
        items.push(body(&state, entry).await?);
    }
    Ok(Json(Page {
        items,
        next: page.next,
    }))
}

/// Statements of a report read what those of `/api/v1/sql` do.
fn may_ask(principal: &Principal, spec: &ReportSpec) -> ApiResult<()> {
    let asks = spec
        .sections
        .iter()
        .any(|section| section.sql.is_some() || section.query.is_some());
    if asks && !principal.may(Sql) {
        return Err(ApiError::scope_missing(Sql));
    }
    Ok(())
}

pub(crate) async fn create(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Json(spec): Json<ReportSpec>,
) -> ApiResult<Response> {
    may_ask(&principal, &spec)?;
    let spec = json!(spec);
    let entry = state.deps.reports.create(spec, &principal.name).await?;
    note(&state, &principal, "report.create", &entry).await;
    let body = body(&state, entry).await?;
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn get(
    State(state): State<ApiState>,
    Path(ReportPath { name }): Path<ReportPath>,
) -> ApiResult<Json<ReportBody>> {
    let entry = state.deps.reports.get(&name).await?;
    Ok(Json(body(&state, entry).await?))
}

pub(crate) async fn replace(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(ReportPath { name }): Path<ReportPath>,
    Json(spec): Json<ReportSpec>,
) -> ApiResult<Json<ReportBody>> {
    may_ask(&principal, &spec)?;
    let reports = &state.deps.reports;
    let entry = reports.replace(&name, json!(spec), &principal.name).await?;
    note(&state, &principal, "report.replace", &entry).await;
    Ok(Json(body(&state, entry).await?))
}

pub(crate) async fn delete(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(ReportPath { name }): Path<ReportPath>,
) -> ApiResult<NoContent> {
    state.deps.reports.delete(&name).await?;
    audit::note(&state, &principal, "report.delete", &name).await;
    Ok(NoContent)
}

pub(crate) async fn run(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(ReportPath { name }): Path<ReportPath>,
) -> ApiResult<Response> {
    let run = state.deps.reports.begin(&name).await?;
    audit::note(&state, &principal, "report.run", &name).await;
    let body = run_body(&state, run).await?;
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

async fn preview(
    State(state): State<ApiState>,
    Path(ReportPath { name }): Path<ReportPath>,
    Query(PreviewQuery { format }): Query<PreviewQuery>,
) -> ApiResult<Response> {
    let reports = &state.deps.reports;
    let definition = reports.definition(&name).await?;
    let report = reports.preview(&definition).await?;
    let format = format.unwrap_or(ReportFormat::Html);
    let content = reports.written(report, format).await?;
    Ok(answer(&format!("{name}-preview"), format, content))
}

async fn runs(
    State(state): State<ApiState>,
    Path(ReportPath { name }): Path<ReportPath>,
    Query(query): Query<RunsQuery>,
) -> ApiResult<Json<Page<ReportRunBody>>> {
    let limit = page::limit(query.limit)?;
    let before = page::id_cursor(query.cursor.as_deref())?;
    let reports = &state.deps.reports;
    let found = reports.runs(&name, before, limit + 1).await?;
    if found.is_empty() {
        // Runs outlive a report of a file, and a report may have none yet.
        reports.get(&name).await?;
    }
    let mut bodies = Vec::new();
    for run in found {
        bodies.push(run_body(&state, run).await?);
    }
    Ok(Json(Page::from_rows(
        bodies,
        limit,
        |body: &ReportRunBody| body.id.to_string(),
        |body| body,
    )))
}

async fn file(
    State(state): State<ApiState>,
    Path(FilePath { name, run }): Path<FilePath>,
) -> ApiResult<Response> {
    let parsed = run
        .split_once('.')
        .and_then(|(id, format)| Some((id.parse::<i64>().ok()?, ReportFormat::parse(format)?)));
    let Some((id, format)) = parsed else {
        let detail = "wanted the id of a run and a format, e.g. `12.pdf`; formats are `html`, `pdf`, `csv`, `json`, `parquet`";
        return Err(ApiError::bad_parameter("run", detail));
    };
    let reports = &state.deps.reports;
    let run = reports.run(&name, id).await?;
    let first = run.period.split('/').next().unwrap_or_default();
    let file = format!("{name}-{first}");
    let report = reports.made(&run).await?;
    let content = reports.written(report, format).await?;
    Ok(answer(&file, format, content))
}

/// Saved by a browser, not shown: its styles are those of a mail.
fn answer(name: &str, format: ReportFormat, content: Vec<u8>) -> Response {
    let mut response = content.into_response();
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_static(format.media_type());
    headers.insert(CONTENT_TYPE, media_type);
    let file = format!("attachment; filename=\"{name}.{}\"", format.as_str());
    if let Ok(file) = HeaderValue::try_from(file) {
        headers.insert(CONTENT_DISPOSITION, file);
    }
    response
}

pub(crate) async fn resend(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(RunPath { name, run }): Path<RunPath>,
) -> ApiResult<NoContent> {
    state.deps.reports.resend(&name, run).await?;
    audit::note(
        &state,
        &principal,
        "report.resend",
        &format!("{name}/{run}"),
    )
    .await;
    Ok(NoContent)
}

async fn note(state: &ApiState, principal: &Principal, action: &str, entry: &ReportEntry) {
    let detail = json!({ "spec": entry.definition.spec });
    audit::note_with(state, principal, action, &entry.definition.name, &detail).await;
}

impl From<ReportError> for ApiError {
    fn from(error: ReportError) -> Self {
        let detail = error.to_string();
        match error {
            ReportError::NotFound(name) => {
                let hint = if bundled_reports().any(|it| it == name) {
                    "it comes with the program, and its name below `reports` in reports.yaml enables it"
                } else {
                    "`GET /api/v1/reports` lists them"
                };
                let detail = format!("{detail}; {hint}");
                Self::not_found("report-not-found", "Report not found", detail)
            }
            ReportError::NoRun(_) => {
                Self::not_found("report-run-not-found", "Run not found", detail)
            }
            ReportError::OwnedByFile(_) => {
                Self::conflict("owned-by-file", "Report comes from a file", detail)
            }
            ReportError::Exists(_) => Self::conflict("report-exists", "Report exists", detail),
            ReportError::Empty(_) => {
                Self::conflict("report-run-empty", "Nothing to send or show", detail)
            }
            ReportError::Invalid(faults) => {
                Self::invalid("invalid-report", "Invalid report", faults)
            }
            ReportError::Busy => Self::busy(detail),
            ReportError::Unwritten { .. } => Self::internal(anyhow::anyhow!(detail)),
            ReportError::Store(error) => error.into(),
        }
    }
}
