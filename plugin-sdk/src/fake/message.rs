//! A message for the tests of notifiers.

use crate::notifier::{Alert, Notification, NotificationStatus};

/// A firing message with so many equal alerts: `Service Down` of `Shop & <API>`, critical, since 2026-01-01T00:00:00Z.
pub fn notification(alerts: usize) -> Notification {
    let alert = Alert {
        id: "7".to_owned(),
        name: "Service Down".to_owned(),
        service: "shop-api".to_owned(),
        service_name: "Shop & <API>".to_owned(),
        severity: "critical".to_owned(),
        status: NotificationStatus::Firing,
        summary: "latency is 900 ms > 800 ms".to_owned(),
        started_ms: 1_767_225_600_000,
        ended_ms: None,
        labels: Vec::new(),
        annotations: Vec::new(),
    };
    Notification {
        id: "n-1".to_owned(),
        status: NotificationStatus::Firing,
        group_key: "shop-api".to_owned(),
        group_labels: Vec::new(),
        receiver: "ops".to_owned(),
        external_url: String::new(),
        alerts: vec![alert; alerts],
        attempt: 1,
        attributes: Vec::new(),
    }
}

/// The same message when all is well again, two minutes later.
pub fn resolved(alerts: usize) -> Notification {
    let mut notification = notification(alerts);
    notification.status = NotificationStatus::Resolved;
    for alert in &mut notification.alerts {
        alert.status = NotificationStatus::Resolved;
        alert.ended_ms = Some(alert.started_ms + 120_000);
    }
    notification
}

/// The message with so many alerts of the group left out, as the host says it.
pub fn with_omitted(mut notification: Notification, alerts: i64) -> Notification {
    let value = crate::value::Value::Integer(alerts);
    notification.attributes.push(crate::value::Entry { key: "omitted-alerts".to_owned(), value });
    notification
}

/// The message with a text among its attributes, as the host adds `title`, `text`, `html` and `reference`.
pub fn with_attribute(mut notification: Notification, key: &str, text: &str) -> Notification {
    let value = crate::value::Value::Text(text.to_owned());
    notification.attributes.push(crate::value::Entry { key: key.to_owned(), value });
    notification
}
