//! Takes in JSON that its sender has signed, and makes an event of it.

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Shared with the sender; a list while it is changed. Kept secret: the plugin never sees it, the host compares.
    secret: Secrets,
}

#[webhook(summary = "Takes in signed JSON")]
fn receive(delivery: &Delivery, settings: &Settings) -> Result<Event, Reject> {
    // First of all: until this succeeds, anyone may have sent the delivery.
    delivery.verify(Scheme::StandardWebhooks, &settings.secret)?;
    let body = delivery.json()?;
    let kind = body["type"].as_str().ok_or_else(|| Reject::malformed("there is no `type`"))?;
    let mut event = Event::new(kind, format!("{kind} of {}", delivery.service)).payload(body["data"].clone());
    // A repeated delivery has the same id, and is kept once.
    event.id = delivery.header("webhook-id").map(str::to_owned);
    // The service's report of its own health becomes its status.
    event.report = match kind {
        "outage.started" => Some(Report::unhealthy("the service reports that it is down")),
        "outage.ended" => Some(Report::healthy()),
        _ => None,
    };
    Ok(event)
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, delivery};

    use super::*;

    fn settings() -> Settings {
        Settings::from_json(include_str!("../tests/example.json")).unwrap()
    }

    #[test]
    fn a_signed_delivery_is_an_event() {
        let host = Host::install();
        let outage = delivery(r#"{"type": "outage.started", "data": {"region": "eu"}}"#);
        let event = receive(&host.signed(outage, Scheme::StandardWebhooks, "whsec_c2VjcmV0"), &settings()).unwrap();
        assert_eq!(event.kind, "outage.started");
        assert_eq!(event.report.unwrap().status, Status::Unhealthy);
    }

    #[test]
    fn a_stranger_is_turned_away() {
        let host = Host::install();
        let forged = host.signed(delivery("{}"), Scheme::StandardWebhooks, "whsec_b3RoZXI=");
        assert!(matches!(receive(&forged, &settings()), Err(Reject::Unauthenticated(_))));
    }
}
