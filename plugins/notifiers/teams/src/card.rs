//! A message with an Adaptive Card: <https://adaptivecards.io/explorer/AdaptiveCard.html>

use extrack_plugin::json::{Value, json};
use extrack_plugin::notifier::{
    Alert, Notification, NotificationStatus, length, one_line, printable, shorten_escaped,
};
use extrack_plugin::time::{format, rfc3339};

/// Teams takes 28 KB, counted in UTF-16: so many code units of JSON, with some room for what the
/// workflow adds.
const MOST_IN_ALL: usize = 13_000;
const MOST_ALERTS: usize = 15;
const MOST_TITLE: usize = 300;
const MOST_NAME: usize = 100;
const MOST_SUMMARY: usize = 500;
/// Most characters of the operator's own text.
const MOST_TEXT: usize = 5_000;

pub(crate) fn message(notification: &Notification) -> Value {
    let mut body = vec![json!({
        "type": "TextBlock", "size": "Large", "weight": "Bolder", "wrap": true,
        "color": color(notification.status, notification.severity()),
        "text": plain(&one_line(&notification.title()), MOST_TITLE),
    })];
    let own = notification.text();
    if let Some(text) = own {
        body.push(
            json!({"type": "TextBlock", "wrap": true, "text": plain(&printable(text), MOST_TEXT)}),
        );
    }
    let mut left =
        MOST_IN_ALL - MOST_TITLE - length(&notification.external_url).min(MOST_IN_ALL / 2);
    let mut shown = 0;
    for alert in notification
        .alerts
        .iter()
        .take(if own.is_some() { 0 } else { MOST_ALERTS })
    {
        let blocks = blocks(alert, notification.alerts.len() > 1);
        let Some(rest) = left.checked_sub(
            blocks
                .iter()
                .map(|block| length(&block.to_string()) + 1)
                .sum(),
        ) else {
            break;
        };
        left = rest;
        shown += 1;
        body.extend(blocks);
    }
    if own.is_none() && notification.beyond(shown) > 0 {
        let more = format!("… and {} more", notification.beyond(shown));
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
        card["actions"] = json!([{"type": "Action.OpenUrl", "title": "Open External Tracking", "url": notification.external_url}]);
    }
    json!({
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card}],
    })
}

fn blocks(alert: &Alert, is_one_of_many: bool) -> Vec<Value> {
    let mut blocks = Vec::new();
    if is_one_of_many {
        let name = |text: &str| plain(&one_line(text), MOST_NAME);
        blocks.push(json!({
            "type": "TextBlock", "weight": "Bolder", "wrap": true, "spacing": "Large",
            "color": color(alert.status, &alert.severity),
            "text": format!("{}: {}", name(&alert.service_name), name(&alert.name)),
        }));
    }
    let summary = plain(&printable(&alert.summary), MOST_SUMMARY);
    blocks.push(json!({"type": "TextBlock", "wrap": true, "text": summary}));
    blocks.push(json!({"type": "FactSet", "facts": facts(alert)}));
    blocks
}

fn facts(alert: &Alert) -> Value {
    let mut facts = vec![
        ("Status", alert.status.as_str().to_owned()),
        ("Severity", alert.severity.clone()),
        ("Since", rfc3339(alert.started_ms)[..19].replace('T', " ")),
    ];
    facts.extend(alert.lasted().map(|lasted| ("Lasted", format(lasted))));
    facts
        .into_iter()
        .map(|(title, value)| json!({"title": title, "value": plain(&one_line(&value), MOST_NAME)}))
        .collect()
}

fn color(status: NotificationStatus, severity: &str) -> &'static str {
    match (status, severity) {
        (NotificationStatus::Resolved, _) => "Good",
        (NotificationStatus::Firing, "warning" | "info") => "Warning",
        (NotificationStatus::Firing, _) => "Attention",
    }
}

/// Text blocks read some Markdown: what comes from a service is shown as it is.
fn plain(text: &str, most: usize) -> String {
    shorten_escaped(text, most, |c, out| {
        if "*_[]()#`\\~".contains(c) {
            out.push('\\');
        }
        out.push(c);
    })
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{awkward, notification, resolved, with_attribute};

    use super::*;

    fn card(notification: &Notification) -> Value {
        message(notification)["attachments"][0]["content"].clone()
    }

    #[test]
    fn shows_what_happened() {
        let card = card(&notification(1));
        assert_eq!(card["type"], "AdaptiveCard");
        assert_eq!(
            card["body"][0]["text"],
            "\\[FIRING\\] Shop & <API>: Service Down"
        );
        assert_eq!(card["body"][0]["color"], "Attention");
        assert_eq!(card["body"][1]["text"], "latency is 900 ms > 800 ms");
        assert_eq!(
            card["body"][2]["facts"][2],
            json!({"title": "Since", "value": "2026-01-01 00:00:00"})
        );
    }

    #[test]
    fn a_resolved_alert_is_good_and_says_how_long_it_lasted() {
        let card = card(&resolved(1));
        assert_eq!(card["body"][0]["color"], "Good");
        assert_eq!(
            card["body"][2]["facts"][3],
            json!({"title": "Lasted", "value": "2m"})
        );
    }

    #[test]
    fn the_operators_own_words_take_the_place_of_the_facts() {
        let card = card(&with_attribute(
            with_attribute(notification(2), "title", "Shop"),
            "text",
            "is *down*",
        ));
        let texts: Vec<&Value> = card["body"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| &block["text"])
            .collect();
        assert_eq!(texts, ["Shop", "is \\*down\\*"]);
    }

    #[test]
    fn five_hundred_awkward_alerts_stay_inside_28_kb_in_either_encoding() {
        for message in [
            message(&awkward(500)),
            message(&with_attribute(awkward(500), "text", &"\"🚀".repeat(9_000))),
        ] {
            let text = message.to_string();
            assert!(
                text.len() <= 28_000 && 2 * length(&text) <= 28_000,
                "{} {}",
                text.len(),
                length(&text)
            );
            assert!(!text.contains("\\u001b") && !text.contains("\\u0000"));
        }
        let card = card(&awkward(500));
        let body = card["body"].as_array().unwrap();
        let shown = body
            .iter()
            .filter(|block| block["type"] == "FactSet")
            .count();
        assert!(shown >= 5, "{shown}");
        assert_eq!(
            body[body.len() - 1]["text"],
            format!("… and {} more", 500 - shown)
        );
    }
}
