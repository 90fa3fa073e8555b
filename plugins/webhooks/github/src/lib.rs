//! The webhook `github`: <https://docs.github.com/webhooks/webhook-events-and-payloads>

use extrack_plugin::json::{Value, json};
use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// The webhook's secret; a list while it is changed.
    secret: Secrets,
    /// Names of the events to keep, e.g. `release`. Empty: all but `ping`.
    #[setting(default)]
    events: Vec<String>,
    /// Part of the payload that is kept.
    #[setting(default = "short")]
    payload: Payload,
}

#[derive(PartialEq, Settings)]
enum Payload {
    /// Action, repository, sender, and what it is about.
    Short,
    /// All of it.
    Full,
}

#[webhook]
fn receive(delivery: &Delivery, settings: &Settings) -> Result<Option<Event>, Reject> {
    delivery.verify(Scheme::Github, &settings.secret)?;
    let name = delivery
        .header("x-github-event")
        .ok_or_else(|| Reject::malformed("there is no `x-github-event`"))?;
    let is_wanted = if settings.events.is_empty() {
        name != "ping"
    } else {
        settings.events.iter().any(|event| event == name)
    };
    if !is_wanted {
        return Ok(None);
    }
    // Either content type that GitHub offers.
    let payload = match delivery.form("payload") {
        Some(text) => json::from_str(&text)
            .map_err(|error| Reject::malformed(format!("`payload` is not JSON: {error}")))?,
        None => delivery.json()?,
    };
    let short = short(name, &payload);
    let action = payload["action"].as_str();
    let mut event = Event::new(
        action.map_or_else(|| name.to_owned(), |action| format!("{name}.{action}")),
        summary(name, &short),
    );
    if let Some(id) = delivery.header("x-github-delivery") {
        event = event.id(id);
    }
    for (attribute, key) in [("repository", "repository"), ("sender", "sender")] {
        if let Some(text) = short[key].as_str() {
            event = event.attribute(attribute, text);
        }
    }
    Ok(Some(event.payload(if settings.payload == Payload::Full {
        payload
    } else {
        short
    })))
}

/// Payloads are some 20 KiB, most of it URLs of the repository.
fn short(name: &str, payload: &Value) -> Value {
    // The object that an event is about is mostly under the event's own name.
    let object = [
        "pull_request",
        "issue",
        "release",
        "workflow_run",
        "check_run",
        "check_suite",
        "deployment_status",
        "deployment",
        name,
    ]
    .into_iter()
    .map(|key| &payload[key])
    .find(|object| object.is_object())
    .unwrap_or(&Value::Null);
    let mut short = json!({
        "action": payload["action"],
        "repository": payload["repository"]["full_name"],
        "organization": payload["organization"]["login"],
        "sender": payload["sender"]["login"],
        "ref": payload["ref"],
    });
    for key in [
        "number",
        "tag_name",
        "name",
        "title",
        "state",
        "status",
        "conclusion",
        "environment",
        "html_url",
    ] {
        short[key] = object[key].clone();
    }
    if let Value::Object(entries) = &mut short {
        entries.retain(|_, value| !value.is_null());
    }
    short
}

