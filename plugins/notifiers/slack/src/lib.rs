//! The notifier `slack`: one message in blocks, with a plain text for clients that show no blocks.
//! With a bot's token the message about an outage is edited when all is well again; an incoming
//! webhook can only post.

mod message;

use extrack_plugin::json::Value;
use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// URL of an incoming webhook. Not needed with `token` and `channelId`.
    #[setting(url)]
    webhook: Option<Secret>,
    /// Token of a bot with the scope `chat:write`: with it the message of an outage is updated
    /// when it ends.
    token: Option<Secret>,
    /// Id of the channel that the bot was invited to, e.g. `C0123ABCDEF`.
    channel_id: Option<String>,
    /// Put in front of a message that fires, e.g. `<!channel>`.
    mention: Option<String>,
    /// The Web API.
    #[setting(host, url, default = "https://slack.com")]
    url: String,
}

#[notifier(check_settings = check_settings)]
fn notify(notification: &Notification, settings: &Settings) -> Result<Receipt, NotifyError> {
    let body = message::message(notification, settings.mention.as_deref());
    match (&settings.token, &settings.channel_id, &settings.webhook) {
        (Some(token), Some(channel), _) => as_bot(notification, body, settings, token, channel),
        (_, _, Some(webhook)) => Receipt::from_response(&http::post(webhook).json(&body).send()?),
        _ => Err(NotifyError::permanent(
            "there is neither a `webhook` nor a `token` with its `channelId`",
        )),
    }
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let fault = |path: &str, message: &str| vec![Fault::new(path, message)];
    match (&settings.webhook, &settings.token, &settings.channel_id) {
        (None, None, None) => fault(
            "/webhook",
            "is missing; give a webhook, or a `token` with its `channelId`",
        ),
        (_, Some(_), None) => fault("/channelId", "is missing; the bot has to know the channel"),
        (_, None, Some(_)) => fault(
            "/token",
            "is missing; a webhook has its channel, and only a bot takes one",
        ),
        _ => Vec::new(),
    }
}

/// Writes the end of an outage over its message. Where that is gone, the end is a new message.
fn as_bot(
    notification: &Notification,
    mut body: Value,
    settings: &Settings,
    token: &Secret,
    channel: &str,
) -> Result<Receipt, NotifyError> {
    let is_resolved = notification.status == notifier::NotificationStatus::Resolved;
    let earlier = notification
        .reference()
        .filter(|_| is_resolved)
        .and_then(|reference| reference.split_once('/'));
    body["channel"] = channel.into();
    if let Some((channel, ts)) = earlier {
        let mut update = body.clone();
        (update["channel"], update["ts"]) = (channel.into(), ts.into());
        match call("chat.update", &update, settings, token) {
            Err(NotifyError::Permanent(_)) => {}
            result => return result,
        }
    }
    call("chat.postMessage", &body, settings, token)
}

