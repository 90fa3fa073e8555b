//! Describes itself with a schema that is none.

use extrack_plugin::json::Value;
use extrack_plugin::prelude::*;
use extrack_plugin::settings::{Faults, Place};

struct Settings;

impl Setting for Settings {
    fn schema() -> String {
        r#"{"type": "obj"#.to_owned()
    }

    fn read(_value: &Value, _place: &Place<'_>, _faults: &mut Faults) -> Option<Self> {
        Some(Settings)
    }
}

#[probe(name = "Probe describe/lies", version = "first")]
fn check(_check: &Check, _settings: &Settings) -> Observation {
    Observation::healthy()
}
