//! The builder: one form whose buttons add, move and remove sections, and save.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use maud::{Markup, html};
use serde::Deserialize;

use super::form::{Act, Draft, Part};
use super::one::saved;
use crate::api::dashboard::layout;
use crate::api::dashboard::replies::not_shown;
use crate::api::dashboard::wording::prose;
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::domain::fault::suggest;
use crate::domain::{Fault, ReportFormat};
use crate::registry::bundled_reports;
use crate::spec::ReportSpec;

/// Kinds of sections, with what is written into them.
const KINDS: [(&str, &str); 6] = [
    (
        "numbers",
        "availability, incidents, downtime, p95, calls, cost, alerts",
    ),
    ("chart", "downtime, calls, cost or alerts"),
    (
        "table",
        "services, incidents, vendors, cost, claims or noise",
    ),
    ("sql", "a statement; $from and $to are the period"),
    ("query", "name of a saved query"),
    ("text", "Markdown"),
];

#[derive(Debug, Deserialize)]
pub(crate) struct BuilderQuery {
    /// Report to be changed.
    name: Option<String>,
    /// Report of the program to begin with.
    bundled: Option<String>,
}

pub(crate) async fn page(
    State(state): State<ApiState>,
    Query(query): Query<BuilderQuery>,
) -> Response {
    match begun(&state, query).await {
        Ok(draft) => shown(&state, &draft, &[]),
        Err(error) => not_shown(error, "/reports"),
    }
}

async fn begun(state: &ApiState, query: BuilderQuery) -> ApiResult<Draft> {
    if let Some(name) = query.name {
        let entry = state.deps.reports.get(&name).await?;
        let spec: ReportSpec =
            serde_json::from_value(entry.definition.spec.clone()).unwrap_or_default();
        return Ok(Draft::of(&spec, &name));
    }
    let bundled = query.bundled.unwrap_or_default();
    if !bundled.is_empty() && !bundled_reports().any(|name| name == bundled) {
        let hint = suggest(&bundled, bundled_reports());
        let detail = format!("there is no bundled report `{bundled}`{hint}");
        return Err(ApiError::not_found(
            "report-not-found",
            "Report not found",
            detail,
        ));
    }
    let mut draft = Draft {
        name: bundled.clone(),
        bundled,
        ..Draft::default()
    };
    if draft.bundled.is_empty() {
        draft.schedule = "weekly".to_owned();
        draft.apply(Act::Add);
    }
    Ok(draft)
}

pub(crate) async fn build(
    State(state): State<ApiState>,
    principal: Extension<Principal>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let (mut draft, act) = Draft::read(fields);
    if act != Act::Save {
        draft.apply(act);
        return shown(&state, &draft, &[]);
    }
    let spec: ReportSpec = match serde_json::from_value(draft.spec()) {
        Ok(spec) => spec,
        Err(error) => {
            let of_section = draft.section_fault();
            let fault = of_section.unwrap_or_else(|| error.to_string());
            return shown(&state, &draft, &[fault]);
        }
    };
    let name = match draft.replaces.as_str() {
        "" => spec.name.clone(),
        replaced => replaced.to_owned(),
    };
    match saved(State(state.clone()), principal, &draft.replaces, spec).await {
        Ok(()) => Redirect::to(&format!("/reports/{name}")).into_response(),
        Err(error) => failed(&state, &draft, error),
    }
}

/// What is wrong with a form, above what was filled in.
fn failed(state: &ApiState, draft: &Draft, error: ApiError) -> Response {
    let text = match error.faults() {
        [] => error.detail(),
        faults => faults.iter().map(placed).collect::<Vec<_>>().join("\n"),
    };
    let faults: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut response = shown(state, draft, &faults);
    *response.status_mut() = error.status();
    response
}

/// Writes a fault with its section, as the form counts them.
fn placed(fault: &Fault) -> String {
    let key = fault.pointer.trim_start_matches('/');
    let section = key.strip_prefix("sections/").and_then(|rest| {
        let (index, key) = rest.split_once('/').unwrap_or((rest, ""));
        Some((index.parse::<usize>().ok()?.checked_add(1)?, key))
    });
    match (section, key) {
        (Some((number, "")), _) => format!("Section {number}: {}", fault.message),
        (Some((number, key)), _) => format!("Section {number}, `{key}`: {}", fault.message),
        (None, "") => fault.message.clone(),
        (None, key) => format!("`{key}`: {}", fault.message),
    }
}

