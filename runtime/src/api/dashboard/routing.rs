//! Where alerts go: the tree, the channels, and what keeps them quiet.

mod forms;
mod mutes;
mod tree;

pub(crate) use forms::{
    create_maintenance, create_silence, end_silence, remove_maintenance, test_channel,
};

use std::collections::BTreeMap;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use maud::{Markup, html};
use serde::Deserialize;

use super::layout;
use super::replies::not_shown;
use super::wording::count;
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::page::PageQuery;
use crate::api::http::state::ApiState;
use crate::api::resources::{alert_routes, channels, maintenance, silences};
use crate::api_types::Texts;
use crate::api_types::alert_routes::{RouteBody, RoutePreviewBody, RoutePreviewSpec};
use crate::api_types::channels::ChannelBody;
use crate::api_types::maintenance::MaintenanceBody;
use crate::api_types::scope::Scope;
use crate::api_types::silences::{SilenceBody, SilencePreviewBody, SilencePreviewSpec};

/// Limit of what a message repeats of a text that can't be read.
const MAX_SHOWN_CHARS: usize = 60;

/// What is tried on the page stands in its address.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct RoutingQuery {
    /// Labels of an alert, such as `severity=critical, tag=eu`.
    #[serde(default)]
    labels: String,
    /// Matchers of a silence, one on a line.
    #[serde(default)]
    silence: String,
}

struct Shown {
    route: Option<RouteBody>,
    channels: Vec<ChannelBody>,
    maintenance: Vec<MaintenanceBody>,
    silences: Vec<SilenceBody>,
    destinations: Option<ApiResult<RoutePreviewBody>>,
    muted: Option<ApiResult<SilencePreviewBody>>,
}

pub(crate) async fn page(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Query(query): Query<RoutingQuery>,
) -> Response {
    match shown(&state, &query).await {
        Ok(found) => layout::room(layout::Room {
            title: "Routing",
            path: "/routing",
            events: None,
            body: body(&found, &query, principal.may(Scope::Write)),
        })
        .into_response(),
        Err(error) => not_shown(error, "/"),
    }
}

async fn shown(state: &ApiState, query: &RoutingQuery) -> ApiResult<Shown> {
    let all = || (State(state.clone()), Query(PageQuery::default()));
    let (of_state, page) = all();
    let Json(channels) = channels::list(of_state, page).await?;
    let (of_state, page) = all();
    let Json(maintenance) = maintenance::list(of_state, page).await?;
    let page = Query(silences::SilenceQuery::default());
    let Json(silences) = silences::list(State(state.clone()), page).await?;
    let Json(routes) = alert_routes::get(State(state.clone())).await;
    let destinations = match labels(&query.labels) {
        Err(error) => Some(Err(error)),
        Ok(labels) if labels.is_empty() => None,
        Ok(labels) => {
            let spec = RoutePreviewSpec {
                alert: None,
                service: None,
                labels,
            };
            let found = alert_routes::preview(State(state.clone()), Json(spec)).await;
            Some(found.map(|Json(found)| found))
        }
    };
    let muted = match forms::lines(&query.silence) {
        matchers if matchers.is_empty() => None,
        matchers => {
            let spec = SilencePreviewSpec {
                matchers: Texts::Many(matchers),
            };
            let found = silences::preview(State(state.clone()), Json(spec)).await;
            Some(found.map(|Json(found)| found))
        }
    };
    Ok(Shown {
        route: routes.route,
        channels: channels.items,
        maintenance: maintenance.items,
        silences: silences.items,
        destinations,
        muted,
    })
}

/// Reads `name=value` pairs with spaces or commas between them; values in quotes may hold both.
fn labels(text: &str) -> ApiResult<BTreeMap<String, Texts>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut rest = text.trim_matches(is_between);
    while !rest.is_empty() {
        let Some((name, value, left)) = label(rest) else {
            let part: String = rest.chars().take(MAX_SHOWN_CHARS).collect();
            let detail = format!(
                "`{part}` is not a label; write `name=value`, e.g. `severity=critical, alertname=\"Shop Down\"`"
            );
            return Err(ApiError::bad_parameter("labels", detail));
        };
        found
            .entry(name.to_owned())
            .or_default()
            .push(value.to_owned());
        rest = left.trim_start_matches(is_between);
    }
    let several = |(name, values)| (name, Texts::Many(values));
    Ok(found.into_iter().map(several).collect())
}

