//! A message for the tests of notifiers.

use crate::notifier::{Alert, Notification, NotificationStatus};

/// A firing message with so many equal alerts: `Service Down` of `Shop & <API>`, critical, since
/// 2026-01-01T00:00:00Z.
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
        attributes: Vec::new(),
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

/// A message that is as large and as awkward as one can be: many services, and names and texts of
/// emoji, accents, quotation marks, markup and mentions of every service, control characters and
/// line breaks, a thousand characters each.
pub fn awkward(alerts: usize) -> Notification {
    const PIECES: [&str; 8] = [
        "👩\u{200d}🚒 🚀",
        "e\u{301}a\u{308}\u{20dd}",
        "\"'`\\",
        "<b>&amp;</b>",
        "*_~[x](http://evil.example)|>#",
        "@everyone @here <!channel> <@U1> <@&1>",
        "\u{0}\u{1b}[31m\u{202e}\u{7f}",
        "a\r\nBcc: b@example.com\n\n.\r\n",
    ];
    let text = |seed: usize| {
        let pieces = (0..).map(|index| PIECES[(seed + index) % PIECES.len()]);
        pieces.flat_map(str::chars).take(1_000).collect::<String>()
    };
    let mut notification = notification(alerts);
    for (index, alert) in notification.alerts.iter_mut().enumerate() {
        alert.id = index.to_string();
        alert.service = format!("service-{index}");
        (alert.name, alert.service_name, alert.summary) =
            (text(index), text(index + 1), text(index + 2));
        alert.labels = vec![
            ("alertname".to_owned(), alert.name.clone()),
            ("service".to_owned(), alert.service.clone()),
            ("severity".to_owned(), alert.severity.clone()),
            ("team".to_owned(), text(index + 3)),
        ];
        alert.annotations = vec![("runbook".to_owned(), text(index + 4))];
    }
    notification.group_key = format!("{{}}/{{service=~{:?}}}:{{}}", text(0));
    notification.external_url = "https://extrack.example.com/?a=1&b=2".to_owned();
    notification
}

/// Notes that so many alerts of the group were left out, as the host does.
pub fn with_omitted(mut notification: Notification, alerts: i64) -> Notification {
    let value = crate::value::Value::Integer(alerts);
    notification.attributes.push(crate::value::Entry {
        key: "omitted-alerts".to_owned(),
        value,
    });
    notification
}

/// The message with a text among its attributes, as the host adds `title`, `text`, `html` and
/// `reference`.
pub fn with_attribute(mut notification: Notification, key: &str, text: &str) -> Notification {
    let value = crate::value::Value::Text(text.to_owned());
    notification.attributes.push(crate::value::Entry {
        key: key.to_owned(),
        value,
    });
    notification
}