fn shown(state: &ApiState, draft: &Draft, faults: &[String]) -> Response {
    let catalog = state.deps.registry.catalog();
    let mut channels: Vec<&str> = catalog
        .channels
        .values()
        .map(|channel| channel.name.as_str())
        .collect();
    channels.sort_unstable();
    channels.dedup();
    let title = match draft.replaces.as_str() {
        "" => "New report".to_owned(),
        name => format!("Edit {name}"),
    };
    let body = html! {
        p.back { a href="/reports" { "Reports" } }
        h1 { (title) }
        @if !faults.is_empty() {
            div.report-failed role="alert" { @for fault in faults { p { (prose(fault)) } } }
        }
        form.report-builder method="post" action="/report-builder" {
            // Enter presses the first button: it saves.
            button.report-enter type="submit" name="act" value="save" tabindex="-1" aria-hidden="true" { "Save" }
            input type="hidden" name="replaces" value=(draft.replaces);
            input type="hidden" name="bundled" value=(draft.bundled);
            (general(draft))
            (recipients(draft, &channels))
            (sections(draft))
            div.actions { button type="submit" name="act" value="save" { "Save" } }
        }
    };
    layout::room(layout::Room {
        title: &title,
        path: "/reports",
        events: None,
        body,
    })
    .into_response()
}

fn general(draft: &Draft) -> Markup {
    html! {
        section.card.panel aria-label="When" {
            label { "Name" input name="name" value=(draft.name) required maxlength="64" readonly[!draft.replaces.is_empty()] autocomplete="off"; }
            label { "Title" input name="title" value=(draft.title) maxlength="200" autocomplete="off"; }
            label { "Schedule: daily, weekly, monthly, or cron fields; empty: by hand" input name="schedule" value=(draft.schedule) autocomplete="off"; }
            label { "At" input name="at" value=(draft.at) placeholder="08:00" maxlength="5" autocomplete="off"; }
            label { "Time zone" input name="timezone" value=(draft.timezone) placeholder="UTC" autocomplete="off"; }
            label { "About the last" select name="span" {
                @for (value, text) in [("", "period of the schedule"), ("day", "day"), ("week", "week"), ("month", "month")] {
                    option value=(value) selected[draft.span == value] { (text) }
                }
            } }
        }
    }
}

fn recipients(draft: &Draft, channels: &[&str]) -> Markup {
    html! {
        section.card.panel aria-label="To whom" {
            h2 { "Channels" }
            @if channels.is_empty() { p.empty { "No channel is configured." } }
            @for name in channels {
                label { input type="checkbox" name="channel" value=(name) checked[draft.channels.iter().any(|it| it == name)]; " " (name) }
            }
            h2 { "Files of a mail" }
            @for format in ReportFormat::ALL {
                label { input type="checkbox" name="format" value=(format.as_str()) checked[draft.formats.iter().any(|it| it == format.as_str())]; " " (format.as_str()) }
            }
            p.muted { "None chosen: html and pdf." }
        }
    }
}

fn sections(draft: &Draft) -> Markup {
    html! {
        @for (index, part) in draft.sections.iter().enumerate() { (section(index, part)) }
        @if draft.sections.is_empty() { p.muted { "The sections are those of the bundled report." } }
        div.actions { button.quiet type="submit" name="act" value="add" formnovalidate { "Add a section" } }
        details { summary { "What sections are made of" } dl { @for (kind, hint) in KINDS { dt { (kind) } dd { (hint) } } } }
    }
}

fn section(index: usize, part: &Part) -> Markup {
    let act = |verb: &str| format!("{verb}.{index}");
    html! {
        section.card.panel aria-label={ "Section " (index + 1) } {
            h2 { "Section " (index + 1) }
            label { "Kind" select name={ "kind." (index) } {
                @for (kind, _) in KINDS { option value=(kind) selected[part.kind == kind] { (kind) } }
            } }
            label { "Heading" input name={ "title." (index) } value=(part.title) maxlength="200" autocomplete="off"; }
            label { "Content" textarea name={ "value." (index) } rows="3" spellcheck="false" { (part.value) } }
            label { input type="checkbox" name={ "bars." (index) } checked[part.bars]; " Bars in place of a table (of sql and query)" }
            div.actions {
                button.quiet type="submit" name="act" value=(act("up")) formnovalidate { "Up" }
                button.quiet type="submit" name="act" value=(act("down")) formnovalidate { "Down" }
                button.quiet type="submit" name="act" value=(act("remove")) formnovalidate { "Remove" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_the_section_as_the_form_counts_them() {
        for (pointer, wanted) in [
            ("/sections/0/sql", "Section 1, `sql`: is wrong"),
            ("/sections/2", "Section 3: is wrong"),
            ("/schedule", "`schedule`: is wrong"),
            ("/sections", "`sections`: is wrong"),
            ("", "is wrong"),
        ] {
            assert_eq!(placed(&Fault::new(pointer, "is wrong")), wanted);
        }
    }
}
