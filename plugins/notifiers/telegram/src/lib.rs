//! The notifier `telegram`: one message from a bot to a chat; the message about an outage is edited
//! when all is well again, if that is wanted.

mod text;

use extrack_plugin::json::json;
use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// The bot's token, from @BotFather.
    token: Secret,
    /// The chat's number, or `@name` of a public channel.
    chat_id: String,
    /// Topic of a group with topics.
    thread_id: Option<i64>,
    /// Messages that all is well again make no sound.
    #[setting(default = true)]
    silent_resolve: bool,
    /// The end of an outage is written over its message in place of a new one.
    #[setting(default = false)]
    edit_on_resolve: bool,
    /// The Bot API, for those who run their own.
    #[setting(host, url, default = "https://api.telegram.org")]
    url: String,
}

#[notifier]
fn notify(notification: &Notification, settings: &Settings) -> Result<Receipt, NotifyError> {
    let is_resolved = notification.status == notifier::NotificationStatus::Resolved;
    let mut body = json!({
        "chat_id": settings.chat_id,
        "text": text::text(notification),
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": true},
        "disable_notification": is_resolved && settings.silent_resolve,
    });
    if let Some(thread_id) = settings.thread_id {
        body["message_thread_id"] = thread_id.into();
    }
    let earlier = notification
        .reference()
        .filter(|_| is_resolved && settings.edit_on_resolve);
    if let Some(id) = earlier.and_then(|reference| reference.parse::<i64>().ok()) {
        let mut edit = body.clone();
        edit["message_id"] = id.into();
        // A message that is gone, or too old to be edited, is followed by a new one.
        match call("editMessageText", &edit, settings) {
            Err(NotifyError::Permanent(message)) if message.contains("message is not modified") => {
                return Ok(Receipt::new(message).reference(id.to_string()));
            }
            Err(NotifyError::Permanent(_)) => {}
            result => return result,
        }
    }
    call("sendMessage", &body, settings)
}

fn call(method: &str, body: &json::Value, settings: &Settings) -> Result<Receipt, NotifyError> {
    let url = http::Text::from(settings.url.trim_end_matches('/'))
        .text("/bot")
        .secret(&settings.token)
        .text(format!("/{method}"));
    let response = http::post(url).json(body).send()?;
    let answer = response.json().unwrap_or_default();
    let receipt = Receipt::from_response(&response).map_err(|error| match error {
        NotifyError::Retryable { message, after } => {
            let seconds = answer["parameters"]["retry_after"].as_u64();
            NotifyError::Retryable {
                message,
                after: seconds.map(Duration::from_secs).or(after),
            }
        }
        error => error,
    })?;
    Ok(match answer["result"]["message_id"].as_i64() {
        Some(id) => receipt.reference(id.to_string()),
        None => receipt,
    })
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, notification, resolved, response, with_attribute};

    use super::*;

    const SEND: &str = "POST https://api.telegram.org/bot1:T0K/sendMessage";
    const EDIT: &str = "POST https://api.telegram.org/bot1:T0K/editMessageText";

    fn settings() -> Settings {
        Settings::from_json(r#"{"token": "1:T0K", "chatId": "-100200"}"#).unwrap()
    }

    #[test]
    fn sends_to_the_chat_and_keeps_the_messages_id() {
        let host = Host::install();
        host.answer_http(
            SEND,
            response(200, r#"{"ok":true,"result":{"message_id":42}}"#),
        );
        assert_eq!(
            notify(&notification(1), &settings())
                .unwrap()
                .reference
                .as_deref(),
            Some("42")
        );
        notify(&resolved(1), &settings()).unwrap();
        let requests = host.http_requests();
        let body = |index: usize| -> json::Value {
            json::from_slice(requests[index].body.as_ref().unwrap()).unwrap()
        };
        assert_eq!(body(0)["chat_id"], "-100200");
        assert_eq!(
            (
                &body(0)["disable_notification"],
                &body(1)["disable_notification"]
            ),
            (&false.into(), &true.into())
        );
    }

    #[test]
    fn edits_the_message_of_the_outage_where_that_is_wanted() {
        let host = Host::install();
        let settings = Settings::from_json(
            r#"{"token": "1:T0K", "chatId": "-100200", "editOnResolve": true}"#,
        )
        .unwrap();
        host.answer_http(
            EDIT,
            response(200, r#"{"ok":true,"result":{"message_id":42}}"#),
        );
        let end = with_attribute(resolved(1), "reference", "42");
        assert_eq!(
            notify(&end, &settings).unwrap().reference.as_deref(),
            Some("42")
        );
        let body: json::Value =
            json::from_slice(host.http_requests()[0].body.as_ref().unwrap()).unwrap();
        assert_eq!(
            (&body["message_id"], &body["chat_id"]),
            (&42.into(), &"-100200".into())
        );
        let host = Host::install();
        host.answer_http(
            EDIT,
            response(
                400,
                r#"{"ok":false,"description":"Bad Request: message to edit not found"}"#,
            ),
        );
        host.answer_http(
            SEND,
            response(200, r#"{"ok":true,"result":{"message_id":43}}"#),
        );
        assert_eq!(
            notify(&end, &settings).unwrap().reference.as_deref(),
            Some("43")
        );
    }

    #[test]
    fn comes_back_when_telegram_says() {
        let host = Host::install();
        host.answer_http(
            SEND,
            response(
                429,
                r#"{"ok":false,"error_code":429,"parameters":{"retry_after":7}}"#,
            ),
        );
        let Err(NotifyError::Retryable { after, .. }) = notify(&notification(1), &settings())
        else {
            panic!("a limit is worth another attempt");
        };
        assert_eq!(after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn an_unknown_chat_is_permanent() {
        let host = Host::install();
        host.answer_http(
            SEND,
            response(
                400,
                r#"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#,
            ),
        );
        let Err(NotifyError::Permanent(message)) = notify(&notification(1), &settings()) else {
            panic!("it is final")
        };
        assert!(message.contains("chat not found"), "{message}");
    }
}
