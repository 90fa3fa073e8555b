//! The text, in the HTML that Telegram takes: <https://core.telegram.org/bots/api#html-style>

use extrack_plugin::notifier::{Alert, Notification, NotificationStatus, shorten};
use extrack_plugin::time::{format, rfc3339};

/// Telegram takes 4,096 characters; ten alerts of these stay below, with their markup.
const MOST_ALERTS: usize = 10;
const MOST_SUMMARY_CHARACTERS: usize = 200;
const MOST_NAME_CHARACTERS: usize = 60;
/// The operator's own words; the limit counts characters before they were escaped.
const MOST_TEXT_CHARACTERS: usize = 3_500;

pub(crate) fn text(notification: &Notification) -> String {
    if let Some(text) = notification.text() {
        let title = escape(&shorten(&notification.title(), 2 * MOST_NAME_CHARACTERS));
        return format!("<b>{title}</b>\n{}", escape(&shorten(text, MOST_TEXT_CHARACTERS)));
    }
    let mut paragraphs: Vec<String> = notification.alerts.iter().take(MOST_ALERTS).map(paragraph).collect();
    if notification.beyond(MOST_ALERTS) > 0 {
        paragraphs.push(format!("and {} more", notification.beyond(MOST_ALERTS)));
    }
    if !notification.external_url.is_empty() {
        paragraphs.push(format!("<a href=\"{}\">open External Tracking</a>", escape(&notification.external_url)));
    }
    paragraphs.join("\n\n")
}

fn paragraph(alert: &Alert) -> String {
    let icon = match alert.status {
        NotificationStatus::Firing => "🔴",
        NotificationStatus::Resolved => "🟢",
    };
    let name = |text: &str| escape(&shorten(text, MOST_NAME_CHARACTERS));
    let since = &rfc3339(alert.started_ms)[..19].replace('T', " ");
    let lasted = alert.lasted().map(|lasted| format!(", for {}", format(lasted))).unwrap_or_default();
    format!(
        "{icon} <b>{}: {}</b>\n{}\n<i>{} · {} · since {since}{lasted}</i>",
        name(&alert.service_name),
        name(&alert.name),
        escape(&shorten(&alert.summary, MOST_SUMMARY_CHARACTERS)),
        alert.status.as_str(),
        name(&alert.severity),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{notification, resolved, with_attribute};

    use super::*;

    #[test]
    fn shows_what_happened_and_escapes_it() {
        assert_eq!(
            text(&notification(1)),
            "🔴 <b>Shop &amp; &lt;API&gt;: Service Down</b>\nlatency is 900 ms &gt; 800 ms\n\
             <i>firing · critical · since 2026-01-01 00:00:00</i>"
        );
        assert!(text(&resolved(1)).ends_with("since 2026-01-01 00:00:00, for 2m</i>"), "{}", text(&resolved(1)));
    }

    #[test]
    fn the_operators_own_words_are_plain_text() {
        let own = with_attribute(notification(1), "text", "a <b>");
        assert_eq!(text(&own), "<b>[FIRING] Shop &amp; &lt;API&gt;: Service Down</b>\na &lt;b&gt;");
    }

    #[test]
    fn stays_inside_the_limit() {
        let mut long = notification(30);
        for alert in &mut long.alerts {
            alert.summary = "x".repeat(9_000);
            alert.name = "n".repeat(900);
            alert.service_name = "s".repeat(900);
        }
        assert!(text(&long).chars().count() <= 4_096, "{}", text(&long).chars().count());
        assert!(text(&long).contains("and 20 more"));
    }
}
