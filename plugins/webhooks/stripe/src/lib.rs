//! The webhook `stripe`: <https://docs.stripe.com/webhooks>, snapshot events and thin ones.

use extrack_plugin::json::{Value, json};
use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// The endpoint's signing secret, `whsec_…`; a list while it is rolled.
    secret: Secrets,
    /// Types of events to keep; `invoice.*` means all that begin so. Empty: all.
    #[setting(default)]
    events: Vec<String>,
    /// Part of the event that is kept.
    #[setting(default = "short")]
    payload: Payload,
}

#[derive(PartialEq, Settings)]
enum Payload {
    /// The object's id, type, status, amount, and why it failed: nothing of the customer.
    Short,
    /// All of it.
    Full,
}

#[webhook]
fn receive(delivery: &Delivery, settings: &Settings) -> Result<Option<Event>, Reject> {
    delivery.verify(Scheme::Stripe, &settings.secret)?;
    let payload = delivery.json()?;
    let (Some(id), Some(kind)) = (payload["id"].as_str(), payload["type"].as_str()) else {
        return Err(Reject::malformed(
            "this is no event of Stripe's: it has no `id` and `type`",
        ));
    };
    if !settings.events.is_empty() && !settings.events.iter().any(|wanted| matches(wanted, kind)) {
        return Ok(None);
    }
    let short = short(&payload);
    let mut event = Event::new(kind, summary(kind, &short)).id(id);
    if let Some(ts_ms) = time::moment_of(&payload["created"]) {
        event = event.at_ms(ts_ms);
    }
    if let Some(live) = payload["livemode"].as_bool() {
        event = event.attribute("livemode", live);
    }
    if let Some(account) = payload["account"].as_str() {
        event = event.attribute("account", account);
    }
    Ok(Some(event.payload(if settings.payload == Payload::Full {
        payload
    } else {
        short
    })))
}

fn matches(wanted: &str, kind: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(start) => kind.starts_with(start),
        None => kind == wanted,
    }
}

fn short(payload: &Value) -> Value {
    let object = [&payload["data"]["object"], &payload["related_object"]]
        .into_iter()
        .find(|object| object.is_object());
    let object = object.unwrap_or(&Value::Null);
    let amount = [&object["amount"], &object["amount_due"]]
        .into_iter()
        .find(|amount| amount.is_number());
    let mut short = json!({
        "object": object["object"],
        "id": object["id"],
        "type": object["type"],
        "status": object["status"],
        "amount": amount,
        "currency": object["currency"],
        "failure_code": object["failure_code"],
        "reason": object["reason"],
        "request": payload["request"]["id"],
    });
    if let Value::Object(entries) = &mut short {
        entries.retain(|_, value| !value.is_null());
    }
    short
}

/// Such as `charge.failed: charge ch_1, failed, card_declined`.
fn summary(kind: &str, short: &Value) -> String {
    let text = |key: &str| short[key].as_str();
    let object: Vec<&str> = [text("object").or(text("type")), text("id")]
        .into_iter()
        .flatten()
        .collect();
    let details = [text("status"), text("failure_code"), text("reason")]
        .into_iter()
        .flatten();
    let parts: Vec<String> = Some(object.join(" "))
        .filter(|object| !object.is_empty())
        .into_iter()
        .chain(details.map(str::to_owned))
        .collect();
    if parts.is_empty() {
        kind.to_owned()
    } else {
        format!("{kind}: {}", parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, delivery};

    use super::*;

    const SECRET: &str = "whsec_test_secret";

    fn settings(more: &str) -> Settings {
        Settings::from_json(&format!(r#"{{"secret": "{SECRET}"{more}}}"#)).unwrap()
    }

    fn failed() -> Value {
        json!({
            "id": "evt_1", "object": "event", "type": "charge.failed", "created": 1_767_225_590, "livemode": false,
            "data": {"object": {"id": "ch_1", "object": "charge", "status": "failed", "amount": 1200, "currency": "eur",
                                "failure_code": "card_declined", "billing_details": {"email": "a@b.example"}}},
            "request": {"id": "req_1"},
        })
    }

    #[test]
    fn keeps_what_happened_and_not_to_whom() {
        let host = Host::install();
        let delivery = host.signed(delivery(failed().to_string()), Scheme::Stripe, SECRET);
        let event = receive(&delivery, &settings("")).unwrap().unwrap();
        assert_eq!(
            (event.kind.as_str(), event.id.as_deref()),
            ("charge.failed", Some("evt_1"))
        );
        assert_eq!(event.ts_ms, Some(1_767_225_590_000));
        assert_eq!(
            event.summary,
            "charge.failed: charge ch_1, failed, card_declined"
        );
        assert!(
            !event.payload.to_string().contains("a@b.example"),
            "{}",
            event.payload
        );
        let event = receive(&delivery, &settings(r#", "payload": "full""#))
            .unwrap()
            .unwrap();
        assert_eq!(event.payload, failed());
    }

    #[test]
    fn takes_thin_events() {
        let host = Host::install();
        let thin = json!({
            "id": "evt_test_65", "object": "v2.core.event", "type": "v1.billing.meter.error_report_triggered",
            "created": "2026-01-01T00:00:00.500Z",
            "related_object": {"id": "mtr_1", "type": "billing.meter"}, "reason": null,
        });
        let event = receive(
            &host.signed(delivery(thin.to_string()), Scheme::Stripe, SECRET),
            &settings(""),
        )
        .unwrap()
        .unwrap();
        assert_eq!(event.ts_ms, Some(1_767_225_600_500));
        assert_eq!(
            event.summary,
            "v1.billing.meter.error_report_triggered: billing.meter mtr_1"
        );
    }

    #[test]
    fn keeps_only_what_was_asked_for() {
        let host = Host::install();
        let delivery = host.signed(delivery(failed().to_string()), Scheme::Stripe, SECRET);
        for (events, is_kept) in [
            ("charge.*", true),
            ("charge.failed", true),
            ("charge", false),
            ("invoice.*", false),
        ] {
            let settings = settings(&format!(r#", "events": ["{events}"]"#));
            assert_eq!(
                receive(&delivery, &settings).unwrap().is_some(),
                is_kept,
                "{events}"
            );
        }
    }

    #[test]
    fn an_old_signature_and_a_stranger_are_turned_away() {
        let host = Host::install();
        let good = host.signed(delivery(failed().to_string()), Scheme::Stripe, SECRET);
        host.set_now_ms(host.now_ms() + 400_000);
        assert!(
            matches!(receive(&good, &settings("")), Err(Reject::Unauthenticated(text)) if text.contains("400 s"))
        );
        let forged = host.signed(
            delivery(failed().to_string()),
            Scheme::Stripe,
            "whsec_guess",
        );
        assert!(matches!(
            receive(&forged, &settings("")),
            Err(Reject::Unauthenticated(_))
        ));
        let other = host.signed(delivery("[1]"), Scheme::Stripe, SECRET);
        assert!(matches!(
            receive(&other, &settings("")),
            Err(Reject::Malformed(_))
        ));
    }
}
