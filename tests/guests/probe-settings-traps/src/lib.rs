//! Traps when it is asked whether its settings are good.

use extrack_plugin::prelude::*;

#[probe(check_settings = check_settings)]
fn check(_check: &Check, _settings: &NoSettings) -> Observation {
    Observation::healthy()
}

fn check_settings(_settings: &NoSettings) -> Vec<Fault> {
    panic!("settings are beneath me")
}
