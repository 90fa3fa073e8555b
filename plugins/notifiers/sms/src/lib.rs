//! The notifier `sms`: a text message to each number, through an API like Twilio's.

mod segments;

use extrack_plugin::json::Value;
use extrack_plugin::notifier::{one_line, printable};
use extrack_plugin::prelude::*;
use extrack_plugin::url;

#[derive(Settings)]
struct Settings {
    /// Account SID, e.g. `AC…`.
    account_sid: String,
    /// Auth token, or the secret of `apiKeySid`.
    auth_token: Secret,
    /// Key that `authToken` is the secret of, in place of the account's own token.
    api_key_sid: Option<String>,
    /// Number in E.164 form, e.g. `+15005550006`, or `messagingServiceSid`.
    from: Option<String>,
    /// Messaging service that picks the number.
    messaging_service_sid: Option<String>,
    /// Numbers in E.164 form.
    recipients: Vec<String>,
    /// The API, for those that speak like Twilio.
    #[setting(host, url, default = "https://api.twilio.com")]
    url: String,
}

#[notifier(check_settings = check_settings)]
fn notify(notification: &Notification, settings: &Settings) -> Result<Receipt, NotifyError> {
    let text = text(notification);
    let mut sent = Vec::new();
    let mut refused = Vec::new();
    for number in &settings.recipients {
        match send(settings, number, &text) {
            Ok(receipt) => sent.push(receipt),
            // Those who were written to already will get it again: better twice than never.
            Err(error @ NotifyError::Retryable { .. }) => return Err(error),
            Err(NotifyError::Permanent(message)) => refused.push(format!("{number}: {message}")),
        }
    }
    match sent.into_iter().next() {
        None => Err(NotifyError::permanent(refused.join("; "))),
        Some(first) if refused.is_empty() => Ok(first),
        // Some were reached: to try again would write to them for ever.
        Some(first) => Ok(Receipt {
            answer: format!("{}; not sent to {}", first.answer, refused.join("; ")),
            ..first
        }),
    }
}

fn send(settings: &Settings, number: &str, text: &str) -> Result<Receipt, NotifyError> {
    let account = url::form_encode(&settings.account_sid);
    let address = format!(
        "{}/2010-04-01/Accounts/{account}/Messages.json",
        settings.url.trim_end_matches('/')
    );
    let sender = match (&settings.messaging_service_sid, &settings.from) {
        (Some(service), _) => ("MessagingServiceSid", service.as_str()),
        (None, from) => ("From", from.as_deref().unwrap_or_default()),
    };
    let username = settings
        .api_key_sid
        .as_ref()
        .unwrap_or(&settings.account_sid);
    let response = http::post(address)
        .form([("To", number), sender, ("Body", text)])
        .basic_auth(username, &settings.auth_token)
        .send()?;
    let answer: Value = response.json().unwrap_or_default();
    let receipt = Receipt::from_response(&response)?;
    Ok(match answer["sid"].as_str() {
        Some(sid) => Receipt::new(format!(
            "{} {}",
            response.status,
            answer["status"].as_str().unwrap_or("accepted")
        ))
        .reference(sid),
        None => receipt,
    })
}

fn text(notification: &Notification) -> String {
    if let Some(text) = notification.text() {
        return segments::cut(&printable(text));
    }
    let summary = match notification.alerts.as_slice() {
        [alert] => format!(": {}", alert.summary),
        _ => String::new(),
    };
    segments::cut(&one_line(&format!("{}{summary}", notification.title())))
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |path: String, message: String| faults.push(Fault::new(path, message));
    if settings.from.is_none() && settings.messaging_service_sid.is_none() {
        fault(
            "/from".to_owned(),
            "is missing; give a number, or a `messagingServiceSid`".to_owned(),
        );
    }
    if settings.recipients.is_empty() {
        fault(
            "/recipients".to_owned(),
            "is empty, wanted at least one number".to_owned(),
        );
    }
    for (index, number) in settings
        .recipients
        .iter()
        .enumerate()
        .filter(|(_, number)| !is_e164(number))
    {
        fault(
            format!("/recipients/{index}"),
            format!("is `{number}`, wanted a number such as `+15005550006`"),
        );
    }
    faults
}

