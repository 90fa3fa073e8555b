//! Traps without a word.

use extrack_plugin::prelude::*;

#[probe]
fn check(_check: &Check) -> Observation {
    std::process::abort()
}
