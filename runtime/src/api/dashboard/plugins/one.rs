//! One plugin: how it does, its candidate, its versions, and what it may.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form, Json};
use maud::{Markup, html};
use serde::Deserialize;

use super::{day, parts, upload, users};
use crate::api::dashboard::fragments::pill;
use crate::api::dashboard::layout;
use crate::api::dashboard::replies::{not_shown, refused};
use crate::api::dashboard::sql::address;
use crate::api::dashboard::wording::{latency, prose, subject, written};
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::page::PageQuery;
use crate::api::http::state::ApiState;
use crate::api::resources::plugins::{self, PluginPath, RollbackQuery, grants, shadow, versions};
use crate::api_types::plugin_grants::PluginGrantsBody;
use crate::api_types::plugin_shadow::{QuantilesBody, ShadowBody};
use crate::api_types::plugins::{PluginBody, VersionBody};
use crate::api_types::scope::Scope;
use crate::domain::{Catalog, Want};
use crate::plugin_host::BUNDLED;

type Name = Path<PluginPath>;

/// All of a plugin that its page shows.
struct Shown {
    plugin: PluginBody,
    versions: Vec<VersionBody>,
    grants: PluginGrantsBody,
    comparison: Option<ShadowBody>,
    /// Pictures of the last 24 hours; none without runs.
    last_day: Option<Markup>,
}

pub(crate) async fn page(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(PluginPath { name }): Name,
) -> Response {
    match shown(&state, &name).await {
        Ok(found) => {
            let catalog = state.deps.registry.catalog();
            let room = layout::Room {
                title: &name,
                path: "/plugins",
                events: None,
                body: body(&found, &catalog, principal.may(Scope::Deploy)),
            };
            layout::room(room).into_response()
        }
        Err(error) => not_shown(error, "/plugins"),
    }
}

async fn shown(state: &ApiState, name: &str) -> ApiResult<Shown> {
    let path = || {
        Path(PluginPath {
            name: name.to_owned(),
        })
    };
    let Json(plugin) = plugins::get(State(state.clone()), path()).await?;
    let query = Query(PageQuery::default());
    let Json(versions) = versions::list(State(state.clone()), path(), query).await?;
    let Json(grants) = grants::get(State(state.clone()), path()).await?;
    let comparison = match plugin.shadow {
        Some(_) => shadow::get(State(state.clone()), path()).await.ok(),
        None => None,
    };
    let last_day = day::last_day(state, name, &versions.items).await;
    Ok(Shown {
        last_day,
        plugin,
        versions: versions.items,
        grants,
        comparison: comparison.map(|Json(comparison)| comparison),
    })
}

#[derive(Debug, Deserialize)]
pub(crate) struct RollBackForm {
    /// A digest; empty: the version before.
    #[serde(default)]
    to: String,
}

pub(crate) async fn roll_back(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(PluginPath { name }): Name,
    Form(form): Form<RollBackForm>,
) -> Response {
    let query = Query(RollbackQuery {
        to: Some(form.to).filter(|digest| !digest.is_empty()),
    });
    let path = Path(PluginPath { name: name.clone() });
    let done = plugins::rollback(state, principal, path, query).await;
    back(&name, done.map(drop))
}

pub(crate) async fn promote(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(PluginPath { name }): Name,
) -> Response {
    let path = Path(PluginPath { name: name.clone() });
    let done = shadow::promote(state, principal, path).await;
    back(&name, done.map(drop))
}

pub(crate) async fn discard(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(PluginPath { name }): Name,
) -> Response {
    let path = Path(PluginPath { name: name.clone() });
    let done = shadow::discard(state, principal, path).await;
    back(&name, done.map(drop))
}

pub(crate) async fn remove(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(PluginPath { name }): Name,
) -> Response {
    let path = Path(PluginPath { name: name.clone() });
    match plugins::remove(state, principal, path).await {
        Ok(Json(Some(_))) => back(&name, Ok(())),
        Ok(Json(None)) => Redirect::to("/plugins").into_response(),
        Err(error) => back(&name, Err(error)),
    }
}

fn back(name: &str, done: Result<(), ApiError>) -> Response {
    let page = format!("/plugins/{name}");
    match done {
        Ok(()) => Redirect::to(&page).into_response(),
        Err(error) => refused(error, &page),
    }
}

