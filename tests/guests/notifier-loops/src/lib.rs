//! Never sends anything.

use extrack_plugin::prelude::*;

#[notifier]
fn notify(_notification: &Notification) -> Result<Receipt, NotifyError> {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}
