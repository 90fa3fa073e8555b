//! The frame around every page: head, header with navigation and the viewer's preferences, main.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::assets;
use super::preferences_form::preferences_form;
use super::rooms::{ROOMS, keys};
use crate::api::http::viewer::{Theme, Viewer, viewer};

/// Content of a page of the dashboard, for its frame.
pub(super) struct Room<'a> {
    pub(super) title: &'a str,
    /// Path of the page in the navigation.
    pub(super) path: &'a str,
    /// Address of its live changes: of fragments, or that it has to be loaded again.
    pub(super) events: Option<String>,
    pub(super) body: Markup,
}

/// Paths in the bar of a small window; the others are behind `More`.
const BAR: [&str; 4] = ["/", "/alerts", "/usage", "/sql"];

pub(super) fn room(room: Room<'_>) -> Markup {
    let viewer = viewer();
    let firing = viewer.firing.get();
    let title = match firing {
        0 => room.title.to_owned(),
        _ => format!("({firing}) {}", room.title),
    };
    let body = html! {
        (header(&room, &viewer))
        main #main tabindex="-1" { (room.body) }
        (bar(room.path, firing))
        (open_alerts(firing))
        p #announcement.hidden role="status" {}
        dialog #help aria-labelledby="help-title" {
            h2 #help-title { "Keys" }
            (keys())
            form method="dialog" { button type="submit" { "Close" } }
        }
    };
    document(&title, &viewer, room.events.as_deref(), "room", body)
}

/// The number of alerts that need someone, which the script puts into the title.
pub(super) fn open_alerts(firing: usize) -> Markup {
    html! { data #open-alerts hidden value=(firing) {} }
}

/// A page without navigation: before signing in, and for errors.
pub(super) fn bare(title: &str, body: Markup) -> Markup {
    document(
        title,
        &viewer(),
        None,
        "bare",
        html! { main #main { div.card { p.brand { (LOGO) span { "External Tracking" } } (body) } } },
    )
}

fn header(room: &Room<'_>, viewer: &Viewer) -> Markup {
    html! {
        header.top {
            a.skip href="#main" { "Skip to the content" }
            a.brand href="/" { (LOGO) span { "External Tracking" } }
            nav.rooms aria-label="Rooms" {
                @for (path, name, key) in ROOMS { (link(path, name, Some(key), room.path, viewer.firing.get())) }
            }
            div.end {
                form.go-to role="search" aria-label="Go to a service" method="get" action="/" {
                    input type="search" name="q" placeholder="Go to… (/)" aria-label="Go to a service, by name, address or tag" maxlength="200";
                }
                @if room.events.is_some() {
                    p #live.live role="status" hidden { span.dot {} span.text { "connecting" } }
                }
                details.options {
                    summary { "Options" }
                    div.room-menu {
                        (preferences_form(viewer))
                        ul {
                            li { a href="/help" { "Keys and help" } }
                            li { a href="/api/v1/openapi.json" { "Description of the API" } }
                        }
                        form method="post" action="/logout" { button type="submit" { "Sign out" } }
                    }
                }
            }
        }
    }
}

/// The navigation of a small window.
fn bar(here: &str, firing: usize) -> Markup {
    let is_behind = |path: &str| !BAR.contains(&path);
    html! {
        nav.room-bar aria-label="Rooms, short" {
            @for (path, name, _) in ROOMS.into_iter().filter(|(path, ..)| !is_behind(path)) {
                (link(path, name, None, here, firing))
            }
            details.more-rooms {
                summary data-here[is_behind(here)] { "More" }
                div.room-menu {
                    @for (path, name, _) in ROOMS.into_iter().filter(|(path, ..)| is_behind(path)) {
                        (link(path, name, None, here, firing))
                    }
                }
            }
        }
    }
}

fn link(path: &str, name: &str, key: Option<&str>, here: &str, firing: usize) -> Markup {
    html! {
        a href=(path) data-go=[key] aria-current=[(path == here).then_some("page")] {
            (name)
            @if path == "/alerts" { span.open-count hidden[firing == 0] { (firing) } }
        }
    }
}

fn document(
    title: &str,
    viewer: &Viewer,
    events: Option<&str>,
    class: &str,
    body: Markup,
) -> Markup {
    let theme = Some(viewer.theme).filter(|theme| *theme != Theme::Auto);
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[theme.map(Theme::as_str)] data-zone=(viewer.zone.name()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content=(theme.map_or("light dark", Theme::as_str));
                title { (title) " · External Tracking" }
                link rel="icon" type="image/svg+xml" href=(assets::ICON.as_str());
                link rel="stylesheet" href=(assets::url("app.css"));
                @if class == "room" { script src=(assets::url("app.js")) defer {} }
            }
            body class=(class) data-events=[events] { (body) }
        }
    }
}

/// Bars under a line of sight.
const LOGO: PreEscaped<&str> = PreEscaped(
    r#"<svg class="logo" viewBox="0 0 24 24" aria-hidden="true"><rect width="24" height="24" rx="6"/><path d="M6 13v5M10 9v9M14 12v6M18 6v12"/></svg>"#,
);
