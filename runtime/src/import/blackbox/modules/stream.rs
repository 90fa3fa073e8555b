//! Modules that talk over a connection: TCP and WebSocket.

use serde_json::Value;

use super::http;
use crate::import::draft::Draft;
use crate::import::item::Item;
use crate::import::monitor::Monitor;
use crate::import::text::plain_text_of;

pub(super) fn tcp(own: &Item<'_>, made: &mut Monitor, draft: &mut Draft) {
    let steps = own.list("query_response");
    let starts_tls = steps.iter().any(|step| step.is_true("starttls"));
    let is_mail = starts_tls && steps.iter().any(|step| says_hello(step));
    if is_mail {
        // Greeting, STARTTLS and a second greeting are what our probe does by itself.
        made.kind = "SMTP";
        made.set("warnDays", 0);
        offers(&steps, made);
    } else if own.is_true("tls") {
        made.kind = "TLS";
        made.set("warnDays", 0);
    }
    super::tls(own, made, draft);
    if made.kind == "TCP" {
        conversation(own, &steps, made, draft);
    } else if made.kind == "TLS"
        && let Some(found) = own.get("query_response")
    {
        draft.left_out(
            &found,
            "the probe `tls` sends nothing; the certificate alone is checked",
        );
    }
    draft.unknown_keys(own, &["query_response", "tls", "tls_config"]);
}

pub(super) fn websocket(own: &Item<'_>, made: &mut Monitor, draft: &mut Draft) {
    if let Some(client) = own.get("http_config") {
        super::tls(&client, made, draft);
        let before = made.authentication.take();
        http::credentials(&client, made, draft);
        // The probe has no credential of its own, but headers.
        match made.authentication.take() {
            Some(credential) if credential["type"] == "bearer" => {
                let token = credential["token"].as_str().unwrap_or_default();
                made.plain_header("Authorization", &format!("Bearer {token}"));
            }
            Some(_) => draft.left_out(
                &client,
                "the probe `websocket` logs in by a bearer token only",
            ),
            None => made.authentication = before,
        }
    }
    let headers = own.get("headers").map(|headers| headers.members());
    for (name, value) in headers.into_iter().flatten() {
        made.plain_header(name, &value.text().unwrap_or_default());
    }
    let steps = own.list("query_response");
    conversation(own, &steps, made, draft);
    draft.unknown_keys(own, &["http_config", "headers", "query_response"]);
}

fn says_hello(step: &Item<'_>) -> bool {
    let text = step.text_of("send").unwrap_or_default().to_uppercase();
    text.starts_with("EHLO") || text.starts_with("HELO")
}

/// The mechanism `^250-AUTH` asks for is any.
fn offers(steps: &[Item<'_>], made: &mut Monitor) {
    for step in steps {
        let expected = step.text_of("expect").unwrap_or_default();
        let Some((_, mechanisms)) = expected.split_once("AUTH ") else {
            continue;
        };
        let words: Vec<Value> = mechanisms
            .split_whitespace()
            .filter(|word| word.chars().all(|c| c.is_ascii_uppercase() || c == '-'))
            .map(Value::from)
            .collect();
        if !words.is_empty() {
            made.set("auth", words);
        }
    }
}

/// One text that is sent, and one that comes back.
fn conversation(own: &Item<'_>, steps: &[Item<'_>], made: &mut Monitor, draft: &mut Draft) {
    let Some(place) = own.get("query_response").filter(|_| !steps.is_empty()) else {
        return;
    };
    let mut sent = Vec::new();
    let mut expected = Vec::new();
    for step in steps {
        // Within a step, what is expected comes first.
        let text = step.text_of("expect");
        let is_plain = text.is_none() || text.as_deref().and_then(plain_text_of).is_some();
        let bytes = step.get("expect_bytes").is_some() || step.is_true("starttls");
        let reply = step.text_of("send").filter(|_| text.is_some());
        if !is_plain || bytes || reply.is_some() || !expected.is_empty() {
            draft.left_out(&place, "is more than one text sent and one plain text expected; the connection alone is checked");
            return;
        }
        expected.extend(text.as_deref().and_then(plain_text_of));
        sent.extend(step.text_of("send"));
    }
    let end = if made.kind == "TCP" { "\n" } else { "" };
    if !sent.is_empty() {
        let lines: String = sent.iter().map(|line| format!("{line}{end}")).collect();
        made.set("send", lines);
    }
    if let Some(text) = expected.pop() {
        made.set("expect", text);
    }
}
