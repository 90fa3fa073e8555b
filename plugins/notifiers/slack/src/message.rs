//! Slack's JSON: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/>

use extrack_plugin::json::{Value, json};
use extrack_plugin::notifier::{
    Alert, Notification, NotificationStatus, length, one_line, printable, shorten, shorten_escaped,
};
use extrack_plugin::time::{format, rfc3339};

/// Most characters of one section, after escaping.
const MOST_SECTION: usize = 3_000;
/// Most characters of all blocks together: Slack documents no such limit, and refuses with
/// `msg_blocks_too_long` from about 11,000 on.
const MOST_IN_ALL: usize = 10_000;
/// Slack takes 50 blocks, two for each alert; a message that long is not read anyway.
const MOST_ALERTS: usize = 10;
const MOST_NAME: usize = 150;
const MOST_SUMMARY: usize = 1_500;
/// Text that a phone shows on its lock screen.
const MOST_FALLBACK: usize = 1_000;

pub(crate) fn message(notification: &Notification, mention: Option<&str>) -> Value {
    let mention = mention.filter(|_| notification.status == NotificationStatus::Firing);
    let mention = mention.map(|mention| shorten(mention, MOST_FALLBACK));
    let mut blocks: Vec<Value> = mention.iter().map(|mention| section(mention)).collect();
    let mut shown = 0;
    if let Some(text) = notification.text() {
        let title = escaped(&one_line(&notification.title()), MOST_NAME);
        blocks.push(section(&format!(
            "*{title}*\n{}",
            escaped(&printable(text), MOST_SECTION - 2 * MOST_NAME)
        )));
    } else {
        let mut left = MOST_IN_ALL;
        for alert in notification.alerts.iter().take(MOST_ALERTS) {
            let (what, context) = (what(alert), context(alert));
            let Some(rest) = left.checked_sub(length(&what) + length(&context)) else {
                break;
            };
            left = rest;
            shown += 1;
            blocks.push(section(&what));
            blocks.push(small(&context));
        }
    }
    let mut footer = Vec::new();
    if notification.text().is_none() && notification.beyond(shown) > 0 {
        footer.push(format!("… and {} more", notification.beyond(shown)));
    }
    if !notification.external_url.is_empty() {
        footer.push(format!(
            "<{}|open External Tracking>",
            notification.external_url
        ));
    }
    if !footer.is_empty() {
        blocks.push(small(&footer.join(" · ")));
    }
    json!({"text": fallback(notification, mention.as_deref()), "blocks": blocks})
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
}

fn small(text: &str) -> Value {
    json!({"type": "context", "elements": [{"type": "mrkdwn", "text": text}]})
}

fn what(alert: &Alert) -> String {
    let icon = match alert.status {
        NotificationStatus::Firing => ":red_circle:",
        NotificationStatus::Resolved => ":large_green_circle:",
    };
    let name = |text: &str| escaped(&one_line(text), MOST_NAME);
    let summary = escaped(&printable(&alert.summary), MOST_SUMMARY);
    format!(
        "{icon} *{}* · {}\n{summary}",
        name(&alert.name),
        name(&alert.service_name)
    )
}

fn context(alert: &Alert) -> String {
    let mut parts = vec![
        format!("*{}*", alert.status.as_str()),
        escaped(&one_line(&alert.severity), MOST_NAME),
        format!(
            "since {}",
            &rfc3339(alert.started_ms)[..19].replace('T', " ")
        ),
    ];
    if let Some(lasted) = alert.lasted() {
        parts.push(format!("for {}", format(lasted)));
    }
    parts.join(" · ")
}

/// Text that a phone shows on its lock screen.
fn fallback(notification: &Notification, mention: Option<&str>) -> String {
    let text = escaped(&one_line(&notification.title()), MOST_FALLBACK);
    match mention {
        Some(mention) => format!("{mention} {text}"),
        None => text,
    }
}

/// Escapes the three characters that mean something to Slack, and the length of what that
/// makes.
fn escaped(text: &str, most: usize) -> String {
    shorten_escaped(text, most, |c, out| match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    })
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{awkward, notification, resolved, with_attribute};

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
        assert_eq!(
            body["text"],
            "[RESOLVED] Shop &amp; &lt;API&gt;: Service Down"
        );
        assert_eq!(
            body["blocks"][1]["elements"][0]["text"],
            "*resolved* · critical · since 2026-01-01 00:00:00 · for 2m"
        );
    }

    #[test]
    fn mentions_people_when_it_fires() {
        let body = message(&notification(1), Some("<!channel>"));
        assert_eq!(body["blocks"][0]["text"]["text"], "<!channel>");
        assert!(
            body["text"]
                .as_str()
                .unwrap()
                .starts_with("<!channel> [FIRING]")
        );
    }

    #[test]
    fn the_operators_own_words_take_the_place_of_the_blocks() {
        let own = with_attribute(
            with_attribute(notification(3), "title", "Shop is down"),
            "text",
            "call <Bob>",
        );
        let body = message(&own, None);
        assert_eq!(body["text"], "Shop is down");
        assert_eq!(
            body["blocks"],
            json!([{"type": "section", "text": {"type": "mrkdwn", "text": "*Shop is down*\ncall &lt;Bob&gt;"}}])
        );
    }

    #[test]
    fn five_hundred_awkward_alerts_stay_inside_the_limits() {
        let body = message(&awkward(500), Some("<!channel>"));
        let blocks = body["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 50);
        let text = |block: &Value| {
            block["text"]["text"]
                .as_str()
                .or(block["elements"][0]["text"].as_str())
                .unwrap_or_default()
                .to_owned()
        };
        assert!(
            blocks
                .iter()
                .all(|block| (1..=3_000).contains(&length(&text(block))))
        );
        assert!(
            blocks
                .iter()
                .map(|block| length(&text(block)))
                .sum::<usize>()
                <= 11_000
        );
        let shown = (blocks.len() - 2) / 2;
        assert!(shown >= 5, "{shown}");
        assert!(
            text(&blocks[blocks.len() - 1])
                .starts_with(&format!("… and {} more · <https://", 500 - shown))
        );
        assert!(length(body["text"].as_str().unwrap()) <= 3_000);
        // One mention, and it is the operator's.
        assert_eq!(
            body.to_string().matches("<!channel>").count(),
            2,
            "in the blocks and in the fallback"
        );
        assert!(!body.to_string().contains("<@U1>") && !body.to_string().contains("\\u001b"));
    }

    #[test]
    fn the_operators_own_words_fit_one_section_however_much_is_escaped() {
        let own = with_attribute(
            with_attribute(awkward(3), "title", &"<".repeat(3_000)),
            "text",
            &"&".repeat(9_000),
        );
        let body = message(&own, None);
        let text = body["blocks"][0]["text"]["text"].as_str().unwrap();
        assert!(
            length(text) <= 3_000 && text.ends_with("&amp;…"),
            "{}",
            length(text)
        );
    }
}
