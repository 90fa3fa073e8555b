//! Calls itself without end.

use extrack_plugin::prelude::*;

#[probe]
fn check(_check: &Check) -> Observation {
    Observation::healthy().metric("depth", deeper(std::hint::black_box(0)))
}

#[expect(unconditional_recursion, reason = "that is its purpose")]
fn deeper(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 16]);
    deeper(frame[0] + 1) + frame[15]
}
