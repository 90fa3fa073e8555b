//! Takes memory without end.

use extrack_plugin::prelude::*;

#[probe]
fn check(_check: &Check) -> Observation {
    let mut taken = Vec::new();
    loop {
        taken.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}
