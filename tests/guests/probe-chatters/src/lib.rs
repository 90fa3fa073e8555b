//! Writes ten thousand lines to its log, the first of them forged, and is healthy.

use extrack_plugin::prelude::*;

#[probe]
fn check(_check: &Check) -> Observation {
    log::info("fine\n2026-01-01T00:00:00.000000Z ERROR extrack: forged line\u{1b}[2J");
    for number in 1..10_000 {
        log::info(format!("line {number}"));
    }
    Observation::healthy()
}
