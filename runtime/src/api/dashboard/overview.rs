//! The overview: what is broken now, what is getting worse, and whether a person works on it.

mod act;
mod filter;
mod order;
mod rows;
#[cfg(test)]
mod testing;
mod view;
mod wall;
mod watch;

use axum::Extension;
use axum::extract::{Query, State};
use maud::{Markup, html};

use super::standing::Standing;
use super::wording::prose;
use super::{fragments, layout};
use crate::api::http::auth::Principal;
use crate::api::http::error::ApiResult;
use crate::api::http::state::ApiState;
use crate::api_types::scope::Scope;
use crate::registry::ServiceRecord;
use filter::Fact;
use order::Group;
use view::{ListForm, Matching};

pub(super) use act::{acknowledge, silence};
pub(super) use view::{View, ViewQuery};
pub(super) use watch::{new, service_url, watch};

/// More of them would hide what runs.
const MAX_UNABLE: usize = 5;

pub(crate) async fn page(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Query(query): Query<ViewQuery>,
) -> ApiResult<Markup> {
    // Before anything is read: what changes from now on comes live.
    let sequence = state.live.sequence();
    let view = View::new(query);
    let may_act = principal.may(Scope::Write);
    let matching = view.matching(&state.deps);
    let attention = fragments::attention(&state.deps, may_act).await?;
    let body = html! {
        h1.hidden { "Services" }
        section.summary aria-label="Summary" { (fragments::totals(&fragments::counts(&state.deps))) }
        @if may_act {
            form id=(fragments::ACT_FORM) method="post" { input type="hidden" name="back" value=(view.address()); }
        }
        section.now.read-only[!may_act] aria-label="What needs attention" { (attention) }
        @if state.deps.registry.slugs().is_empty() { (watch::first_run(&principal)) }
        @else { section.card.services aria-labelledby="services-title" { (services(&state, &view, &matching, may_act)) } }
        details.card.panel.plugin-list { summary { "Plugins" } (fragments::plugins(&state.deps)) }
    };
    Ok(layout::room(layout::Room {
        title: "Services",
        path: "/",
        events: Some(view.events_url(sequence, matching.form)),
        body,
    }))
}

fn services(state: &ApiState, view: &View, matching: &Matching, may_act: bool) -> Markup {
    html! {
        header {
            h2 #services-title { "Services" @if !matching.found.is_empty() { " " span.count { (matching.found.len()) } } }
            (search(view, matching))
            (forms(view, matching))
            @if may_act { a.button href="/new" { "Watch a service" } }
        }
        @if let Some(status) = view.no_status() {
            p.fault { "There is no status " code { (status) } "; there are " (all_statuses()) "." }
        }
        @for record in unable(state) {
            p.fault {
                b { (record.slug) } " can't run: "
                @if let Some(fault) = record.faults.first() { (prose(&fault.message)) }
            }
        }
        @if matching.found.is_empty() {
            p.empty {
                @if view.is_filtered() { "No service matches. " a href="/" { "Show all" } }
                @else { "No service can run." }
            }
        }
        @match matching.form {
            ListForm::Wall => { (wall::wall(view, matching)) }
            ListForm::Rows | ListForm::Compact => { (rows::rows(&state.deps, view, matching)) }
        }
    }
}

/// Services that were described over the API and can't run, e.g. because their plugin is gone.
fn unable(state: &ApiState) -> impl Iterator<Item = ServiceRecord> {
    let registry = &state.deps.registry;
    let running = registry.catalog();
    let slugs = registry
        .slugs()
        .into_iter()
        .filter(move |slug| !running.services.contains_key(slug));
    slugs
        .filter_map(|slug| registry.record(&slug))
        .take(MAX_UNABLE)
}

fn search(view: &View, matching: &Matching) -> Markup {
    let groups = Fact::ALL.into_iter().map(Group::By);
    html! {
        form.search role="search" method="get" action="/" {
            input type="search" name="q" value=(view.text) placeholder="Name, address, tag:, owner:, team:, env:, type:, status:"
                aria-label="Find services by name, address, or key:value" maxlength=(view::MAX_WORDS_BYTES);
            select name="status" aria-label="Status" {
                option value="" { "Any status" }
                @for standing in Standing::ALL {
                    option value=(standing.word()) selected[view.standing() == Some(standing)] { (standing.title()) }
                }
            }
            select name="group" aria-label="Group by" {
                option value=(Group::Nothing.word()) { "No groups" }
                @for group in groups {
                    option value=(group.word()) selected[matching.group == group] { "By " (group.word()) }
                }
            }
            @if view.sort != order::Sort::Worst { input type="hidden" name="sort" value=(view.sort.word()); }
            @if let Some(form) = view.form { input type="hidden" name="as" value=(form.word()); }
            button type="submit" { "Find" }
            @if view.is_filtered() { a.button.quiet href="/" { "Show all" } }
        }
    }
}

/// Links to the same services in other forms.
fn forms(view: &View, matching: &Matching) -> Markup {
    html! {
        nav.forms aria-label="Form of the list" {
            @for form in ListForm::ALL {
                a href=(view.link(|view| view.form = Some(form))) aria-current=[(matching.form == form).then_some("true")] {
                    (form.word())
                }
            }
        }
    }
}

fn all_statuses() -> Markup {
    html! {
        @for (index, standing) in Standing::ALL.into_iter().enumerate() {
            @if index > 0 { ", " }
            code { (standing.word()) }
        }
    }
}
