//! The frame around every page: head, header with navigation, main.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::assets;

/// Content of a page of the dashboard, for its frame.
pub(super) struct Room<'a> {
    pub(super) title: &'a str,
    /// Path of the page in the navigation.
    pub(super) path: &'a str,
    /// Address of its live changes.
    pub(super) events: Option<String>,
    pub(super) body: Markup,
}

/// Rooms, in the order of the navigation.
const ROOMS: [(&str, &str); 4] = [
    ("/", "Services"),
    ("/alerts", "Alerts"),
    ("/usage", "Usage"),
    ("/sql", "SQL"),
];

pub(super) fn room(room: Room<'_>) -> Markup {
    let header = html! {
        header.top {
            a.skip href="#main" { "Skip to the content" }
            a.brand href="/" { (LOGO) span { "External Tracking" } }
            nav aria-label="Rooms" {
                @for (path, name) in ROOMS {
                    a href=(path) aria-current=[(path == room.path).then_some("page")] { (name) }
                }
                a href="/api/v1/openapi.json" { "API" }
            }
            div.end {
                @if room.events.is_some() {
                    p #live.live role="status" hidden { span.dot {} span.text { "connecting" } }
                }
                form method="post" action="/logout" { button.quiet type="submit" { "Sign out" } }
            }
        }
    };
    let body = html! { (header) main #main tabindex="-1" { (room.body) } };
    document(room.title, room.events.as_deref(), "room", body)
}

/// A page without navigation: before signing in, and for errors.
pub(super) fn bare(title: &str, body: Markup) -> Markup {
    document(
        title,
        None,
        "bare",
        html! { main #main { div.card { p.brand { (LOGO) span { "External Tracking" } } (body) } } },
    )
}

fn document(title: &str, events: Option<&str>, class: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · External Tracking" }
                link rel="icon" type="image/svg+xml" href=(assets::url("icon.svg"));
                link rel="stylesheet" href=(assets::url("app.css"));
                @if events.is_some() { script src=(assets::url("app.js")) defer {} }
            }
            body class=(class) data-events=[events] { (body) }
        }
    }
}

/// Bars under a line of sight.
const LOGO: PreEscaped<&str> = PreEscaped(
    r#"<svg class="logo" viewBox="0 0 24 24" aria-hidden="true"><rect width="24" height="24" rx="6"/><path d="M6 13v5M10 9v9M14 12v6M18 6v12"/></svg>"#,
);
