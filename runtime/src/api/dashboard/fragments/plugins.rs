//! Plugins with their versions and how they do.

use maud::{Markup, html};

use super::pill;
use crate::api::http::deps::ApiDeps;
use crate::api::http::moment::clock;
use crate::domain::PluginKind;
use crate::plugin_host::{BUNDLED, PluginEntry, PluginState, ShadowState};

pub(crate) fn plugins(deps: &ApiDeps) -> Markup {
    let plugins = deps.plugins.list();
    let of_kind = |kind: PluginKind| plugins.iter().filter(move |plugin| plugin.kind == kind);
    html! {
        div #plugins {
            h2 { "Plugins" @if !plugins.is_empty() { " " span.count { (plugins.len()) } } }
            @if plugins.is_empty() { p.empty { "No plugin is loaded." } }
            @for kind in PluginKind::ALL {
                @if of_kind(kind).next().is_some() {
                    h3 { (plural(kind)) }
                    ul.plugins { @for plugin in of_kind(kind) { (item(plugin)) } }
                }
            }
        }
    }
}

pub(crate) fn plural(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::Probe => "Probes",
        PluginKind::Rule => "Rules",
        PluginKind::Notifier => "Notifiers",
        PluginKind::Webhook => "Webhooks",
        PluginKind::Meter => "Meters",
    }
}

fn item(plugin: &PluginEntry) -> Markup {
    let class = if plugin.state == PluginState::Active {
        "healthy"
    } else {
        "unhealthy"
    };
    html! {
        li title=(title(plugin)) {
            span.name { (plugin.name) }
            span.version { (plugin.version) @if plugin.by != BUNDLED { " · installed" } (candidate(plugin)) }
            (pill(class, plugin.state.as_str()))
        }
    }
}

fn candidate(plugin: &PluginEntry) -> Markup {
    html! {
        @if let Some(candidate) = &plugin.shadow {
            " · "
            span title={ "a candidate runs beside it, " (candidate.state.as_str()) } {
                "shadow " (candidate.version) @if candidate.state == ShadowState::Failing { ", failing" }
            }
        }
    }
}

/// Summary of the plugin, or its fault.
fn title(plugin: &PluginEntry) -> String {
    match &plugin.health.failing {
        Some(failing) => format!(
            "failing since {}: {}",
            clock(failing.since_ms),
            failing.reason
        ),
        None => plugin.info.summary.clone(),
    }
}
