//! Traps without a word.

use extrack_plugin::prelude::*;

#[notifier]
fn notify(_notification: &Notification) -> Result<Receipt, NotifyError> {
    std::process::abort()
}
