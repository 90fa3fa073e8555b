//! Discord's JSON: <https://discord.com/developers/docs/resources/webhook#execute-webhook>

use extrack_plugin::json::{Value, json};
use extrack_plugin::notifier::{
    Alert, Notification, NotificationStatus, length, one_line, printable, shorten, shorten_escaped,
};
use extrack_plugin::time::{format, rfc3339};

const MOST_EMBEDS: usize = 10;
const MOST_CONTENT: usize = 2_000;
const MOST_TITLE: usize = 256;
/// Most characters of one embed's description.
const MOST_TEXT: usize = 4_096;
/// Most characters of titles, descriptions and fields of all embeds together.
const MOST_IN_ALL: usize = 6_000;

/// Most characters of each alert, so that ten have room.
const MOST_NAME: usize = 90;
const MOST_SUMMARY: usize = 300;
const MOST_FIELD: usize = 60;

const RED: u32 = 0xd9_2d_20;
const AMBER: u32 = 0xdc_68_03;
const GREEN: u32 = 0x07_94_55;

pub(crate) fn message(
    notification: &Notification,
    mention: Option<&str>,
    username: Option<&str>,
) -> Value {
    let mention = mention.filter(|_| notification.status == NotificationStatus::Firing);
    let embeds = embeds(notification);
    let mention_text = mention
        .map(|mention| format!("{} ", shorten(mention, MOST_CONTENT / 2)))
        .unwrap_or_default();
    let more = match (notification.text(), notification.beyond(embeds.len())) {
        (Some(_), _) | (None, 0) => String::new(),
        (None, more) => format!(" (… and {more} more)"),
    };
    let left = MOST_CONTENT - length(&mention_text) - length(&more);
    let title = shorten_escaped(&one_line(&notification.title()), left, without_mentions);
    let mut message = json!({
        "content": format!("{mention_text}{title}{more}"),
        "embeds": embeds,
        // Only the operator's mention calls people, never a text that came from a service.
        "allowed_mentions": {"parse": if mention.is_some() { json!(["everyone", "roles", "users"]) } else { json!([]) }},
    });
    if let Some(username) = username {
        message["username"] = username.into();
    }
    message
}

