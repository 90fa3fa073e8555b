//! One report: what may be done with it, its preview, and every run that is kept.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Json};
use maud::{Markup, html};

use super::list::outcome;
use super::view;
use crate::api::dashboard::layout;
use crate::api::dashboard::replies::{not_shown, refused};
use crate::api::dashboard::wording::{prose, written};
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::api::resources::reports::{self, ReportPath, RunPath, body, run_body};
use crate::api_types::reports::{ReportBody, ReportRunBody};
use crate::api_types::scope::Scope;
use crate::domain::{Origin, ReportFormat};
use crate::reports::Report;

/// Runs on the page.
const MAX_RUNS: u32 = 60;

const LIST: &str = "/reports";

pub(crate) async fn page(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(ReportPath { name }): Path<ReportPath>,
) -> Response {
    match load(&state, &name).await {
        Ok((report, runs)) => {
            let may_write = principal.may(Scope::Write);
            room(
                &report.title,
                html! { (head(&report, may_write)) (history(&report, &runs, may_write)) },
            )
        }
        Err(error) => not_shown(error, LIST),
    }
}

fn room(title: &str, body: Markup) -> Response {
    layout::room(layout::Room {
        title,
        path: LIST,
        events: None,
        body,
    })
    .into_response()
}

async fn load(state: &ApiState, name: &str) -> ApiResult<(ReportBody, Vec<ReportRunBody>)> {
    let entry = state.deps.reports.get(name).await?;
    let report = body(state, entry).await?;
    let mut runs = Vec::new();
    for run in state.deps.reports.runs(name, None, MAX_RUNS).await? {
        runs.push(run_body(state, run).await?);
    }
    Ok((report, runs))
}

fn head(report: &ReportBody, may_write: bool) -> Markup {
    let at = |act: &str| format!("/reports/{}/{act}", report.name);
    html! {
        p.back { a href=(LIST) { "Reports" } }
        h1 { (report.title) }
        p.muted {
            @match &report.schedule { Some(schedule) => { "Schedule " code { (schedule) } } None => { "Made by hand" } }
            @if let Some(next) = &report.next_at { " · next " (written(next)) }
            " · to " @if report.channels.is_empty() { "no channel" } @else { (report.channels.join(", ")) }
        }
        @for fault in &report.faults { p.report-failed { (prose(&fault.to_string())) } }
        div.actions {
            a.button.quiet href=(at("preview")) { "Preview" }
            @if may_write {
                form method="post" action=(at("make")) { button type="submit" { "Make and send now" } }
                @if report.origin == Origin::Api {
                    a.button.quiet href={ "/report-builder?name=" (report.name) } { "Edit" }
                    form method="post" action=(at("delete")) { button.quiet type="submit" { "Remove" } }
                }
            }
        }
        @if report.origin == Origin::File { p.muted { "Written in " code { "reports.yaml" } "; change it there." } }
    }
}

fn history(report: &ReportBody, runs: &[ReportRunBody], may_write: bool) -> Markup {
    html! {
        section.card.panel aria-label="History" {
            h2 { "History" }
            @if runs.is_empty() { p.empty { "It has not been made yet." } }
            @else {
                div.wide { table.list {
                    thead { tr { th scope="col" { "Period" } th scope="col" { "Outcome" } th scope="col" { "Sent to" } th scope="col" { "Files" } th scope="col" { "" } } }
                    tbody { @for run in runs { (row(report, run, may_write)) } }
                } }
            }
        }
    }
}

fn row(report: &ReportBody, run: &ReportRunBody, may_write: bool) -> Markup {
    let page = format!("/reports/{}/runs/{}", report.name, run.id);
    let is_made = !run.title.is_empty();
    html! {
        tr {
            td { @if is_made { a href=(page) { (run.period) } } @else { (run.period) } @if !run.scheduled { " " span.muted { "by hand" } } }
            td { (outcome(run)) @if let Some(error) = &run.error { br; (prose(error)) } }
            td {
                @if run.messages.is_empty() { "–" }
                @for message in &run.messages {
                    div { (message.channel) ": " (message.state.as_str()) @if let Some(error) = &message.last_error { ", " (error) } }
                }
            }
            td {
                @if is_made {
                    @for format in ReportFormat::ALL {
                        a href={ "/api/v1/reports/" (report.name) "/runs/" (run.id) "." (format.as_str()) } { (format.as_str()) } " "
                    }
                }
            }
            td { @if is_made && may_write { form method="post" action={ (page) "/resend" } { button.quiet type="submit" { "Resend" } } } }
        }
    }
}

pub(crate) async fn preview(
    State(state): State<ApiState>,
    Path(ReportPath { name }): Path<ReportPath>,
) -> Response {
    let back = format!("/reports/{name}");
    match previewed(&state, &name).await {
        Ok(report) => shown(&report, &back),
        Err(error) => not_shown(error, &back),
    }
}

async fn previewed(state: &ApiState, name: &str) -> ApiResult<Report> {
    let entry = state.deps.reports.get(name).await?;
    Ok(state.deps.reports.preview(&entry.definition).await?)
}

pub(crate) async fn run(
    State(state): State<ApiState>,
    Path(RunPath { name, run }): Path<RunPath>,
) -> Response {
    let back = format!("/reports/{name}");
    match made(&state, &name, run).await {
        Ok(report) => shown(&report, &back),
        Err(error) => not_shown(error, &back),
    }
}

async fn made(state: &ApiState, name: &str, run: i64) -> ApiResult<Report> {
    let run = state.deps.reports.run(name, run).await?;
    Ok(state.deps.reports.made(&run).await?)
}

fn shown(report: &Report, back: &str) -> Response {
    let body = html! {
        p.back { a href=(back) { (report.name) } }
        (view::report(report))
    };
    room(&report.title, body)
}

pub(crate) async fn make(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(path): Path<ReportPath>,
) -> Response {
    let page = format!("/reports/{}", path.name);
    let done = reports::run(state, principal, Path(path)).await;
    back(&page, &page, done.map(drop))
}

pub(crate) async fn delete(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(path): Path<ReportPath>,
) -> Response {
    let page = format!("/reports/{}", path.name);
    let done = reports::delete(state, principal, Path(path)).await;
    back(LIST, &page, done.map(drop))
}

pub(crate) async fn resend(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(path): Path<RunPath>,
) -> Response {
    let page = format!("/reports/{}", path.name);
    let done = reports::resend(state, principal, Path(path)).await;
    back(&page, &page, done.map(drop))
}

fn back(to: &str, from: &str, done: Result<(), ApiError>) -> Response {
    match done {
        Ok(()) => Redirect::to(to).into_response(),
        Err(error) => refused(error, from),
    }
}

/// Saves what the builder has; the name is that of a report to be replaced, if there is one.
pub(super) async fn saved(
    state: State<ApiState>,
    principal: Extension<Principal>,
    replaces: &str,
    spec: crate::spec::ReportSpec,
) -> ApiResult<()> {
    if replaces.is_empty() {
        return reports::create(state, principal, Json(spec))
            .await
            .map(drop);
    }
    let name = replaces.to_owned();
    let path = Path(ReportPath { name });
    reports::replace(state, principal, path, Json(spec))
        .await
        .map(drop)
}