/// <https://docs.slack.dev/apis/web-api/>: what went wrong stands in the body of a 200.
fn call(
    method: &str,
    body: &Value,
    settings: &Settings,
    token: &Secret,
) -> Result<Receipt, NotifyError> {
    let url = format!("{}/api/{method}", settings.url.trim_end_matches('/'));
    let request = http::post(url)
        .json(body)
        .header("authorization", http::Text::from("Bearer ").secret(token));
    let response = request.send()?;
    let receipt = Receipt::from_response(&response)?;
    let answer: Value = response.json().unwrap_or_default();
    if answer["ok"] == true {
        return Ok(match (answer["channel"].as_str(), answer["ts"].as_str()) {
            (Some(channel), Some(ts)) => {
                Receipt::new(format!("{method} ok")).reference(format!("{channel}/{ts}"))
            }
            _ => receipt,
        });
    }
    let error = answer["error"]
        .as_str()
        .unwrap_or("no answer that is known");
    let message = format!("{method}: {error}");
    match error {
        "ratelimited"
        | "rate_limited"
        | "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout" => Err(NotifyError::retryable(message)),
        _ => Err(NotifyError::permanent(message)),
    }
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, Request, notification, resolved, response, with_attribute};

    use super::*;

    const POST: &str = "POST https://slack.com/api/chat.postMessage";
    const UPDATE: &str = "POST https://slack.com/api/chat.update";

    fn bot() -> Settings {
        Settings::from_json(r#"{"token": "xoxb-1", "channelId": "C1"}"#).unwrap()
    }

    fn bodies(host: &Host) -> Vec<Value> {
        host.http_requests().iter().map(Request::json).collect()
    }

    #[test]
    fn posts_to_the_webhook() {
        let host = Host::install();
        host.answer_http(
            "POST https://hooks.slack.com/services/T/B/x",
            response(200, "ok"),
        );
        let settings =
            Settings::from_json(r#"{"webhook": "https://hooks.slack.com/services/T/B/x"}"#)
                .unwrap();
        let receipt = notify(&notification(1), &settings).unwrap();
        assert_eq!(receipt.answer, "200 ok");
        assert_eq!(bodies(&host)[0]["blocks"][0]["type"], "section");
    }

    #[test]
    fn a_revoked_webhook_is_permanent() {
        let host = Host::install();
        host.answer_http(
            "POST https://hooks.slack.com/services/T/B/x",
            response(404, "no_service"),
        );
        let settings =
            Settings::from_json(r#"{"webhook": "https://hooks.slack.com/services/T/B/x"}"#)
                .unwrap();
        assert_eq!(
            notify(&notification(1), &settings),
            Err(NotifyError::permanent("404 no_service"))
        );
    }

    #[test]
    fn a_bot_writes_the_end_over_the_message_of_the_outage() {
        let host = Host::install();
        host.answer_http(
            POST,
            response(
                200,
                r#"{"ok": true, "channel": "C1", "ts": "1503435956.000247"}"#,
            ),
        );
        host.answer_http(
            UPDATE,
            response(
                200,
                r#"{"ok": true, "channel": "C1", "ts": "1503435956.000247"}"#,
            ),
        );
        let reference = notify(&notification(1), &bot()).unwrap().reference.unwrap();
        let end = notify(
            &with_attribute(resolved(1), "reference", &reference),
            &bot(),
        )
        .unwrap();
        assert_eq!(end.reference.as_deref(), Some("C1/1503435956.000247"));
        let bodies = bodies(&host);
        assert_eq!(
            (&bodies[1]["channel"], &bodies[1]["ts"]),
            (&"C1".into(), &"1503435956.000247".into())
        );
        assert!(
            bodies[1]["text"]
                .as_str()
                .unwrap()
                .starts_with("[RESOLVED]")
        );
    }

    #[test]
    fn what_can_not_be_written_over_is_said_anew_and_a_limit_is_waited_for() {
        let host = Host::install();
        host.answer_http(
            UPDATE,
            response(200, r#"{"ok": false, "error": "message_not_found"}"#),
        );
        host.answer_http(
            POST,
            response(200, r#"{"ok": true, "channel": "C1", "ts": "2.0"}"#),
        );
        host.answer_http(
            UPDATE,
            response(200, r#"{"ok": false, "error": "ratelimited"}"#),
        );
        let end = with_attribute(resolved(1), "reference", "C1/1.0");
        assert_eq!(
            notify(&end, &bot()).unwrap().reference.as_deref(),
            Some("C1/2.0")
        );
        assert_eq!(
            notify(&end, &bot()),
            Err(NotifyError::retryable("chat.update: ratelimited"))
        );
        // New alerts of the group are news, whatever was said before.
        let host = Host::install();
        host.answer_http(
            POST,
            response(200, r#"{"ok": false, "error": "channel_not_found"}"#),
        );
        let more = with_attribute(notification(2), "reference", "C1/1.0");
        assert_eq!(
            notify(&more, &bot()),
            Err(NotifyError::permanent(
                "chat.postMessage: channel_not_found"
            ))
        );
    }

    #[test]
    fn either_way_has_to_be_whole() {
        for (settings, path) in [
            ("{}", "/webhook"),
            (r#"{"token": "xoxb-1"}"#, "/channelId"),
            (r#"{"webhook": "https://a", "channelId": "C1"}"#, "/token"),
        ] {
            assert_eq!(
                check_settings(&Settings::from_json(settings).unwrap())[0].path,
                path,
                "{settings}"
            );
        }
        assert!(check_settings(&bot()).is_empty());
    }
}
