//! Posts one line for each message.

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Where to post. Kept secret: the plugin never sees the address, the host puts it in.
    #[setting(url)]
    url: Secret,
}

#[notifier(summary = "Posts one line of text")]
fn notify(notification: &Notification, settings: &Settings) -> Result<Receipt, NotifyError> {
    let alerts: Vec<String> =
        notification.alerts.iter().map(|alert| format!("{} of {}", alert.name, alert.service_name)).collect();
    let line = format!("{}: {}", notification.status.as_str(), alerts.join(", "));
    // The same message may come twice, with the same id: pass it on where the other side can use it.
    let response = http::post(&settings.url).header("idempotency-key", &notification.id).body(line).send()?;
    Receipt::from_response(&response)
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, notification, response};

    use super::*;

    #[test]
    fn posts_what_fires() {
        let host = Host::install();
        let settings = Settings::from_json(r#"{"url": "https://example.com/hook"}"#).unwrap();
        host.answer_http("POST https://example.com/hook", response(200, ""));
        notify(&notification(1), &settings).unwrap();
        let sent = &host.http_requests()[0];
        assert_eq!(sent.body.as_deref(), Some("firing: Service Down of Shop & <API>".as_bytes()));
    }
}
