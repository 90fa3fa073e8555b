//! Charts of a service's history: pure functions from slots to SVG. Each has a sentence for those
//! who do not see it, leaves gaps where nothing was measured, and uses classes only, as the content
//! security policy wants it.

mod days;
mod latency;

pub(super) use days::days;
pub(super) use latency::{Chart, latency_chart};
