//! The notifier `pagerduty`: one incident for each group of alerts, by its deduplication key.

mod event;

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Integration key of an integration of type Events API v2.
    routing_key: Secret,
    /// Where events go; `https://events.eu.pagerduty.com/v2/enqueue` in the EU.
    #[setting(host, url, default = "https://events.pagerduty.com/v2/enqueue")]
    url: String,
}

#[notifier]
fn notify(notification: &Notification, settings: &Settings) -> Result<Receipt, NotifyError> {
    let event = event::event(notification);
    let response = http::post(&settings.url)
        .json_with(&event, &[("/routing_key", &settings.routing_key)])
        .send()?;
    let key = event["dedup_key"].as_str().unwrap_or_default();
    Ok(Receipt::from_response(&response)?.reference(key))
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, notification, resolved, response};

    use super::*;

    const ENQUEUE: &str = "POST https://events.pagerduty.com/v2/enqueue";

    fn settings() -> Settings {
        Settings::from_json(r#"{"routingKey": "R0UT1NG"}"#).unwrap()
    }

    #[test]
    fn triggers_and_resolves_under_one_key() {
        let host = Host::install();
        host.answer_http(
            ENQUEUE,
            response(202, r#"{"status":"success","dedup_key":"k"}"#),
        );
        let receipts: Vec<Receipt> = [notification(2), resolved(2)]
            .iter()
            .map(|message| notify(message, &settings()).expect("it was taken"))
            .collect();
        assert_eq!(receipts[0].reference, receipts[1].reference);
        let requests = host.http_requests();
        let body = |index: usize| -> json::Value {
            json::from_slice(requests[index].body.as_ref().expect("there is a body"))
                .expect("it is JSON")
        };
        assert_eq!(
            (&body(0)["event_action"], &body(1)["event_action"]),
            (&"trigger".into(), &"resolve".into())
        );
        assert_eq!(body(0)["dedup_key"], body(1)["dedup_key"]);
        assert_eq!(body(0)["routing_key"], "R0UT1NG");
    }

    #[test]
    fn a_wrong_key_is_permanent_and_a_limit_is_not() {
        let host = Host::install();
        host.answer_http(ENQUEUE, response(400, r#"{"status":"invalid event"}"#));
        host.answer_http(ENQUEUE, response(429, ""));
        assert!(matches!(
            notify(&notification(1), &settings()),
            Err(NotifyError::Permanent(_))
        ));
        assert!(matches!(
            notify(&notification(1), &settings()),
            Err(NotifyError::Retryable { .. })
        ));
    }
}
