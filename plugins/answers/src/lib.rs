//! What probes over HTTP have in common: headers that may be secret, the status that is right, and
//! assertions on an answer. No plugin, but part of several.

mod answer;
mod assertion;
mod expected;
mod headers;
mod names;
mod values;

use extrack_plugin::prelude::*;

pub use answer::{Answer, beginning};
pub use assertion::Assertion;
pub use expected::ExpectedStatus;
pub use headers::{HeaderValue, Headers, is_header_name};

/// Returns the credential to send: the one that the setting `auth` names, `none` for none; without
/// it, the one that the service is normally used with.
pub fn credential<'a>(check: &Check, auth: Option<&'a str>) -> Option<&'a str> {
    match auth {
        Some("none") => None,
        Some(name) => Some(name),
        None => check.default_credential(),
    }
}
