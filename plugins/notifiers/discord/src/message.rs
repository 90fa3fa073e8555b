//! Discord's JSON: <https://discord.com/developers/docs/resources/webhook#execute-webhook>

use extrack_plugin::json::{Value, json};
use extrack_plugin::notifier::{Alert, Notification, NotificationStatus, shorten};
use extrack_plugin::time::{format, rfc3339};

const MOST_EMBEDS: usize = 10;
const MOST_CONTENT_CHARACTERS: usize = 2_000;
const MOST_TITLE_CHARACTERS: usize = 256;
/// All embeds of a message together may have 6,000 characters.
const MOST_SUMMARY_CHARACTERS: usize = 300;
/// Of one embed's description.
const MOST_TEXT_CHARACTERS: usize = 4_096;

const RED: u32 = 0xd9_2d_20;
const AMBER: u32 = 0xdc_68_03;
const GREEN: u32 = 0x07_94_55;

pub(crate) fn message(notification: &Notification, mention: Option<&str>, username: Option<&str>) -> Value {
    let mention = mention.filter(|_| notification.status == NotificationStatus::Firing);
    let mut content = match mention {
        Some(mention) => format!("{mention} {}", notification.title()),
        None => notification.title(),
    };
    if notification.text().is_none() && notification.beyond(MOST_EMBEDS) > 0 {
        content.push_str(&format!(" (and {} more)", notification.beyond(MOST_EMBEDS)));
    }
    let mut message = json!({
        "content": shorten(&content, MOST_CONTENT_CHARACTERS),
        "embeds": embeds(notification),
        // Only the operator's mention calls people, never a text that came from a service.
        "allowed_mentions": {"parse": if mention.is_some() { json!(["everyone", "roles", "users"]) } else { json!([]) }},
    });
    if let Some(username) = username {
        message["username"] = username.into();
    }
    message
}

/// One for each alert, or one with the operator's own words.
fn embeds(notification: &Notification) -> Vec<Value> {
    if let (Some(text), Some(worst)) = (notification.text(), notification.alerts.first()) {
        return vec![json!({"description": shorten(&defused(text), MOST_TEXT_CHARACTERS), "color": color(worst)})];
    }
    notification.alerts.iter().take(MOST_EMBEDS).map(|alert| embed(alert, notification)).collect()
}

fn embed(alert: &Alert, notification: &Notification) -> Value {
    let mut fields = vec![field("Severity", &alert.severity), field("Status", alert.status.as_str())];
    if let Some(lasted) = alert.lasted() {
        fields.push(field("Lasted", &format(lasted)));
    }
    let mut embed = json!({
        "title": shorten(&format!("{}: {}", alert.service_name, alert.name), MOST_TITLE_CHARACTERS),
        "description": shorten(&defused(&alert.summary), MOST_SUMMARY_CHARACTERS),
        "color": color(alert),
        "timestamp": rfc3339(alert.ended_ms.unwrap_or(alert.started_ms)),
        "fields": fields,
    });
    if !notification.external_url.is_empty() {
        embed["url"] = notification.external_url.as_str().into();
    }
    embed
}

fn field(name: &str, value: &str) -> Value {
    json!({"name": name, "value": if value.is_empty() { "-" } else { value }, "inline": true})
}

fn color(alert: &Alert) -> u32 {
    match (alert.status, alert.severity.as_str()) {
        (NotificationStatus::Resolved, _) => GREEN,
        (NotificationStatus::Firing, "warning" | "info") => AMBER,
        (NotificationStatus::Firing, _) => RED,
    }
}

/// A service's error text must not be able to draw Discord's markup.
fn defused(text: &str) -> String {
    text.chars().flat_map(|c| if "*_`~|>[]()#".contains(c) { vec!['\\', c] } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{notification, resolved, with_attribute};

    use super::*;

    #[test]
    fn shows_each_alert_in_its_colour() {
        let body = message(&notification(1), None, Some("extrack"));
        assert_eq!(body["content"], "[FIRING] Shop & <API>: Service Down");
        assert_eq!(body["username"], "extrack");
        assert_eq!(body["embeds"][0]["title"], "Shop & <API>: Service Down");
        assert_eq!(body["embeds"][0]["description"], "latency is 900 ms \\> 800 ms");
        assert_eq!(body["embeds"][0]["color"], RED);
        assert_eq!(message(&resolved(1), None, None)["embeds"][0]["color"], GREEN);
    }

    #[test]
    fn only_the_operators_mention_calls_people() {
        assert_eq!(message(&notification(1), None, None)["allowed_mentions"]["parse"], json!([]));
        let body = message(&notification(1), Some("@here"), None);
        assert!(body["content"].as_str().unwrap().starts_with("@here [FIRING]"));
        assert_ne!(body["allowed_mentions"]["parse"], json!([]));
        assert_eq!(message(&resolved(1), Some("@here"), None)["allowed_mentions"]["parse"], json!([]));
    }

    #[test]
    fn the_operators_own_words_are_plain_text() {
        let own = with_attribute(with_attribute(notification(12), "title", "Shop"), "text", "is *down*");
        let body = message(&own, None, None);
        assert_eq!(body["content"], "Shop");
        assert_eq!(body["embeds"], json!([{"description": "is \\*down\\*", "color": RED}]));
    }

    #[test]
    fn stays_inside_the_limits() {
        let mut long = notification(30);
        long.alerts.iter_mut().for_each(|alert| alert.summary = "x".repeat(9_000));
        let body = message(&long, None, None);
        let embeds = body["embeds"].as_array().unwrap();
        assert_eq!(embeds.len(), 10);
        let characters: usize = embeds.iter().map(|embed| embed.to_string().chars().count()).sum();
        assert!(characters < 6_000, "{characters}");
        assert!(body["content"].as_str().unwrap().ends_with("(and 20 more)"));
    }
}
