//! Never comes back.

use extrack_plugin::prelude::*;

#[probe]
fn check(_check: &Check) -> Observation {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}
