//! Traps when it is asked how far it looks back.

use extrack_plugin::prelude::*;

#[rule(look_back = look_back)]
fn evaluate(_evaluation: &Evaluation, _settings: &NoSettings) -> Verdict {
    Finding::new("fine").breached_if(false)
}

fn look_back(_settings: &NoSettings) -> Duration {
    panic!("I never look back")
}
