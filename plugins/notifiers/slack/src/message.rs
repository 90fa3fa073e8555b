//! Slack's JSON: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/>

use extrack_plugin::json::{Value, json};
use extrack_plugin::notifier::{Alert, Notification, NotificationStatus};
use extrack_plugin::time::{format, rfc3339};

/// Slack takes 50 blocks of 3,000 characters; a message that long is not read anyway.
const MOST_ALERTS: usize = 10;
const MOST_SUMMARY_CHARACTERS: usize = 1_500;

pub(crate) fn message(notification: &Notification, mention: Option<&str>) -> Value {
    let mut blocks: Vec<Value> = Vec::new();
    for alert in notification.alerts.iter().take(MOST_ALERTS) {
        blocks.push(json!({"type": "section", "text": {"type": "mrkdwn", "text": section(alert)}}));
        blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": context(alert)}]}));
    }
    let mut footer = Vec::new();
    if notification.alerts.len() > MOST_ALERTS {
        footer.push(format!("and {} more", notification.alerts.len() - MOST_ALERTS));
    }
    if !notification.external_url.is_empty() {
        footer.push(format!("<{}|open External Tracking>", notification.external_url));
    }
    if !footer.is_empty() {
        blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": footer.join(" · ")}]}));
    }
    let mention = mention.filter(|_| notification.status == NotificationStatus::Firing);
    if let Some(mention) = mention {
        blocks.insert(0, json!({"type": "section", "text": {"type": "mrkdwn", "text": mention}}));
    }
    json!({"text": fallback(notification, mention), "blocks": blocks})
}

fn section(alert: &Alert) -> String {
    let icon = match alert.status {
        NotificationStatus::Firing => ":red_circle:",
        NotificationStatus::Resolved => ":large_green_circle:",
    };
    format!("{icon} *{}* · {}\n{}", escape(&alert.name), escape(&alert.service_name), escape(&shorten(&alert.summary)))
}

fn context(alert: &Alert) -> String {
    let mut parts = vec![
        format!("*{}*", alert.status.as_str()),
        escape(&alert.severity),
        format!("since {}", &rfc3339(alert.started_ms)[..19].replace('T', " ")),
    ];
    if let Some(ended_ms) = alert.ended_ms {
        let seconds = ended_ms.saturating_sub(alert.started_ms) / 1_000;
        parts.push(format!("for {}", format(std::time::Duration::from_secs(seconds))));
    }
    parts.join(" · ")
}

/// What a phone shows on its lock screen.
fn fallback(notification: &Notification, mention: Option<&str>) -> String {
    let status = notification.status.as_str().to_uppercase();
    let mut text = match notification.alerts.as_slice() {
        [alert] => format!("[{status}] {}: {}", escape(&alert.service_name), escape(&alert.name)),
        alerts => format!("[{status}] {} alerts", alerts.len()),
    };
    if let Some(mention) = mention {
        text = format!("{mention} {text}");
    }
    text
}

/// The three characters that mean something to Slack.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MOST_SUMMARY_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn notification(alerts: usize) -> Notification {
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

    #[test]
    fn shows_what_happened_and_escapes_it() {
        assert_eq!(
            message(&notification(1), None),
            json!({
                "text": "[FIRING] Shop &amp; &lt;API&gt;: Service Down",
                "blocks": [
                    {"type": "section", "text": {"type": "mrkdwn",
                        "text": ":red_circle: *Service Down* · Shop &amp; &lt;API&gt;\nlatency is 900 ms &gt; 800 ms"}},
                    {"type": "context", "elements": [{"type": "mrkdwn", "text": "*firing* · critical · since 2026-01-01 00:00:00"}]},
                ],
            })
        );
    }

    #[test]
    fn a_resolved_alert_says_how_long_it_lasted() {
        let mut resolved = notification(1);
        resolved.status = NotificationStatus::Resolved;
        resolved.alerts[0].status = NotificationStatus::Resolved;
        resolved.alerts[0].ended_ms = Some(1_767_225_600_000 + 120_000);
        let body = message(&resolved, Some("<!channel>"));
        assert_eq!(body["text"], "[RESOLVED] Shop &amp; &lt;API&gt;: Service Down");
        assert_eq!(
            body["blocks"][1]["elements"][0]["text"],
            "*resolved* · critical · since 2026-01-01 00:00:00 · for 2m"
        );
    }

    #[test]
    fn mentions_people_when_it_fires() {
        let body = message(&notification(1), Some("<!channel>"));
        assert_eq!(body["blocks"][0]["text"]["text"], "<!channel>");
        assert!(body["text"].as_str().unwrap().starts_with("<!channel> [FIRING]"));
    }

    #[test]
    fn a_long_message_is_cut() {
        let mut long = notification(30);
        long.alerts[0].summary = "x".repeat(10_000);
        let body = message(&long, None);
        assert_eq!(body["blocks"].as_array().unwrap().len(), 21);
        assert_eq!(body["blocks"][20]["elements"][0]["text"], "and 20 more");
        assert!(body["blocks"][0]["text"]["text"].as_str().unwrap().len() < 3_000);
    }
}