/// One for each alert while there is room, or one with the operator's own words.
fn embeds(notification: &Notification) -> Vec<Value> {
    if let (Some(text), Some(worst)) = (notification.text(), notification.alerts.first()) {
        return vec![
            json!({"description": shorten_escaped(&printable(text), MOST_TEXT, defused), "color": color(worst)}),
        ];
    }
    let mut left = MOST_IN_ALL;
    let embeds = notification
        .alerts
        .iter()
        .take(MOST_EMBEDS)
        .map(|alert| embed(alert, notification));
    let fits = |embed: &Value| match left.checked_sub(characters(embed)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    embeds.take_while(fits).collect()
}

fn embed(alert: &Alert, notification: &Notification) -> Value {
    let mut fields = vec![
        field("Severity", &alert.severity),
        field("Status", alert.status.as_str()),
    ];
    if let Some(lasted) = alert.lasted() {
        fields.push(field("Lasted", &format(lasted)));
    }
    let name = |text: &str| shorten_escaped(&one_line(text), MOST_NAME, without_mentions);
    let mut embed = json!({
        "title": shorten(&format!("{}: {}", name(&alert.service_name), name(&alert.name)), MOST_TITLE),
        "description": shorten_escaped(&printable(&alert.summary), MOST_SUMMARY, defused),
        "color": color(alert),
        "timestamp": rfc3339(alert.ended_ms.unwrap_or(alert.started_ms)),
        "fields": fields,
    });
    if !notification.external_url.is_empty() {
        embed["url"] = notification.external_url.as_str().into();
    }
    embed
}

/// Characters that count against [`MOST_IN_ALL`].
fn characters(embed: &Value) -> usize {
    let text = |value: &Value| value.as_str().map_or(0, length);
    let fields = embed["fields"].as_array().into_iter().flatten();
    text(&embed["title"])
        + text(&embed["description"])
        + fields
            .map(|field| text(&field["name"]) + text(&field["value"]))
            .sum::<usize>()
}

fn field(name: &str, value: &str) -> Value {
    let value = shorten_escaped(&one_line(value), MOST_FIELD, defused);
    json!({"name": name, "value": if value.is_empty() { "-" } else { value.as_str() }, "inline": true})
}

fn color(alert: &Alert) -> u32 {
    match (alert.status, alert.severity.as_str()) {
        (NotificationStatus::Resolved, _) => GREEN,
        (NotificationStatus::Firing, "warning" | "info") => AMBER,
        (NotificationStatus::Firing, _) => RED,
    }
}

/// A service's error text must not be able to draw Discord's markup.
fn defused(c: char, out: &mut String) {
    if "*_`~|<>[]()#\\".contains(c) {
        out.push('\\');
    }
    out.push(c);
}

/// Nor to call people where the operator does: a mention is a mention only in one piece. Links and
/// emphasis go the same way.
fn without_mentions(c: char, out: &mut String) {
    if "*_`~|(\\".contains(c) {
        out.push('\\');
    }
    out.push(c);
    if c == '@' {
        out.push('\u{200b}');
    }
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{awkward, notification, resolved, with_attribute};

    use super::*;

    #[test]
    fn shows_each_alert_in_its_colour() {
        let body = message(&notification(1), None, Some("extrack"));
        assert_eq!(body["content"], "[FIRING] Shop & <API>: Service Down");
        assert_eq!(body["username"], "extrack");
        assert_eq!(body["embeds"][0]["title"], "Shop & <API>: Service Down");
        assert_eq!(
            body["embeds"][0]["description"],
            "latency is 900 ms \\> 800 ms"
        );
        assert_eq!(body["embeds"][0]["color"], RED);
        assert_eq!(
            message(&resolved(1), None, None)["embeds"][0]["color"],
            GREEN
        );
    }

    #[test]
    fn only_the_operators_mention_calls_people() {
        assert_eq!(
            message(&notification(1), None, None)["allowed_mentions"]["parse"],
            json!([])
        );
        let body = message(&notification(1), Some("@here"), None);
        assert!(
            body["content"]
                .as_str()
                .unwrap()
                .starts_with("@here [FIRING]")
        );
        assert_ne!(body["allowed_mentions"]["parse"], json!([]));
        assert_eq!(
            message(&resolved(1), Some("@here"), None)["allowed_mentions"]["parse"],
            json!([])
        );
    }

    #[test]
    fn the_operators_own_words_are_plain_text() {
        let own = with_attribute(
            with_attribute(notification(12), "title", "Shop"),
            "text",
            "is *down*",
        );
        let body = message(&own, None, None);
        assert_eq!(body["content"], "Shop");
        assert_eq!(
            body["embeds"],
            json!([{"description": "is \\*down\\*", "color": RED}])
        );
    }

    #[test]
    fn five_hundred_awkward_alerts_stay_inside_the_limits() {
        let body = message(&awkward(500), Some("@here"), None);
        let embeds = body["embeds"].as_array().unwrap();
        assert!(embeds.len() >= 9, "{}", embeds.len());
        for embed in embeds {
            assert!(
                length(embed["title"].as_str().unwrap()) <= 256
                    && !embed["description"].as_str().unwrap().is_empty()
            );
            for field in embed["fields"].as_array().unwrap() {
                assert!(length(field["value"].as_str().unwrap()) <= 1_024);
            }
        }
        assert!(embeds.iter().map(characters).sum::<usize>() <= 6_000);
        let content = body["content"].as_str().unwrap();
        assert!(length(content) <= 2_000, "{}", length(content));
        assert!(
            content.ends_with(&format!("(… and {} more)", 500 - embeds.len())),
            "{content}"
        );
        // One mention, and it is the operator's.
        assert!(
            content.starts_with("@here ")
                && !content[1..].contains("@here")
                && !content.contains("@everyone")
        );
        assert!(
            !content.contains("<@U1>") && !content.contains('\u{1b}') && !content.contains('\n'),
            "{content}"
        );
    }

    #[test]
    fn the_operators_own_words_are_cut_to_one_embed() {
        let own = with_attribute(
            with_attribute(awkward(3), "title", &"t@".repeat(3_000)),
            "text",
            &"*".repeat(9_000),
        );
        let body = message(&own, None, None);
        assert!(length(body["embeds"][0]["description"].as_str().unwrap()) <= 4_096);
        assert!(length(body["content"].as_str().unwrap()) <= 2_000);
    }
}
