//! Traps when asked what it is.

use extrack_plugin::json::Value;
use extrack_plugin::prelude::*;
use extrack_plugin::settings::{Faults, Place};

struct Settings;

impl Setting for Settings {
    fn schema() -> String {
        std::process::abort()
    }

    fn read(_value: &Value, _place: &Place<'_>, _faults: &mut Faults) -> Option<Self> {
        Some(Settings)
    }
}

#[probe]
fn check(_check: &Check, _settings: &Settings) -> Observation {
    Observation::healthy()
}
