//! Logs without end.

use extrack_plugin::prelude::*;

#[probe]
fn check(_check: &Check) -> Observation {
    let line = "all work and no play ".repeat(50);
    loop {
        log::info(&line);
    }
}
