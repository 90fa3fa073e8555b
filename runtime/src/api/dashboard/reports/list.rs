//! All reports with the next run and the last outcome.

use axum::Extension;
use axum::extract::State;
use maud::{Markup, html};

use crate::api::dashboard::layout;
use crate::api::dashboard::wording::written;
use crate::api::http::auth::Principal;
use crate::api::http::error::ApiResult;
use crate::api::http::state::ApiState;
use crate::api::resources::reports::body;
use crate::api_types::reports::{ReportBody, ReportRunBody};
use crate::api_types::scope::Scope;

/// Reports that come with the program, with what they answer.
const BUNDLED: [(&str, &str); 4] = [
    ("weekly-vendors", "Who was down, and who knew first?"),
    ("cost", "What did the calls cost?"),
    ("sla-claim", "Which credits can be claimed, until when?"),
    ("alert-noise", "Which alerts fire, and nobody acts?"),
];

pub(crate) async fn page(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
) -> ApiResult<Markup> {
    let mut reports = Vec::new();
    for entry in state.deps.reports.list().await? {
        reports.push(body(&state, entry).await?);
    }
    let may_write = principal.may(Scope::Write);
    let body = html! {
        h1 { "Reports" }
        @if !reports.is_empty() { (table(&reports)) }
        @if may_write { p.report-new { a.button href="/report-builder" { "New report" } } }
        (bundled(&reports, may_write))
    };
    Ok(layout::room(layout::Room {
        title: "Reports",
        path: "/reports",
        events: None,
        body,
    }))
}

fn table(reports: &[ReportBody]) -> Markup {
    html! {
        section.card.panel aria-label="Reports" {
            div.wide { table.list {
                thead { tr { th scope="col" { "Report" } th scope="col" { "Next" } th scope="col" { "Channels" } th scope="col" { "Last" } } }
                tbody {
                    @for report in reports {
                        tr {
                            td { a href={ "/reports/" (report.name) } { (report.title) } @if !report.faults.is_empty() { " " span.muted { "(has faults)" } } }
                            td { @match &report.next_at { Some(at) => { (written(at)) } None => { "by hand" } } }
                            td { @if report.channels.is_empty() { "–" } @else { (report.channels.join(", ")) } }
                            td { @match &report.last_run { Some(run) => { (outcome(run)) } None => { "–" } } }
                        }
                    }
                }
            } }
        }
    }
}

pub(super) fn outcome(run: &ReportRunBody) -> Markup {
    html! { (run.state.as_str()) " " (written(run.finished_at.as_ref().unwrap_or(&run.created_at))) }
}

/// Reports that come with the program and are not used yet.
fn bundled(reports: &[ReportBody], may_write: bool) -> Markup {
    let is_used = |name: &str| {
        reports
            .iter()
            .any(|report| report.name == name || report.spec.bundled.as_deref() == Some(name))
    };
    let unused: Vec<_> = BUNDLED
        .into_iter()
        .filter(|&(name, _)| !is_used(name))
        .collect();
    html! {
        @if reports.is_empty() { p.muted { "No report yet. These come with the program:" } }
        @else if !unused.is_empty() { p.muted { "These come with the program as well:" } }
        div.report-cards {
            @for (name, question) in unused {
                section.card.panel {
                    h2 { (name) }
                    p { (question) }
                    @if may_write { p { a.button.quiet href={ "/report-builder?bundled=" (name) } { "Use it" } } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::bundled_reports;

    #[test]
    fn reports_of_the_program_are_offered_until_they_are_used() {
        let report = |spec: serde_json::Value| -> ReportBody {
            let body = json!({
                "name": spec["name"], "title": "A report", "origin": "api", "span": "week",
                "channels": [], "formats": [], "spec": spec, "faults": [],
            });
            serde_json::from_value(body).unwrap()
        };
        let all = bundled(&[], true).into_string();
        for name in bundled_reports() {
            assert!(all.contains(&format!("?bundled={name}\"")), "{name}: {all}");
        }
        let used = [
            report(json!({"name": "cost"})),
            report(json!({"name": "monday", "bundled": "weekly-vendors"})),
        ];
        let rest = bundled(&used, true).into_string();
        for (name, is_offered) in [
            ("cost", false),
            ("weekly-vendors", false),
            ("sla-claim", true),
            ("alert-noise", true),
        ] {
            let link = format!("?bundled={name}\"");
            assert_eq!(rest.contains(&link), is_offered, "{name}: {rest}");
        }
    }
}
