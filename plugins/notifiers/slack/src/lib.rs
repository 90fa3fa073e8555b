//! The notifier `slack`: one message to an incoming webhook, in blocks, with a plain text for clients that show no blocks.

mod message;

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// URL of the incoming webhook.
    webhook: Secret,
    /// Put in front of a message that fires, e.g. `<!channel>`.
    mention: Option<String>,
}

#[notifier]
fn notify(notification: &Notification, settings: &Settings) -> Result<Receipt, NotifyError> {
    let body = message::message(notification, settings.mention.as_deref());
    Receipt::from_response(&http::post(settings.webhook.placeholder()).json(&body).send()?)
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, notification, response};

    use super::*;

    #[test]
    fn posts_to_the_webhook() {
        let host = Host::install();
        host.answer_http("POST https://hooks.slack.com/services/T/B/x", response(200, "ok"));
        let settings = Settings::from_json(r#"{"webhook": "https://hooks.slack.com/services/T/B/x"}"#).unwrap();
        let receipt = notify(&notification(1), &settings).unwrap();
        assert_eq!(receipt.answer, "200 ok");
        let body: json::Value = json::from_slice(host.http_requests()[0].body.as_ref().unwrap()).unwrap();
        assert_eq!(body["blocks"][0]["type"], "section");
    }

    #[test]
    fn a_revoked_webhook_is_permanent() {
        let host = Host::install();
        host.answer_http("POST https://hooks.slack.com/services/T/B/x", response(404, "no_service"));
        let settings = Settings::from_json(r#"{"webhook": "https://hooks.slack.com/services/T/B/x"}"#).unwrap();
        assert_eq!(notify(&notification(1), &settings), Err(NotifyError::permanent("404 no_service")));
    }
}
