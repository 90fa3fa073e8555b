//! Slack's JSON: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/>

use extrack_plugin::json::{Value, json};
use extrack_plugin::notifier::{Alert, Notification, NotificationStatus, shorten};
use extrack_plugin::time::{format, rfc3339};

/// Slack takes 50 blocks of 3,000 characters; a message that long is not read anyway.
const MOST_ALERTS: usize = 10;
const MOST_SUMMARY_CHARACTERS: usize = 1_500;

pub(crate) fn message(notification: &Notification, mention: Option<&str>) -> Value {
    let mut blocks: Vec<Value> = Vec::new();
    let own = notification.text();
    if let Some(text) = own {
        // Half of what a section takes, because escaping makes it longer.
        let text = format!("*{}*\n{}", escape(&notification.title()), escape(&shorten(text, MOST_SUMMARY_CHARACTERS)));
        blocks.push(json!({"type": "section", "text": {"type": "mrkdwn", "text": text}}));
    }
    for alert in notification.alerts.iter().take(if own.is_some() { 0 } else { MOST_ALERTS }) {
        blocks.push(json!({"type": "section", "text": {"type": "mrkdwn", "text": section(alert)}}));
        blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": context(alert)}]}));
    }
    let mut footer = Vec::new();
    if own.is_none() && notification.beyond(MOST_ALERTS) > 0 {
        footer.push(format!("and {} more", notification.beyond(MOST_ALERTS)));
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
    format!(
        "{icon} *{}* · {}\n{}",
        escape(&alert.name),
        escape(&alert.service_name),
        escape(&shorten(&alert.summary, MOST_SUMMARY_CHARACTERS))
    )
}

fn context(alert: &Alert) -> String {
    let mut parts = vec![
        format!("*{}*", alert.status.as_str()),
        escape(&alert.severity),
        format!("since {}", &rfc3339(alert.started_ms)[..19].replace('T', " ")),
    ];
    if let Some(lasted) = alert.lasted() {
        parts.push(format!("for {}", format(lasted)));
    }
    parts.join(" · ")
}

/// What a phone shows on its lock screen.
fn fallback(notification: &Notification, mention: Option<&str>) -> String {
    let text = escape(&notification.title());
    match mention {
        Some(mention) => format!("{mention} {text}"),
        None => text,
    }
}

/// The three characters that mean something to Slack.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{notification, resolved, with_attribute};

    use super::*;

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
        let body = message(&resolved(1), Some("<!channel>"));
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
    fn the_operators_own_words_take_the_place_of_the_blocks() {
        let own = with_attribute(with_attribute(notification(3), "title", "Shop is down"), "text", "call <Bob>");
        let body = message(&own, None);
        assert_eq!(body["text"], "Shop is down");
        assert_eq!(
            body["blocks"],
            json!([{"type": "section", "text": {"type": "mrkdwn", "text": "*Shop is down*\ncall &lt;Bob&gt;"}}])
        );
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
