//! Answers each message with a receipt of megabytes.

use extrack_plugin::prelude::*;

#[notifier]
fn notify(_notification: &Notification) -> Result<Receipt, NotifyError> {
    Ok(Receipt::new("thank you ".repeat(300_000)).reference("reference ".repeat(300_000)))
}
