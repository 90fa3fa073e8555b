//! The keys as a page, for browsers without script.

use maud::{Markup, html};

use super::layout;
use super::rooms::keys;

pub(crate) async fn page() -> Markup {
    layout::room(layout::Room {
        title: "Help",
        path: "/help",
        events: None,
        body: html! {
            h1 { "Help" }
            section.card.panel aria-label="Keys" {
                h2 { "Keys" }
                (keys())
            }
            section.card.panel aria-label="More" {
                h2 { "More" }
                ul {
                    li { "Theme and time zone are under " b { "Options" } ", for this browser." }
                    li { "Every page has its state in its address: a bookmark or a link sent to somebody shows the same." }
                    li { "Everything works without JavaScript; with it, pages stay up to date by themselves." }
                    li { a href="/api/v1/openapi.json" { "The description of the API" } }
                }
            }
        },
    })
}
