//! Changes its mind with each evaluation of one instance: what a rule must not do.

use std::sync::atomic::{AtomicU32, Ordering};

use extrack_plugin::prelude::*;

static EVALUATIONS: AtomicU32 = AtomicU32::new(0);

#[rule]
fn evaluate(_evaluation: &Evaluation) -> Verdict {
    let evaluations = EVALUATIONS.fetch_add(1, Ordering::Relaxed);
    Finding::new(format!("evaluation {evaluations} of this instance"))
        .breached_if(evaluations % 2 == 1)
}
