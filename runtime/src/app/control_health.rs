//! What readiness and metrics say of the control store.

use crate::store::ControlStore;
use crate::store::control::BallastState;

/// Why nothing can be committed.
pub(super) fn not_committed(control: &ControlStore) -> Option<String> {
    control
        .health()
        .fault
        .map(|fault| format!("the control store can't be written: {}", fault.reason))
}

pub(super) fn warnings(control: &ControlStore) -> Option<String> {
    (control.health().ballast == BallastState::GivenUp).then(|| {
        "the disk of the control store is full, its ballast was given up: alerts are committed in the room that it left"
            .to_owned()
    })
}

pub(super) fn show(control: &ControlStore) {
    let health = control.health();
    let gauge = |is: bool| f64::from(u8::from(is));
    metrics::gauge!("extrack_control_unwritable").set(gauge(health.fault.is_some()));
    metrics::gauge!("extrack_control_ballast_given_up")
        .set(gauge(health.ballast == BallastState::GivenUp));
}
