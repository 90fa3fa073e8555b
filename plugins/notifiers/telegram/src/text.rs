//! The text, in the HTML that Telegram takes: <https://core.telegram.org/bots/api#html-style>

use extrack_plugin::notifier::{
    Alert, Notification, NotificationStatus, length, one_line, printable, shorten_escaped,
};
use extrack_plugin::time::{format, rfc3339};

/// Telegram takes 4,096 UTF-16 code units and does not count tags; here they count, so that nothing
/// is near the edge.
const MOST_IN_ALL: usize = 4_096;
const MOST_ALERTS: usize = 10;
const MOST_SUMMARY: usize = 200;
const MOST_NAME: usize = 60;
const MOST_TITLE: usize = 300;
/// The operator's own words.
const MOST_TEXT: usize = 3_700;

pub(crate) fn text(notification: &Notification) -> String {
    if let Some(text) = notification.text() {
        let title = escaped(&one_line(&notification.title()), MOST_TITLE);
        return format!("<b>{title}</b>\n{}", escaped(&printable(text), MOST_TEXT));
    }
    let link = match notification.external_url.as_str() {
        "" => None,
        url => Some(format!(
            "<a href=\"{}\">open External Tracking</a>",
            escaped(url, MOST_IN_ALL)
        )),
    };
    // A link that is longer than any is left out.
    let link = link.filter(|link| length(link) <= MOST_IN_ALL / 4);
    let more = |shown: usize| {
        Some(notification.beyond(shown))
            .filter(|more| *more > 0)
            .map(|more| format!("… and {more} more"))
    };
    let around = length(&more(0).unwrap_or_default()) + link.as_deref().map_or(0, length) + 4;
    let mut left = MOST_IN_ALL - around;
    let mut paragraphs = Vec::new();
    for alert in notification.alerts.iter().take(MOST_ALERTS) {
        let paragraph = paragraph(alert);
        let Some(rest) = left.checked_sub(length(&paragraph) + 2) else {
            break;
        };
        left = rest;
        paragraphs.push(paragraph);
    }
    let more = more(paragraphs.len());
    paragraphs.extend(more.into_iter().chain(link));
    paragraphs.join("\n\n")
}

fn paragraph(alert: &Alert) -> String {
    let icon = match alert.status {
        NotificationStatus::Firing => "🔴",
        NotificationStatus::Resolved => "🟢",
    };
    let name = |text: &str| escaped(&one_line(text), MOST_NAME);
    let since = &rfc3339(alert.started_ms)[..19].replace('T', " ");
    let lasted = alert
        .lasted()
        .map(|lasted| format!(", for {}", format(lasted)))
        .unwrap_or_default();
    format!(
        "{icon} <b>{}: {}</b>\n{}\n<i>{} · {} · since {since}{lasted}</i>",
        name(&alert.service_name),
        name(&alert.name),
        escaped(&printable(&alert.summary), MOST_SUMMARY),
        alert.status.as_str(),
        name(&alert.severity),
    )
}

fn escaped(text: &str, most: usize) -> String {
    shorten_escaped(text, most, |c, out| match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
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
            text(&notification(1)),
            "🔴 <b>Shop &amp; &lt;API&gt;: Service Down</b>\nlatency is 900 ms &gt; 800 ms\n\
             <i>firing · critical · since 2026-01-01 00:00:00</i>"
        );
        assert!(
            text(&resolved(1)).ends_with("since 2026-01-01 00:00:00, for 2m</i>"),
            "{}",
            text(&resolved(1))
        );
    }

    #[test]
    fn the_operators_own_words_are_plain_text() {
        let own = with_attribute(notification(1), "text", "a <b>");
        assert_eq!(
            text(&own),
            "<b>[FIRING] Shop &amp; &lt;API&gt;: Service Down</b>\na &lt;b&gt;"
        );
    }

    /// Every tag is closed in order, and `&` and `<` stand nowhere else, as Telegram wants it.
    fn is_well_formed(html: &str) -> bool {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = html;
        while let Some(at) = rest.find(['<', '&']) {
            rest = &rest[at..];
            if let Some(entity) = rest.strip_prefix('&') {
                let Some((name, _)) = entity.split_once(';') else {
                    return false;
                };
                if !["lt", "gt", "amp", "quot"].contains(&name) {
                    return false;
                }
                rest = &rest[1..];
                continue;
            }
            let Some((tag, behind)) = rest[1..].split_once('>') else {
                return false;
            };
            match tag.strip_prefix('/') {
                Some(name) if open.pop() == Some(name) => {}
                Some(_) => return false,
                None => open.push(tag.split(' ').next().unwrap_or_default()),
            }
            rest = behind;
        }
        open.is_empty()
    }

    #[test]
    fn five_hundred_awkward_alerts_stay_inside_the_limit_and_well_formed() {
        let text = text(&awkward(500));
        assert!(length(&text) <= 4_096, "{}", length(&text));
        assert!(is_well_formed(&text), "{text}");
        let shown = text.matches("🔴").count();
        assert!(shown >= 8, "{shown}");
        assert!(
            text.contains(&format!("\n\n… and {} more\n\n<a href=", 500 - shown)),
            "{text}"
        );
        assert!(!text.contains('\u{1b}') && !text.contains('\0'));
    }

    #[test]
    fn the_operators_own_words_stay_inside_the_limit_however_much_is_escaped() {
        let own = with_attribute(
            with_attribute(awkward(3), "title", &"<".repeat(3_000)),
            "text",
            &"\"".repeat(9_000),
        );
        let text = text(&own);
        assert!(
            length(&text) <= 4_096 && is_well_formed(&text),
            "{}",
            length(&text)
        );
    }
}
