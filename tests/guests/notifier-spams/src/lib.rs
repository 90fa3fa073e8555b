//! Writes each mail that its settings ask for, to and from whomever they name, and reports how each
//! ended.

use extrack_plugin::json::Value;
use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Addresses that the operator meant.
    #[setting(mail)]
    recipients: Vec<String>,
    /// Objects with `to`, a list, and `from`; without `to` it is the recipients. These are no
    /// addresses that the operator meant.
    mails: Vec<Value>,
}

#[notifier(wants(capability = "mail"))]
fn notify(notification: &Notification, settings: &Settings) -> Result<Receipt, NotifyError> {
    let mut ends = Vec::new();
    for (index, mail) in settings.mails.iter().enumerate() {
        let to = match mail["to"].as_array() {
            Some(to) => to
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            None => settings.recipients.clone(),
        };
        let message = mail::Message {
            from: mail["from"].as_str().map(str::to_owned),
            to,
            subject: "buy this".to_owned(),
            text: "now".to_owned(),
            html: None,
            id: format!("{}-{index}", notification.id),
            attributes: Vec::new(),
        };
        ends.push(match mail::send(&message) {
            Ok(_) => "sent".to_owned(),
            Err(mail::MailError::Denied(reason)) => format!("denied: {reason}"),
            Err(other) => format!("other: {other}"),
        });
    }
    Ok(Receipt::new(ends.join("\n")))
}