/// Such as `octo/shop: pull_request opened, #7 Faster checkout, by mona`.
fn summary(name: &str, short: &Value) -> String {
    let text = |key: &str| short[key].as_str();
    let mut summary = format!(
        "{}: {name}",
        text("repository")
            .or(text("organization"))
            .unwrap_or("github")
    );
    if let Some(action) = text("action") {
        summary.push_str(&format!(" {action}"));
    }
    let number = short["number"].as_i64().map(|number| format!("#{number}"));
    let title = ["title", "name", "tag_name", "ref"]
        .into_iter()
        .find_map(text)
        .map(str::to_owned);
    let outcome = ["conclusion", "state"]
        .into_iter()
        .find_map(text)
        .map(str::to_owned);
    let about: Vec<String> = number.into_iter().chain(title).chain(outcome).collect();
    if !about.is_empty() {
        summary.push_str(&format!(", {}", about.join(" ")));
    }
    if let Some(sender) = text("sender") {
        summary.push_str(&format!(", by {sender}"));
    }
    summary
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, delivery};

    use super::*;

    const SECRET: &str = "It's a Secret to Everybody";

    fn settings(more: &str) -> Settings {
        Settings::from_json(&format!(r#"{{"secret": ["new", "{SECRET}"]{more}}}"#)).unwrap()
    }

    fn opened() -> Value {
        json!({
            "action": "opened",
            "pull_request": {"number": 7, "title": "Faster checkout", "state": "open", "html_url": "https://github.com/octo/shop/pull/7"},
            "repository": {"full_name": "octo/shop", "keys_url": "https://…"},
            "sender": {"login": "mona", "id": 1},
        })
    }

    fn sent(name: &str, body: String) -> Delivery {
        delivery(body)
            .with_header("X-GitHub-Event", name)
            .with_header("X-GitHub-Delivery", "72d3162e")
    }

    #[test]
    fn keeps_what_an_event_is_about() {
        let host = Host::install();
        let delivery = host.signed(
            sent("pull_request", opened().to_string()),
            Scheme::Github,
            SECRET,
        );
        let event = receive(&delivery, &settings("")).unwrap().unwrap();
        assert_eq!(
            (event.kind.as_str(), event.id.as_deref()),
            ("pull_request.opened", Some("72d3162e"))
        );
        assert_eq!(
            event.summary,
            "octo/shop: pull_request opened, #7 Faster checkout open, by mona"
        );
        assert_eq!(
            event.payload,
            json!({
                "action": "opened", "repository": "octo/shop", "sender": "mona", "number": 7,
                "title": "Faster checkout", "state": "open", "html_url": "https://github.com/octo/shop/pull/7",
            })
        );
        let event = receive(&delivery, &settings(r#", "payload": "full""#))
            .unwrap()
            .unwrap();
        assert_eq!(event.payload, opened());
    }

    #[test]
    fn takes_forms_as_well() {
        let host = Host::install();
        let body = "payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%2C%22repository%22%3A%7B%22full_name%22%3A%22octo%2Fshop%22%7D%7D";
        let delivery = sent("push", body.to_owned())
            .with_header("content-type", "application/x-www-form-urlencoded");
        let event = receive(
            &host.signed(delivery, Scheme::Github, SECRET),
            &settings(""),
        )
        .unwrap()
        .unwrap();
        assert_eq!(event.summary, "octo/shop: push, refs/heads/main");
    }

    #[test]
    fn a_byte_order_mark_is_part_of_what_is_signed_and_not_of_the_json() {
        let host = Host::install();
        let body = format!("\u{feff}{}", opened());
        let delivery = host.signed(sent("pull_request", body), Scheme::Github, SECRET);
        assert_eq!(
            receive(&delivery, &settings("")).unwrap().unwrap().kind,
            "pull_request.opened"
        );
    }

    #[test]
    fn keeps_only_what_was_asked_for() {
        let host = Host::install();
        for (name, more, is_kept) in [
            ("ping", "", false),
            ("ping", r#", "events": ["ping"]"#, true),
            (
                "pull_request",
                r#", "events": ["release", "issues"]"#,
                false,
            ),
            ("release", r#", "events": ["release", "issues"]"#, true),
        ] {
            let delivery = host.signed(sent(name, "{}".to_owned()), Scheme::Github, SECRET);
            assert_eq!(
                receive(&delivery, &settings(more)).unwrap().is_some(),
                is_kept,
                "{name} {more}"
            );
        }
    }

    #[test]
    fn nothing_is_read_before_the_signature_is_right() {
        let host = Host::install();
        for delivery in [
            sent("ping", "{}".to_owned()),
            host.signed(sent("ping", "{}".to_owned()), Scheme::Github, "other"),
            host.signed(delivery("no json"), Scheme::Github, "other"),
        ] {
            assert!(matches!(
                receive(&delivery, &settings("")),
                Err(Reject::Unauthenticated(_))
            ));
        }
        let signed = host.signed(sent("push", "no json".to_owned()), Scheme::Github, SECRET);
        assert!(matches!(
            receive(&signed, &settings("")),
            Err(Reject::Malformed(_))
        ));
    }
}
