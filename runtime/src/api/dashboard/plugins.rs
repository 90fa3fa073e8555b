//! The plugins: which is sick, what is about to change, and the forms to change it.

mod day;
mod one;
mod parts;
mod upload;

pub(crate) use one::{discard, page as one_page, promote, remove, roll_back};
pub(crate) use upload::{upload, upload_one};

use axum::Extension;
use axum::extract::{Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::fragments::plural;
use super::layout;
use super::wording::{count, latency, percent, written};
use crate::api::http::auth::Principal;
use crate::api::http::state::ApiState;
use crate::api_types::plugins::PluginBody;
use crate::api_types::scope::Scope;
use crate::domain::{Catalog, PluginKind};

#[derive(Debug, Deserialize)]
pub(crate) struct ListQuery {
    kind: Option<String>,
}

pub(crate) async fn page(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Query(ListQuery { kind }): Query<ListQuery>,
) -> Markup {
    let kind = PluginKind::ALL
        .into_iter()
        .find(|known| Some(known.as_str()) == kind.as_deref());
    let entries = state.deps.plugins.list().into_iter().map(PluginBody::from);
    let mut plugins: Vec<PluginBody> = entries.collect();
    plugins.sort_by(|left, right| left.name.cmp(&right.name));
    let catalog = state.deps.registry.catalog();
    layout::room(layout::Room {
        title: "Plugins",
        path: "/plugins",
        events: None,
        body: body(&plugins, kind, &catalog, principal.may(Scope::Deploy)),
    })
}

fn body(
    plugins: &[PluginBody],
    kind: Option<PluginKind>,
    catalog: &Catalog,
    may_deploy: bool,
) -> Markup {
    let shown: Vec<&PluginBody> = plugins
        .iter()
        .filter(|plugin| kind.is_none_or(|kind| plugin.kind == kind))
        .collect();
    html! {
        h1 { (sentence(plugins)) }
        nav.ranges aria-label="Kinds" {
            a href="/plugins" aria-current=[kind.is_none().then_some("true")] { "All " (plugins.len()) }
            @for each in PluginKind::ALL {
                a href={ "/plugins?kind=" (each.as_str()) } aria-current=[(kind == Some(each)).then_some("true")] {
                    (plural(each)) " " (plugins.iter().filter(|plugin| plugin.kind == each).count())
                }
            }
        }
        section.card.panel aria-label="Plugins" {
            @if shown.is_empty() {
                p.empty { "None of this kind. Begin one: " code { "extrack plugin new NAME" } }
            } @else { (table(&shown, catalog)) }
        }
        @if may_deploy { (upload::form(None)) }
    }
}

fn sentence(plugins: &[PluginBody]) -> String {
    let failing = plugins
        .iter()
        .filter(|plugin| plugin.health.failing.is_some())
        .count();
    let candidates = plugins.iter().filter(|plugin| plugin.shadow.is_some());
    let mut text = match failing {
        0 => "All plugins are well".to_owned(),
        failing => format!("{} failing", count(failing, "plugin")),
    };
    match candidates.count() {
        0 => {}
        candidates => text.push_str(&format!(", {} compared", count(candidates, "candidate"))),
    }
    text
}

fn table(plugins: &[&PluginBody], catalog: &Catalog) -> Markup {
    html! {
        div.wide { table.list {
            thead { tr {
                th scope="col" { "Plugin" } th scope="col" { "Version" } th scope="col" { "State" } th.number scope="col" { "Used by" }
                th.number scope="col" { "Runs, last hour" } th.number scope="col" { "Failed" } th.number scope="col" { "p95" }
                th.number scope="col" { "CPU a run" } th.number scope="col" { "Memory" } th.number scope="col" { "Denied" }
            } }
            tbody { @for plugin in plugins { (row(plugin, catalog)) } }
        } }
    }
}

fn row(plugin: &PluginBody, catalog: &Catalog) -> Markup {
    let hour = &plugin.health.last_hour;
    html! {
        tr {
            td { a href={ "/plugins/" (plugin.name) } { (plugin.name) } " " span.muted { (plugin.kind.as_str()) } }
            td {
                (plugin.version)
                @if let Some(candidate) = &plugin.shadow { " " span.muted { "candidate " (candidate.version) ", " (candidate.state) } }
            }
            td {
                (parts::state(plugin))
                @if let Some(failing) = &plugin.health.failing { " " span.muted { "since " (written(&failing.since)) } }
            }
            td.number { (users(catalog, &plugin.name).len()) }
            td.number { (hour.runs) }
            td.number { (percent(hour.runs - hour.ok.min(hour.runs), hour.runs).unwrap_or_else(|| "–".to_owned())) }
            td.number { @match &hour.duration { Some(duration) => { (latency(duration.p95_us)) } None => { "–" } } }
            td.number { @match hour.cpu_us.checked_div(hour.runs) { Some(us) => { (latency(us)) } None => { "–" } } }
            td.number { (parts::bytes(hour.memory_bytes)) }
            td.number { (hour.denials) }
        }
    }
}

/// Slugs of the services that use a plugin, and names of the channels.
fn users(catalog: &Catalog, plugin: &str) -> Vec<String> {
    let with_probe = catalog.services.values().filter(|service| {
        let of_probes = service.probes.iter().map(|probe| &probe.plugin);
        let of_webhooks = service.webhooks.iter().map(|webhook| &webhook.plugin);
        let of_meters = service.meters.iter().map(|meter| &meter.plugin);
        let mut names = of_probes.chain(of_webhooks).chain(of_meters);
        names.any(|name| name == plugin)
    });
    let with_rule = catalog
        .rules
        .iter()
        .filter(|(_, rules)| rules.iter().any(|rule| rule.plugin == plugin));
    let channels = catalog
        .channels
        .values()
        .filter(|channel| channel.plugin == plugin);
    let mut users: Vec<String> = with_probe
        .map(|service| service.slug.clone())
        .chain(with_rule.map(|(subject, _)| subject.clone()))
        .chain(channels.map(|channel| format!("channel {}", channel.name)))
        .collect();
    users.sort();
    users.dedup();
    users
}
