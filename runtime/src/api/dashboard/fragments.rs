//! Pieces of pages that are also sent alone when they change. Each is one element with an id, which
//! the script swaps.

mod alerts;
mod attention;
mod plugins;
mod service;
mod totals;

pub(super) use alerts::alert;
pub(super) use attention::{ACT_FORM, alerts, attention};
pub(super) use plugins::{plugins, plural};
pub(super) use service::{address, money, service, sort_key};
pub(super) use totals::{counts, totals};

use maud::{Markup, html};

/// A mark and a word: never colour alone.
pub(super) fn pill(class: &str, word: &str) -> Markup {
    html! { span class={ "pill " (class) } { span.mark aria-hidden="true" {} (word) } }
}