fn body(shown: &Shown, catalog: &Catalog, may_deploy: bool) -> Markup {
    let plugin = &shown.plugin;
    html! {
        header.service-head { div {
            p.back { a href="/plugins" { "Plugins" } }
            h1 { (plugin.name) " " (parts::state(plugin)) }
            p.muted {
                (plugin.kind.as_str()) " " (plugin.version) " since " (written(&plugin.since))
                " · installed by " (plugin.installed_by) " · " (parts::bytes(plugin.size as u64))
                @if let Some(key) = &plugin.signed_by { " · signed by " code { (key) } }
            }
            p { (prose(&plugin.summary)) }
            @if let Some(failing) = &plugin.health.failing { p.fault { "Failing since " (written(&failing.since)) ": " (prose(&failing.reason)) } }
            @if let Some(before) = &plugin.rolled_back {
                p.fault { "Rolled back from " (before.version) " " (written(&before.since)) ": " (prose(&before.reason)) }
            }
            @if let Some(warning) = &plugin.warning { p.fault { (prose(warning)) } }
        } }
        @if let Some(comparison) = &shown.comparison { (candidate(comparison, may_deploy)) }
        (health(plugin))
        @if let Some(pictures) = &shown.last_day { (pictures) }
        (versions_of(shown, may_deploy))
        (permissions(&shown.grants, plugin))
        (used_by(&users(catalog, &plugin.name)))
        @if may_deploy {
            (upload::form(Some(&plugin.name)))
            @if plugin.installed_by != BUNDLED {
                section.card.panel.acts aria-label="Remove" {
                    form method="post" action={ "/plugins/" (plugin.name) "/remove" } {
                        button type="submit" { "Remove the installed plugin" }
                    }
                }
            }
        }
    }
}

fn health(plugin: &PluginBody) -> Markup {
    let quoted = plugin.name.replace('\'', "''");
    let runs = format!(
        "SELECT ts, function, outcome, error, duration_us, version\nFROM plugin_runs\nWHERE plugin = '{quoted}'\nORDER BY ts DESC\nLIMIT 100"
    );
    html! {
        section.card.panel aria-label="Health" {
            h2 { "Health" }
            (parts::figures(&plugin.health.total, &plugin.health.last_hour))
            @if let Some(last) = &plugin.health.last_broken {
                p { "Last failure " (written(&last.at)) " in " code { (last.function) } ", " (last.outcome.as_str()) ": " (prose(&last.reason)) }
            }
            p.muted { a href=(address("/sql", &[("q", &runs)])) { "Its last runs in SQL" } }
        }
    }
}

fn candidate(comparison: &ShadowBody, may_deploy: bool) -> Markup {
    let name = &comparison.plugin;
    let quantiles = |of: &QuantilesBody| match of.p95 {
        Some(us) => latency(us as u64),
        None => "–".to_owned(),
    };
    let side = |title: &str, of: &crate::api_types::plugin_shadow::SideCostBody| {
        html! { tr {
            th scope="row" { (title) }
            td.number { (quantiles(&of.latency_us)) } td.number { (quantiles(&of.cpu_us)) }
            td.number { @match of.memory_bytes.p95 { Some(bytes) => { (parts::bytes(bytes as u64)) } None => { "–" } } }
        } }
    };
    html! {
        section.card.panel aria-label="Candidate" {
            h2 { "Candidate " (comparison.candidate.version) " " (pill("info", &comparison.candidate.state)) }
            p {
                @match comparison.agreement {
                    Some(percent) => { (percent) " % of " (comparison.runs) " runs came to the same verdict." }
                    None => { "No run was compared yet." }
                }
                " Started by " (comparison.candidate.started_by) " " (written(&comparison.candidate.since)) "."
            }
            div.wide { table.list {
                thead { tr { th scope="col" { "p95" } th.number scope="col" { "Latency" } th.number scope="col" { "CPU" } th.number scope="col" { "Memory" } } }
                tbody { (side(&format!("active {}", comparison.active.version), &comparison.cost.active)) (side("candidate", &comparison.cost.candidate)) }
            } }
            @if !comparison.disagreements.is_empty() { (disagreements(comparison)) }
            @if may_deploy {
                div.acts {
                    form method="post" action={ "/plugins/" (name) "/promote" } { button type="submit" { "Make it the active version" } }
                    form method="post" action={ "/plugins/" (name) "/discard" } { button type="submit" { "End the comparison" } }
                }
            }
        }
    }
}

fn disagreements(comparison: &ShadowBody) -> Markup {
    html! {
        h3 { "Where they disagreed" }
        div.wide { table.list {
            thead { tr {
                th scope="col" { "At" } th scope="col" { "Service" } th scope="col" { (comparison.active.version) }
                th scope="col" { (comparison.candidate.version) } th scope="col" { "Difference" }
            } }
            tbody { @for run in &comparison.disagreements {
                tr {
                    td { (written(&run.ts)) }
                    td { (subject(&run.service, &run.service)) @if let Some(probe) = &run.probe { " " span.muted { (probe) } } }
                    td { (run.active_status) } td { (run.candidate_status) }
                    td { @if let Some(difference) = &run.difference { (prose(difference)) } @else { "–" } }
                }
            } }
        } }
    }
}

