//! A message with an Adaptive Card: <https://adaptivecards.io/explorer/AdaptiveCard.html>

use extrack_plugin::json::{Value, json};
use extrack_plugin::notifier::{Alert, Notification, NotificationStatus, shorten};
use extrack_plugin::time::{format, rfc3339};

/// A message may have 28 KB.
const MOST_ALERTS: usize = 15;
const MOST_SUMMARY_CHARACTERS: usize = 500;
/// Of the operator's own words; escaped they may be twice as long.
const MOST_TEXT_CHARACTERS: usize = 5_000;

pub(crate) fn message(notification: &Notification) -> Value {
    let mut body = vec![json!({
        "type": "TextBlock", "size": "Large", "weight": "Bolder", "wrap": true,
        "color": color(notification.status, notification.severity()),
        "text": plain(&shorten(&notification.title(), 300)),
    })];
    let own = notification.text();
    if let Some(text) = own {
        body.push(json!({"type": "TextBlock", "wrap": true, "text": plain(&shorten(text, MOST_TEXT_CHARACTERS))}));
    }
    for alert in notification.alerts.iter().take(if own.is_some() { 0 } else { MOST_ALERTS }) {
        if notification.alerts.len() > 1 {
            body.push(json!({
                "type": "TextBlock", "weight": "Bolder", "wrap": true, "spacing": "Large",
                "color": color(alert.status, &alert.severity),
                "text": plain(&shorten(&format!("{}: {}", alert.service_name, alert.name), 200)),
            }));
        }
        body.push(json!({"type": "TextBlock", "wrap": true, "text": plain(&shorten(&alert.summary, MOST_SUMMARY_CHARACTERS))}));
        body.push(json!({"type": "FactSet", "facts": facts(alert)}));
    }
    if own.is_none() && notification.beyond(MOST_ALERTS) > 0 {
        let more = format!("and {} more", notification.beyond(MOST_ALERTS));
        body.push(json!({"type": "TextBlock", "isSubtle": true, "text": more}));
    }
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    });
    if !notification.external_url.is_empty() {
        card["actions"] =
            json!([{"type": "Action.OpenUrl", "title": "Open External Tracking", "url": notification.external_url}]);
    }
    json!({
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card}],
    })
}

fn facts(alert: &Alert) -> Value {
    let mut facts = vec![
        ("Status", alert.status.as_str().to_owned()),
        ("Severity", alert.severity.clone()),
        ("Since", rfc3339(alert.started_ms)[..19].replace('T', " ")),
    ];
    facts.extend(alert.lasted().map(|lasted| ("Lasted", format(lasted))));
    facts.into_iter().map(|(title, value)| json!({"title": title, "value": plain(&value)})).collect()
}

fn color(status: NotificationStatus, severity: &str) -> &'static str {
    match (status, severity) {
        (NotificationStatus::Resolved, _) => "Good",
        (NotificationStatus::Firing, "warning" | "info") => "Warning",
        (NotificationStatus::Firing, _) => "Attention",
    }
}

/// Text blocks read some Markdown: what comes from a service is shown as it is.
fn plain(text: &str) -> String {
    text.chars().flat_map(|c| if "*_[]()#`\\".contains(c) { vec!['\\', c] } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{notification, resolved, with_attribute};

    use super::*;

    fn card(notification: &Notification) -> Value {
        message(notification)["attachments"][0]["content"].clone()
    }

    #[test]
    fn shows_what_happened() {
        let card = card(&notification(1));
        assert_eq!(card["type"], "AdaptiveCard");
        assert_eq!(card["body"][0]["text"], "\\[FIRING\\] Shop & <API>: Service Down");
        assert_eq!(card["body"][0]["color"], "Attention");
        assert_eq!(card["body"][1]["text"], "latency is 900 ms > 800 ms");
        assert_eq!(card["body"][2]["facts"][2], json!({"title": "Since", "value": "2026-01-01 00:00:00"}));
    }

    #[test]
    fn a_resolved_alert_is_good_and_says_how_long_it_lasted() {
        let card = card(&resolved(1));
        assert_eq!(card["body"][0]["color"], "Good");
        assert_eq!(card["body"][2]["facts"][3], json!({"title": "Lasted", "value": "2m"}));
    }

    #[test]
    fn the_operators_own_words_take_the_place_of_the_facts() {
        let card = card(&with_attribute(with_attribute(notification(2), "title", "Shop"), "text", "is *down*"));
        let texts: Vec<&Value> = card["body"].as_array().unwrap().iter().map(|block| &block["text"]).collect();
        assert_eq!(texts, ["Shop", "is \\*down\\*"]);
    }

    #[test]
    fn stays_inside_the_limit() {
        let mut long = notification(40);
        long.alerts.iter_mut().for_each(|alert| alert.summary = "x".repeat(9_000));
        assert!(message(&long).to_string().len() < 28_000, "{}", message(&long).to_string().len());
    }
}
