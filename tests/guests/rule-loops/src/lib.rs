//! Never comes to a verdict.

use extrack_plugin::prelude::*;

#[rule]
fn evaluate(_evaluation: &Evaluation) -> Verdict {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}
