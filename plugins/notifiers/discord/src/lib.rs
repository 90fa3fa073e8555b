//! The notifier `discord`: one message to a channel's webhook, an embed for each alert.

mod message;

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// URL of the channel's webhook; with `?thread_id=ID` for a thread.
    #[setting(url)]
    webhook: Secret,
    /// Put in front of a message that fires, e.g. `@here` or `<@&ROLE_ID>`.
    mention: Option<String>,
    /// Name the message comes from, in place of the webhook's.
    username: Option<String>,
    /// The end of an outage is written over its message in place of a new one.
    #[setting(default = false)]
    edit_on_resolve: bool,
}

#[notifier]
fn notify(notification: &Notification, settings: &Settings) -> Result<Receipt, NotifyError> {
    let body = message::message(
        notification,
        settings.mention.as_deref(),
        settings.username.as_deref(),
    );
    let webhook = http::Text::from(&settings.webhook);
    let is_resolved = notification.status == notifier::NotificationStatus::Resolved;
    let earlier = notification
        .reference()
        .filter(|_| is_resolved && settings.edit_on_resolve);
    if let Some(id) = earlier.filter(|id| id.bytes().all(|byte| byte.is_ascii_digit())) {
        // A message that is gone is followed by a new one.
        match send(
            &http::Request::new("PATCH", webhook.clone().text(format!("/messages/{id}"))),
            &body,
        ) {
            Err(NotifyError::Permanent(_)) => {}
            result => return result,
        }
    }
    // With `wait` Discord answers with the message, or with what is wrong with it.
    send(&http::post(webhook.text("?wait=true")), &body)
}

fn send(request: &http::Request, body: &json::Value) -> Result<Receipt, NotifyError> {
    let response = request.clone().json(body).send()?;
    let receipt =
        Receipt::from_response(&response).map_err(|error| with_delay(error, &response))?;
    Ok(
        match response
            .json()
            .ok()
            .and_then(|answer| answer["id"].as_str().map(str::to_owned))
        {
            Some(id) => receipt.reference(id),
            None => receipt,
        },
    )
}

/// Discord gives the delay in the body, in fractions of a second.
fn with_delay(error: NotifyError, response: &http::Response) -> NotifyError {
    match error {
        NotifyError::Retryable {
            message,
            after: None,
        } => {
            let seconds = response
                .json()
                .ok()
                .and_then(|answer| answer["retry_after"].as_f64());
            let after = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            NotifyError::Retryable { message, after }
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, notification, resolved, response, with_attribute};

    use super::*;

    const EXECUTE: &str = "POST https://discord.com/api/webhooks/1/token?wait=true";

    fn settings() -> Settings {
        Settings::from_json(r#"{"webhook": "https://discord.com/api/webhooks/1/token"}"#).unwrap()
    }

    #[test]
    fn posts_and_keeps_the_messages_id() {
        let host = Host::install();
        host.answer_http(EXECUTE, response(200, r#"{"id": "811"}"#));
        assert_eq!(
            notify(&notification(1), &settings())
                .unwrap()
                .reference
                .as_deref(),
            Some("811")
        );
    }

    #[test]
    fn the_thread_of_a_webhook_stays_in_its_query() {
        let host = Host::install();
        let settings = Settings::from_json(
            r#"{"webhook": "https://discord.com/api/webhooks/1/token?thread_id=42", "editOnResolve": true}"#,
        )
        .unwrap();
        host.answer_http(
            "POST https://discord.com/api/webhooks/1/token?thread_id=42&wait=true",
            response(200, r#"{"id": "811"}"#),
        );
        assert!(notify(&notification(1), &settings).is_ok());
        host.answer_http(
            "PATCH https://discord.com/api/webhooks/1/token/messages/811?thread_id=42",
            response(200, r#"{"id": "811"}"#),
        );
        let end = with_attribute(resolved(1), "reference", "811");
        assert!(notify(&end, &settings).is_ok());
    }

    #[test]
    fn comes_back_when_discord_says() {
        let host = Host::install();
        host.answer_http(
            EXECUTE,
            response(
                429,
                r#"{"message": "You are being rate limited.", "retry_after": 1.5}"#,
            ),
        );
        let Err(NotifyError::Retryable { after, .. }) = notify(&notification(1), &settings())
        else {
            panic!("a limit is worth another attempt");
        };
        assert_eq!(after, Some(Duration::from_millis(1_500)));
    }

    #[test]
    fn a_deleted_webhook_is_permanent() {
        let host = Host::install();
        host.answer_http(
            EXECUTE,
            response(404, r#"{"message": "Unknown Webhook", "code": 10015}"#),
        );
        assert!(matches!(
            notify(&notification(1), &settings()),
            Err(NotifyError::Permanent(_))
        ));
    }

    #[test]
    fn edits_the_message_of_the_outage_where_that_is_wanted() {
        let host = Host::install();
        let settings = Settings::from_json(
            r#"{"webhook": "https://discord.com/api/webhooks/1/token", "editOnResolve": true}"#,
        )
        .unwrap();
        host.answer_http(
            "PATCH https://discord.com/api/webhooks/1/token/messages/77",
            response(200, r#"{"id": "77"}"#),
        );
        let end = with_attribute(resolved(1), "reference", "77");
        assert_eq!(
            notify(&end, &settings).unwrap().reference.as_deref(),
            Some("77")
        );
        let host = Host::install();
        host.answer_http(
            "PATCH https://discord.com/api/webhooks/1/token/messages/77",
            response(404, "Unknown Message"),
        );
        host.answer_http(EXECUTE, response(200, r#"{"id": "78"}"#));
        assert_eq!(
            notify(&end, &settings).unwrap().reference.as_deref(),
            Some("78")
        );
    }
}
