//! Pieces of pages that are also sent alone when they change. Each is one element with an id, which
//! the script swaps.

mod alerts;
mod plugins;
mod service;
mod totals;

pub(super) use alerts::{alert, alerts};
pub(super) use plugins::plugins;
pub(super) use service::{address, service, sort_key};
pub(super) use totals::{counts, totals};

use maud::{Markup, html};

/// A mark and a word: never colour alone.
pub(super) fn pill(class: &str, word: &str) -> Markup {
    html! { span class={ "pill " (class) } { span.mark aria-hidden="true" {} (word) } }
}
