//! Silences and maintenance windows, with the forms that make and end them.

use maud::{Markup, html};

use crate::api::dashboard::fragments::pill;
use crate::api::dashboard::wording::{count, prose, subject, written};
use crate::api::http::error::ApiResult;
use crate::api_types::maintenance::MaintenanceBody;
use crate::api_types::silences::{SilenceBody, SilencePreviewBody};
use crate::domain::Origin;

/// Limit of services and alerts that a preview names.
const MAX_NAMED: usize = 50;

pub(super) fn silences(silences: &[SilenceBody], may_act: bool) -> Markup {
    html! {
        section.card.panel aria-label="Silences" {
            h2 { "Silences " span.count { (silences.len()) } }
            @if silences.is_empty() { p.empty { "None." } }
            @else {
                div.wide { table.list {
                    thead { tr {
                        th scope="col" { "Mutes" } th scope="col" { "State" } th scope="col" { "From" } th scope="col" { "Until" }
                        th scope="col" { "By" } th scope="col" { "Why" } @if may_act { th scope="col" { "Act" } }
                    } }
                    tbody { @for silence in silences {
                        tr {
                            td { (matchers(&silence.matchers)) }
                            td { (silence.state) } td { (written(&silence.starts_at)) } td { (written(&silence.ends_at)) }
                            td { (silence.author) } td { (silence.comment) }
                            @if may_act { td {
                                form method="post" action={ "/routing/silences/" (silence.id) "/end" } { button.quiet type="submit" { "End it" } }
                            } }
                        }
                    } }
                } }
            }
        }
    }
}

fn matchers(matchers: &[String]) -> Markup {
    html! {
        @if matchers.is_empty() { "every alert" }
        @for (index, matcher) in matchers.iter().enumerate() { @if index > 0 { " and " } code { (matcher) } }
    }
}

/// The form asks for a preview; below the preview stands the one that makes the silence.
pub(super) fn new_silence(
    text: &str,
    found: Option<&ApiResult<SilencePreviewBody>>,
    may_act: bool,
) -> Markup {
    html! {
        section.card.panel aria-label="New silence" {
            h2 { "New silence" }
            form.acts method="get" action="/routing" {
                label { "Matchers, one on a line " textarea name="silence" rows="2" maxlength="2000" placeholder="service=\"shop-api\"" spellcheck="false" { (text) } }
                button type="submit" { "Preview" }
            }
            @match found {
                None => {}
                Some(Err(error)) => { p.fault { (prose(&error.detail())) } }
                Some(Ok(found)) => {
                    (muted(found))
                    @if may_act {
                        form.acts method="post" action="/routing/silences" {
                            input type="hidden" name="matchers" value=(text);
                            label { "For " select name="for" { option value="1h" { "an hour" } option value="4h" { "4 hours" } option value="24h" { "a day" } option value="168h" { "a week" } } }
                            label { "Why " input name="comment" required maxlength="2000" autocomplete="off"; }
                            button type="submit" { "Silence" }
                        }
                    }
                }
            }
        }
    }
}

fn muted(found: &SilencePreviewBody) -> Markup {
    html! {
        p { "It would mute " b { (count(found.alerts.len(), "open alert")) } " now, and may mute alerts of " b { (count(found.services.len(), "service")) } "." }
        @if !found.alerts.is_empty() {
            ul { @for alert in found.alerts.iter().take(MAX_NAMED) {
                li { a href={ "/alerts/" (alert.id) } { (alert.name) } " of " (subject(&alert.service, &alert.service)) }
            } }
        }
        @if !found.services.is_empty() {
            p.muted {
                @for (index, slug) in found.services.iter().take(MAX_NAMED).enumerate() { @if index > 0 { ", " } (subject(slug, slug)) }
                @if found.services.len() > MAX_NAMED { " and " (found.services.len() - MAX_NAMED) " more" }
            }
        }
    }
}

pub(super) fn maintenance(windows: &[MaintenanceBody], may_act: bool) -> Markup {
    let mut windows: Vec<&MaintenanceBody> = windows.iter().collect();
    // Open ones first, those that are over last.
    windows.sort_by_cached_key(|window| {
        let next = window.opens_at.clone();
        (!window.is_open, next.is_none(), next)
    });
    html! {
        section.card.panel aria-label="Maintenance" {
            h2 { "Maintenance " span.count { (windows.len()) } }
            @if windows.is_empty() { p.empty { "None is planned." } }
            @else {
                div.wide { table.list {
                    thead { tr {
                        th scope="col" { "Window" } th scope="col" { "Mutes" } th scope="col" { "Next" } th scope="col" { "How often" }
                        th scope="col" { "By" } @if may_act { th scope="col" { "Act" } }
                    } }
                    tbody { @for window in &windows { (window_row(window, may_act)) } }
                } }
            }
            @if may_act { (new_window()) }
        }
    }
}

fn window_row(window: &MaintenanceBody, may_act: bool) -> Markup {
    html! {
        tr {
            td { (window.name) @if !window.comment.is_empty() { " " span.muted { (window.comment) } } }
            td { (matchers(&window.matchers)) }
            td {
                @if window.is_open { (pill("info", "open")) @if let Some(at) = &window.closes_at { " to " (written(at)) } }
                @else if let Some(at) = &window.opens_at { (written(at)) } @else { "over" }
            }
            td {
                @match (&window.cron, &window.duration) {
                    (Some(cron), Some(duration)) => { code { (cron) } " for " (duration) @if let Some(zone) = &window.timezone { ", " (zone) } }
                    _ => { "once" @if let Some(end) = &window.end { ", to " (written(end)) } }
                }
            }
            td { @match &window.author { Some(author) => { (author) } None => { "alerts.yaml" } } }
            @if may_act { td {
                @if window.origin == Origin::Api {
                    form method="post" action="/routing/maintenance/remove" {
                        input type="hidden" name="name" value=(window.name);
                        button.quiet type="submit" { "Remove" }
                    }
                }
            } }
        }
    }
}

fn new_window() -> Markup {
    html! {
        h3 { "Plan one" }
        form.acts method="post" action="/routing/maintenance" {
            label { "Name " input name="name" required maxlength="200" autocomplete="off"; }
            label { "Matchers, one on a line " textarea name="matchers" rows="2" maxlength="2000" placeholder="tag=\"eu\"" spellcheck="false" {} }
            label { input type="checkbox" name="everything" value="yes"; " or every alert" }
            label { "From, RFC 3339 " input name="start" placeholder="2026-11-23T22:00:00Z" spellcheck="false"; }
            label { "To " input name="end" placeholder="2026-11-24T02:00:00Z" spellcheck="false"; }
            label { "or at, cron " input name="cron" placeholder="0 2 * * SUN" spellcheck="false"; }
            label { "for " input name="duration" placeholder="2h" size="5"; }
            label { "in zone " input name="timezone" placeholder="Europe/Berlin" size="14" spellcheck="false"; }
            label { "Why " input name="comment" maxlength="2000" autocomplete="off"; }
            button type="submit" { "Plan" }
        }
    }
}
