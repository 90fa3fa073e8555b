//! The first room: all services with their status, open alerts, plugins.

mod view;

use axum::extract::{Query, State};
use maud::{Markup, html};

use super::standing::Standing;
use super::wording::{count, prose};
use super::{fragments, layout};
use crate::api::http::error::ApiResult;
use crate::api::http::state::ApiState;
use crate::registry::ServiceRecord;
pub(super) use view::{View, ViewQuery};

/// More of them would hide what runs.
const MAX_UNABLE: usize = 5;

pub(crate) async fn page(
    State(state): State<ApiState>,
    Query(query): Query<ViewQuery>,
) -> ApiResult<Markup> {
    // Before anything is read: what changes from now on comes live.
    let sequence = state.live.sequence();
    let view = View::new(query);
    let alerts = fragments::alerts(&state.deps).await?;
    let body = html! {
        h1.hidden { "Services" }
        section.summary aria-label="Summary" aria-live="polite" { (fragments::totals(&fragments::counts(&state.deps))) }
        div.columns {
            section.card.services aria-labelledby="services-title" { (services(&state, &view)) }
            section.card.open-alerts aria-label="Open alerts" aria-live="polite" { (alerts) }
            section.card.plugin-list aria-label="Plugins" { (fragments::plugins(&state.deps)) }
        }
    };
    Ok(layout::room(layout::Room {
        title: "Services",
        path: "/",
        events: Some(view.events_url(sequence)),
        body,
    }))
}

fn services(state: &ApiState, view: &View) -> Markup {
    let page = view.page(&state.deps);
    html! {
        header {
            h2 #services-title { "Services" @if page.matching > 0 { " " span.count { (page.matching) } } }
            (search(view))
        }
        @for record in unable(state) {
            p.fault {
                b { (record.slug) } " can't run: "
                @if let Some(fault) = record.faults.first() { (prose(&fault.message)) }
            }
        }
        @if page.rows.is_empty() {
            p.empty {
                @if view.is_filtered() { "No service matches. " a href="/" { "Show all" } }
                @else { "Describe a service in " code { "services.yaml" } ", or send it to " code { "POST /api/v1/services" } "." }
            }
        }
        table.services hidden[page.rows.is_empty()] data-complete[page.is_whole() && !view.is_filtered()]
            data-only=[view.standing.map(Standing::word)] {
            thead {
                tr {
                    th scope="col" { "Service" }
                    th scope="col" { "Status" }
                    th scope="col" { "Recent runs" }
                    th.latency scope="col" { "Latency" }
                    th.checked scope="col" { "Checked" }
                }
            }
            @for standing in Standing::ALL {
                tbody data-group=(standing.word()) {
                    @for (service, status) in page.rows_of(standing) { (fragments::service(service, status)) }
                }
            }
        }
        @if page.last > 1 { (pages(view, page.number, page.last)) }
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

fn search(view: &View) -> Markup {
    html! {
        form.search role="search" method="get" action="/" {
            input type="search" name="q" value=(view.words) placeholder="Find by name, address or tag"
                aria-label="Find services by name, address or tag" maxlength=(view::MAX_WORDS_BYTES);
            select name="status" aria-label="Status" {
                option value="" { "Any status" }
                @for standing in Standing::ALL {
                    option value=(standing.word()) selected[view.standing == Some(standing)] { (standing.title()) }
                }
            }
            button type="submit" { "Find" }
            @if view.is_filtered() { a.button.quiet href="/" { "Show all" } }
        }
    }
}

fn pages(view: &View, number: usize, last: usize) -> Markup {
    html! {
        nav.pages aria-label="Pages" {
            @if number > 1 { a.button rel="prev" href=(view.page_url(number - 1)) { "Previous" } }
            span.muted { "Page " (number) " of " (last) ", " (count(view::PAGE_SIZE, "service")) " each, the worst first" }
            @if number < last { a.button rel="next" href=(view.page_url(number + 1)) { "Next" } }
        }
    }
}
