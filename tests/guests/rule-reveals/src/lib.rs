//! Breaches when it sees the secret of its settings, whose halves it is given.

use extrack_plugin::json::Value;
use extrack_plugin::prelude::*;
use extrack_plugin::settings::{Faults, Place};

/// The settings as the host hands them over.
struct Settings(Value);

impl Setting for Settings {
    fn schema() -> String {
        r#"{"type": "object", "properties": {
            "token": {"type": "string", "x-secret": true},
            "halves": {"type": "array", "items": {"type": "string"}}
        }}"#
        .to_owned()
    }

    fn read(value: &Value, _place: &Place<'_>, _faults: &mut Faults) -> Option<Self> {
        Some(Self(value.clone()))
    }
}

#[rule]
fn evaluate(_evaluation: &Evaluation, settings: &Settings) -> Verdict {
    let halves = settings.0["halves"].as_array().into_iter().flatten();
    let secret: String = halves.filter_map(Value::as_str).collect();
    let is_seen = settings.0.to_string().contains(&secret);
    Finding::new("looked at its token").breached_if(is_seen)
}
