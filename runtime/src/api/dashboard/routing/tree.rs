//! The routing tree, and where an alert with some labels would go.

use maud::{Markup, html};

use crate::api::dashboard::wording::prose;
use crate::api::http::error::ApiResult;
use crate::api_types::alert_routes::{DestinationBody, RouteBody, RoutePreviewBody};

pub(super) fn section(route: Option<&RouteBody>) -> Markup {
    html! {
        section.card.panel aria-label="Tree" {
            h2 { "Where alerts go" }
            @match route {
                None => { p.empty { "There is no tree: each alert names its channels itself." } }
                Some(route) => { ul.tree { (node(route)) } }
            }
        }
    }
}

fn node(route: &RouteBody) -> Markup {
    html! {
        li {
            p {
                @if route.matchers.is_empty() { b { "every alert" } }
                @else { @for (index, matcher) in route.matchers.iter().enumerate() { @if index > 0 { " and " } code { (matcher) } } }
                " → "
                @if route.receivers.is_empty() { span.muted { "no channel" } } @else { (route.receivers.join(", ")) }
                @if let Some(escalation) = &route.escalation { ", then escalation " (escalation) }
                @if route.continues { span.muted { ", and on to the next" } }
            }
            p.muted {
                "groups by " @if route.group_by.is_empty() { "nothing" } @else { (route.group_by.join(", ")) }
                " · waits " (route.group_wait) " · next " (route.group_interval) " · repeats " (route.repeat_interval)
                @if !route.mute_times.is_empty() { " · quiet in " (route.mute_times.join(", ")) }
            }
            @if !route.routes.is_empty() { ul { @for below in &route.routes { (node(below)) } } }
        }
    }
}

pub(super) fn preview(labels: &str, found: Option<&ApiResult<RoutePreviewBody>>) -> Markup {
    html! {
        section.card.panel aria-label="Preview" {
            h2 { "Where would it go?" }
            form.acts method="get" action="/routing" {
                label { "Labels " input name="labels" value=(labels) size="50" maxlength="1000" placeholder="severity=critical, service=shop-api" spellcheck="false"; }
                button type="submit" { "Show" }
            }
            @match found {
                None => {}
                Some(Err(error)) => { p.fault { (prose(&error.detail())) } }
                Some(Ok(found)) => { (destinations(found)) }
            }
        }
    }
}

fn destinations(found: &RoutePreviewBody) -> Markup {
    html! {
        @if let Some(by) = &found.muted_by { p { "It would be muted by " (prose(by)) "." } }
        @if found.destinations.is_empty() { p.empty { "No channel would be notified." } }
        @for destination in &found.destinations { (destination_of(destination)) }
    }
}

fn destination_of(destination: &DestinationBody) -> Markup {
    html! {
        p {
            @match &destination.path { Some(path) => { code { (path) } } None => { "named by the alert itself" } }
            " → "
            @for (index, channel) in destination.channels.iter().enumerate() { @if index > 0 { ", " } b { (channel.name) } " (" (channel.plugin) ")" }
            " · one message for "
            @for (index, (name, value)) in destination.group_labels.iter().enumerate() { @if index > 0 { ", " } (name) "=" (value) }
            @if destination.group_labels.is_empty() { "all of them" }
            " · first after " (destination.group_wait)
            @if let Some(by) = &destination.quiet_by { " · quiet now by " (by) }
        }
    }
}