/// A plus sign and up to 15 digits, the first not zero.
fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (2..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, awkward, notification, response, with_attribute};
    use extrack_plugin::notifier::length;

    use super::*;

    const MESSAGES: &str = "POST https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json";

    fn settings(recipients: &str) -> Settings {
        let text = format!(
            r#"{{"accountSid": "AC1", "authToken": "t0k", "from": "+15005550006", "recipients": {recipients}}}"#
        );
        Settings::from_json(&text).unwrap()
    }

    #[test]
    fn writes_to_each_number() {
        let host = Host::install();
        host.answer_http(
            MESSAGES,
            response(201, r#"{"sid": "SM1", "status": "queued"}"#),
        );
        let receipt = notify(
            &notification(1),
            &settings(r#"["+491700000001", "+491700000002"]"#),
        )
        .unwrap();
        assert_eq!(
            (receipt.reference.as_deref(), receipt.answer.as_str()),
            (Some("SM1"), "201 queued")
        );
        let bodies: Vec<String> = host
            .http_requests()
            .into_iter()
            .map(|request| String::from_utf8(request.body.unwrap()).unwrap())
            .collect();
        assert_eq!(bodies.len(), 2);
        assert_eq!(
            bodies[0],
            "To=%2B491700000001&From=%2B15005550006&Body=%5BFIRING%5D+Shop+%26+%3CAPI%3E%3A+Service+Down%3A+latency+is+900+ms+%3E+800+ms"
        );
    }

    #[test]
    fn five_hundred_awkward_alerts_are_three_parts_at_most() {
        for message in [
            awkward(500),
            awkward(1),
            with_attribute(awkward(2), "text", &"a\u{0}🚀".repeat(900)),
        ] {
            let text = text(&message);
            assert!(length(&text) <= 3 * 67 && text.ends_with('…'), "{text}");
            assert!(!text.contains(|c: char| c.is_control()), "{text}");
        }
        assert!(
            text(&awkward(500)).starts_with("[FIRING] 500 alerts: "),
            "{}",
            text(&awkward(500))
        );
    }

    #[test]
    fn a_number_that_is_refused_does_not_keep_the_others_waiting() {
        let host = Host::install();
        host.answer_http(
            MESSAGES,
            response(
                400,
                r#"{"code": 21211, "message": "Invalid 'To' Phone Number"}"#,
            ),
        );
        host.answer_http(
            MESSAGES,
            response(201, r#"{"sid": "SM2", "status": "queued"}"#),
        );
        let receipt = notify(
            &notification(1),
            &settings(r#"["+491700000001", "+491700000002"]"#),
        )
        .unwrap();
        assert!(
            receipt.answer.contains("not sent to +491700000001"),
            "{}",
            receipt.answer
        );
    }

    #[test]
    fn a_wrong_token_is_permanent_and_a_limit_is_not() {
        let host = Host::install();
        host.answer_http(MESSAGES, response(401, r#"{"code": 20003}"#));
        host.answer_http(MESSAGES, response(429, ""));
        let settings = settings(r#"["+491700000001"]"#);
        assert!(matches!(
            notify(&notification(1), &settings),
            Err(NotifyError::Permanent(_))
        ));
        assert!(matches!(
            notify(&notification(1), &settings),
            Err(NotifyError::Retryable { .. })
        ));
    }

    #[test]
    fn finds_wrong_numbers_when_settings_are_saved() {
        for (recipients, path) in [
            ("[]", "/recipients"),
            (r#"["0170 1"]"#, "/recipients/0"),
            (r#"["+0170"]"#, "/recipients/0"),
        ] {
            assert_eq!(
                check_settings(&settings(recipients))[0].path,
                path,
                "{recipients}"
            );
        }
        assert!(check_settings(&settings(r#"["+491700000001"]"#)).is_empty());
    }
}