fn versions_of(shown: &Shown, may_deploy: bool) -> Markup {
    let name = &shown.plugin.name;
    let has_previous = shown
        .versions
        .iter()
        .any(|version| version.state == "previous");
    html! {
        section.card.panel aria-label="Versions" {
            h2 { "Versions" }
            div.wide { table.list {
                thead { tr {
                    th scope="col" { "Version" } th scope="col" { "State" } th scope="col" { "Active since" } th scope="col" { "Until" }
                    th scope="col" { "By" } th scope="col" { "Digest" } @if may_deploy { th scope="col" { "Act" } }
                } }
                tbody { @for version in &shown.versions { (version_row(name, version, may_deploy)) } }
            } }
            @if may_deploy && has_previous {
                div.acts { form method="post" action={ "/plugins/" (name) "/rollback" } data-key="r" {
                    button type="submit" { "Roll back to the version before" }
                } }
            }
        }
    }
}

fn version_row(plugin: &str, version: &VersionBody, may_deploy: bool) -> Markup {
    let moment = |moment: &Option<String>| match moment {
        Some(moment) => written(moment),
        None => html! { "–" },
    };
    html! {
        tr {
            td { (version.version) }
            td { (version.state) @if let Some(why) = &version.rolled_back { " " span.muted { "rolled back: " (prose(why)) } } }
            td { (moment(&version.active_since)) } td { (moment(&version.active_until)) }
            td { @match &version.activated_by { Some(by) => { (by) } None => { (version.installed_by) } } }
            td { code title=(version.digest) { (version.digest.get(..12).unwrap_or(&version.digest)) } }
            @if may_deploy { td {
                @if version.state != "active" && version.state != "shadow" {
                    form method="post" action={ "/plugins/" (plugin) "/rollback" } {
                        input type="hidden" name="to" value=(version.digest);
                        button.quiet type="submit" { "Make active" }
                    }
                }
            } }
        }
    }
}

fn permissions(grants: &PluginGrantsBody, plugin: &PluginBody) -> Markup {
    let words = |words: &[String]| match words {
        [] => "–".to_owned(),
        words => words.join(", "),
    };
    let all = |given: &Option<Vec<String>>| match given {
        Some(given) => words(given),
        None => "all".to_owned(),
    };
    let effective = &grants.effective;
    html! {
        section.card.panel aria-label="Grants" {
            h2 { "What it may" }
            dl.figures.facts {
                div { dt { "Asks for" } dd { (words(&grants.wants.iter().map(want).collect::<Vec<_>>())) } }
                div { dt { "Hosts" } dd { "those of its service" @if !effective.hosts.is_empty() { ", " (words(&effective.hosts)) } } }
                div { dt { "Credentials" } dd { (all(&effective.credentials)) } }
                div { dt { "Methods" } dd { (all(&effective.methods)) } }
                div { dt { "Capabilities" } dd { (words(&effective.capabilities)) } }
                div { dt { "Calls" } dd { (words(&plugin.imports)) } }
            }
            @for missing in &grants.missing {
                p.fault { "It asks for " (want(&missing.want)) " and does not get it: " code { (missing.setting) } }
            }
            p.muted {
                "At most, a run: "
                @for (index, (name, most)) in grants.budget.iter().enumerate() { @if index > 0 { ", " } (name) " " (most) }
                ". Decided by " @match grants.origin.as_str() { "file" => { code { "plugins.yaml" } } "api" => { "the API" } _ => { "the defaults" } } "."
            }
        }
    }
}

fn want(want: &Want) -> String {
    match want {
        Want::Host(name) => format!("host {name}"),
        Want::Credential(name) => format!("credential {name}"),
        Want::Capability(name) => format!("capability {name}"),
        Want::Feature(name) => format!("feature {name}"),
    }
}

fn used_by(users: &[String]) -> Markup {
    const MAX_SHOWN: usize = 100;
    html! {
        section.card.panel aria-label="Used by" {
            h2 { "Used by " span.count { (users.len()) } }
            @if users.is_empty() { p.empty { "Nothing uses it." } }
            @else {
                p {
                    @for (index, user) in users.iter().take(MAX_SHOWN).enumerate() {
                        @if index > 0 { ", " }
                        @if user.contains([':', ' ']) { (user) } @else { (subject(user, user)) }
                    }
                    @if users.len() > MAX_SHOWN { " and " (users.len() - MAX_SHOWN) " more" }
                }
            }
        }
    }
}