fn is_between(c: char) -> bool {
    c == ',' || c.is_whitespace()
}

/// Returns the name and the value of the first label, and the text behind it.
fn label(text: &str) -> Option<(&str, &str, &str)> {
    let (name, after) = text.split_once('=')?;
    if name.is_empty() || name.contains(|c: char| is_between(c) || "\"'{}!~".contains(c)) {
        return None;
    }
    if let Some(quoted) = after.strip_prefix('"') {
        let (value, left) = quoted.split_once('"')?;
        let is_end = left.is_empty() || left.starts_with(is_between);
        return is_end.then_some((name, value, left));
    }
    let end = after.find(is_between).unwrap_or(after.len());
    let (value, left) = after.split_at(end);
    let is_plain = !value.is_empty() && !value.contains('"') && !value.starts_with('~');
    is_plain.then_some((name, value, left))
}

fn body(shown: &Shown, query: &RoutingQuery, may_act: bool) -> Markup {
    html! {
        h1 { "Routing" }
        (tree::section(shown.route.as_ref()))
        (tree::preview(&query.labels, shown.destinations.as_ref()))
        (channels_of(&shown.channels, may_act))
        (mutes::silences(&shown.silences, may_act))
        (mutes::new_silence(&query.silence, shown.muted.as_ref(), may_act))
        (mutes::maintenance(&shown.maintenance, may_act))
    }
}

fn channels_of(channels: &[ChannelBody], may_act: bool) -> Markup {
    html! {
        section.card.panel aria-label="Channels" {
            h2 { "Channels " span.count { (channels.len()) } }
            @if channels.is_empty() {
                p.empty { "None. " code { "config/alerts.yaml" } " names them under " code { "channels:" } "." }
            } @else {
                div.wide { table.list {
                    thead { tr {
                        th scope="col" { "Channel" } th scope="col" { "Notifier" } th scope="col" { "From" } th scope="col" { "Limit" }
                        th scope="col" { "If it fails" } @if may_act { th scope="col" { "Try" } }
                    } }
                    tbody { @for channel in channels { (channel_row(channel, may_act)) } }
                } }
            }
        }
    }
}

fn channel_row(channel: &ChannelBody, may_act: bool) -> Markup {
    html! {
        tr {
            td { (channel.name) @if let Some(template) = &channel.template { " " span.muted { "template " (template) } } }
            td { a href={ "/plugins/" (channel.plugin) } { (channel.plugin) } }
            td { @match channel.origin { crate::domain::Origin::File => { "file" } crate::domain::Origin::Api => { "API" } } }
            td { @match &channel.rate_limit { Some(limit) => { (count(limit.messages as usize, "message")) " in " (limit.per_ms / 1_000) " s" } None => { "–" } } }
            td { @match &channel.fallback { Some(other) => { (other.channel) " after " (other.after_ms / 1_000) " s" } None => { "–" } } }
            @if may_act { td {
                form method="post" action="/routing/test" {
                    input type="hidden" name="channel" value=(channel.id);
                    button.quiet type="submit" { "Send a test" }
                }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_they_are_written() {
        for text in [
            r#"severity=critical tag=eu tag=paid alertname="Down, again""#,
            r#" severity="critical", tag=eu,tag="paid" , alertname="Down, again","#,
        ] {
            let found = labels(text).expect("labels");
            let words = |name: &str| found[name].as_slice().to_vec();
            assert_eq!(words("severity"), ["critical"]);
            assert_eq!(words("tag"), ["eu", "paid"]);
            assert_eq!(words("alertname"), ["Down, again"]);
            assert_eq!(found.len(), 3, "{text}");
        }
        assert!(labels(" , ").expect("none").is_empty());
    }

    #[test]
    fn text_that_is_no_label_is_a_fault_that_names_it() {
        for (text, named) in [
            ("words alone", "`words alone`"),
            ("severity=critical tag", "`tag`"),
            (r#"tag=eu, service="shop"#, r#"`service="shop`"#),
            (r#"service="shop"x"#, r#"`service="shop"x`"#),
            ("service=", "`service=`"),
            ("=shop", "`=shop`"),
            ("severity!=critical", "`severity!=critical`"),
            (r#"service=~"shop-.*""#, r#"`service=~"shop-.*"`"#),
            (r#"{service="shop"}"#, r#"`{service="shop"}`"#),
        ] {
            let fault = labels(text).expect_err(text).detail();
            assert!(fault.contains(named), "{text}: {fault}");
        }
    }
}
