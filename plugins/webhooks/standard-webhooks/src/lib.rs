//! The webhook `standard-webhooks`: <https://www.standardwebhooks.com>. One envelope, many senders.

use extrack_plugin::json::Value;
use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// The signing secret, `whsec_…`; a list while it is rotated.
    secret: Secrets,
    /// Types of events to keep; `user.*` means all that begin so. Empty: all.
    #[setting(default)]
    events: Vec<String>,
}

#[webhook]
fn receive(delivery: &Delivery, settings: &Settings) -> Result<Option<Event>, Reject> {
    delivery.verify(Scheme::StandardWebhooks, &settings.secret)?;
    let mut payload = delivery.json()?;
    // Senders from before the standard name it otherwise.
    let kind = ["type", "event", "eventType"]
        .into_iter()
        .find_map(|key| payload[key].as_str())
        .unwrap_or("event")
        .to_owned();
    let is_wanted = |wanted: &String| match wanted.strip_suffix('*') {
        Some(start) => kind.starts_with(start),
        None => kind == *wanted,
    };
    if !settings.events.is_empty() && !settings.events.iter().any(is_wanted) {
        return Ok(None);
    }
    let id = delivery
        .header("webhook-id")
        .or_else(|| delivery.header("svix-id"));
    let signed_at = delivery
        .header("webhook-timestamp")
        .or_else(|| delivery.header("svix-timestamp"));
    let happened = time::moment_of(&payload["timestamp"]);
    let signed = signed_at
        .and_then(|seconds| seconds.parse::<u64>().ok())
        .map(|seconds| seconds * 1_000);
    let about = payload["data"]["id"]
        .as_str()
        .map_or_else(|| kind.clone(), |id| format!("{kind}: {id}"));
    let mut event = Event::new(kind, about);
    event.id = id.map(str::to_owned);
    event.ts_ms = happened.or(signed);
    // The envelope is in the columns.
    let data = payload.get_mut("data").map(Value::take);
    Ok(Some(event.payload(data.unwrap_or(payload))))
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, delivery};
    use extrack_plugin::json::json;

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn settings(more: &str) -> Settings {
        Settings::from_json(&format!(r#"{{"secret": "{SECRET}"{more}}}"#)).unwrap()
    }

    fn created() -> Delivery {
        delivery(
            json!({"type": "user.created", "timestamp": "2026-01-01T00:00:01Z", "data": {"id": "u_1", "plan": "pro"}})
                .to_string(),
        )
    }

    #[test]
    fn the_envelope_says_what_and_when() {
        let host = Host::install();
        let event = receive(
            &host.signed(created(), Scheme::StandardWebhooks, SECRET),
            &settings(""),
        )
        .unwrap()
        .unwrap();
        assert_eq!(
            (event.kind.as_str(), event.summary.as_str()),
            ("user.created", "user.created: u_1")
        );
        assert_eq!(
            (event.id.as_deref(), event.ts_ms),
            (Some("msg_1"), Some(1_767_225_601_000))
        );
        assert_eq!(event.payload, json!({"id": "u_1", "plan": "pro"}));
    }

    #[test]
    fn a_bare_payload_is_kept_whole_at_the_time_of_its_signature() {
        let host = Host::install();
        let bare = host.signed(delivery(r#"{"test": 1}"#), Scheme::StandardWebhooks, SECRET);
        let event = receive(&bare, &settings("")).unwrap().unwrap();
        assert_eq!(
            (event.kind.as_str(), event.ts_ms),
            ("event", Some(host.now_ms() / 1_000 * 1_000))
        );
        assert_eq!(event.payload, json!({"test": 1}));
    }

    #[test]
    fn only_what_was_asked_for_and_only_from_the_sender() {
        let host = Host::install();
        let delivery = host.signed(created(), Scheme::StandardWebhooks, SECRET);
        assert!(
            receive(&delivery, &settings(r#", "events": ["user.*"]"#))
                .unwrap()
                .is_some()
        );
        assert!(
            receive(&delivery, &settings(r#", "events": ["user"]"#))
                .unwrap()
                .is_none()
        );
        let forged = host.signed(created(), Scheme::StandardWebhooks, "whsec_b3RoZXI=");
        assert!(matches!(
            receive(&forged, &settings("")),
            Err(Reject::Unauthenticated(_))
        ));
    }
}
