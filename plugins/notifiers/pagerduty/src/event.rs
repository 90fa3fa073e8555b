//! Events API v2: <https://developer.pagerduty.com/docs/events-api-v2/trigger-events/>

use extrack_plugin::json::{Value, json};
use extrack_plugin::notifier::{Alert, Notification, NotificationStatus, shorten};
use extrack_plugin::time::rfc3339;

const MOST_SUMMARY_CHARACTERS: usize = 1_024;
const MOST_KEY_CHARACTERS: usize = 255;
/// An event may have 512 KB; what is beyond these nobody reads in an incident.
const MOST_ALERTS: usize = 50;

pub(crate) fn event(notification: &Notification, routing_key: &str) -> Value {
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": match notification.status {
            NotificationStatus::Firing => "trigger",
            NotificationStatus::Resolved => "resolve",
        },
        "dedup_key": shorten(&dedup_key(notification), MOST_KEY_CHARACTERS),
        "client": "External Tracking",
        "payload": {
            "summary": shorten(&summary(notification), MOST_SUMMARY_CHARACTERS),
            "source": source(notification),
            "severity": severity(notification.severity()),
            "group": notification.receiver,
            "custom_details": details(notification),
        },
    });
    if let Some(first_ms) = notification.alerts.iter().map(|alert| alert.started_ms).min() {
        event["payload"]["timestamp"] = rfc3339(first_ms).into();
    }
    if !notification.external_url.is_empty() {
        event["client_url"] = notification.external_url.as_str().into();
    }
    event
}

/// The group's key: the same while alerts come and go, so that the end of the last one closes what the first one opened.
fn dedup_key(notification: &Notification) -> String {
    format!("extrack/{}", notification.group_key)
}

fn summary(notification: &Notification) -> String {
    if let Some(title) = notification.attribute("title") {
        return title.to_owned();
    }
    match notification.alerts.as_slice() {
        [alert] => format!("{}: {} ({})", alert.service_name, alert.name, alert.summary),
        _ => notification.title(),
    }
}

fn source(notification: &Notification) -> &str {
    notification.alerts.first().map_or("extrack", |alert| alert.service.as_str())
}

/// PagerDuty knows `critical`, `error`, `warning` and `info`.
fn severity(severity: &str) -> &str {
    match severity {
        "critical" | "warning" | "info" => severity,
        _ => "error",
    }
}

fn details(notification: &Notification) -> Value {
    let line = |alert: &Alert| {
        json!({
            "alert": alert.name,
            "service": alert.service,
            "severity": alert.severity,
            "status": alert.status.as_str(),
            "summary": shorten(&alert.summary, MOST_SUMMARY_CHARACTERS),
            "since": rfc3339(alert.started_ms),
            "labels": alert.labels.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        })
    };
    json!({
        "text": notification.text().map(|text| shorten(text, 10 * MOST_SUMMARY_CHARACTERS)),
        "alerts": notification.alerts.iter().take(MOST_ALERTS).map(line).collect::<Vec<_>>(),
        "omitted": notification.beyond(MOST_ALERTS),
    })
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::notification;

    use super::*;

    #[test]
    fn says_what_happened_where_and_how_bad_it_is() {
        let event = event(&notification(1), "KEY");
        assert_eq!(event["payload"]["summary"], "Shop & <API>: Service Down (latency is 900 ms > 800 ms)");
        assert_eq!(event["payload"]["source"], "shop-api");
        assert_eq!(event["payload"]["severity"], "critical");
        assert!(event["payload"]["timestamp"].as_str().unwrap().starts_with("2026-01-01T00:00:00"));
        assert_eq!(event["dedup_key"], "extrack/shop-api");
    }

    #[test]
    fn stays_inside_the_limits() {
        let mut long = notification(80);
        long.group_key = "g".repeat(400);
        long.alerts[0].summary = "x".repeat(10_000);
        let event = event(&long, "KEY");
        assert_eq!(event["dedup_key"].as_str().unwrap().chars().count(), 255);
        assert_eq!(event["payload"]["custom_details"]["alerts"].as_array().unwrap().len(), 50);
        assert_eq!(event["payload"]["custom_details"]["omitted"], 30);
    }

    #[test]
    fn an_unknown_severity_is_an_error() {
        let mut odd = notification(1);
        odd.alerts[0].severity = "page".to_owned();
        assert_eq!(event(&odd, "KEY")["payload"]["severity"], "error");
    }
}
