//! Traps without a word.

use extrack_plugin::prelude::*;

#[rule]
fn evaluate(_evaluation: &Evaluation) -> Verdict {
    std::process::abort()
}
