//! Panics, and logs why.

use extrack_plugin::prelude::*;

#[probe]
fn check(check: &Check) -> Observation {
    panic!("panicking on purpose at {}", check.service.slug)
}
