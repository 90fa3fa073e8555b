//! Subject, text and HTML of a message.

use extrack_plugin::notifier::{
    Alert, Notification, NotificationStatus, one_line, printable, shorten,
};
use extrack_plugin::time::{format, rfc3339};

/// Mail programs show little more.
const MOST_SUBJECT_CHARACTERS: usize = 150;
/// Mail programs cut off what is longer than about 100 KB.
const MOST_ALERTS: usize = 100;
const MOST_NAME_CHARACTERS: usize = 200;
const MOST_SUMMARY_CHARACTERS: usize = 2_000;

/// One line, whatever is in the names.
pub(crate) fn subject(notification: &Notification, prefix: &str) -> String {
    let status = notification.status.as_str().to_uppercase();
    let about = match notification.alerts.as_slice() {
        [alert] => format!("{}: {}", alert.service_name, alert.name),
        _ => format!("{} alerts", notification.beyond(0)),
    };
    let prefix = if prefix.is_empty() {
        String::new()
    } else {
        format!("{} ", prefix.trim())
    };
    let line = match notification.attribute("title") {
        Some(title) => format!("{prefix}{title}"),
        None => format!("{prefix}[{status}] {about}"),
    };
    shorten(&one_line(&line), MOST_SUBJECT_CHARACTERS)
}

pub(crate) fn text(notification: &Notification) -> String {
    if let Some(text) = notification.text() {
        return format!("{}\n", printable(text));
    }
    let mut text = String::new();
    for alert in shown(notification) {
        text.push_str(&format!(
            "{}: {}\n{}\n\n",
            name(&alert.service_name),
            name(&alert.name),
            summary(alert)
        ));
        for (name, value) in facts(alert) {
            text.push_str(&format!("{name:<10}{value}\n"));
        }
        text.push('\n');
    }
    if let Some(more) = more(notification) {
        text.push_str(&format!("{more}\n\n"));
    }
    if !notification.external_url.is_empty() {
        text.push_str(&notification.external_url);
        text.push('\n');
    }
    text
}

fn shown(notification: &Notification) -> &[Alert] {
    &notification.alerts[..notification.alerts.len().min(MOST_ALERTS)]
}

/// Note about the alerts that the message has no room for.
fn more(notification: &Notification) -> Option<String> {
    let more = notification.beyond(shown(notification).len());
    (more > 0).then(|| format!("… and {more} more"))
}

fn name(text: &str) -> String {
    shorten(&one_line(text), MOST_NAME_CHARACTERS)
}

fn summary(alert: &Alert) -> String {
    shorten(&printable(&alert.summary), MOST_SUMMARY_CHARACTERS)
}

/// HTML of the message; none where the operator's own template is text alone.
pub(crate) fn html(notification: &Notification) -> Option<String> {
    match (notification.html(), notification.text()) {
        (Some(html), _) => Some(html.to_owned()),
        (None, Some(_)) => None,
        (None, None) => Some(page(notification)),
    }
}

fn page(notification: &Notification) -> String {
    let mut html =
        String::from("<!doctype html><html><body style=\"font-family:sans-serif;color:#222\">");
    for alert in shown(notification) {
        let color = match alert.status {
            NotificationStatus::Firing => "#c0262d",
            NotificationStatus::Resolved => "#1a7f37",
        };
        html.push_str(&format!(
            "<div style=\"border-left:4px solid {color};padding:0 0 0 12px;margin:0 0 20px\"><h2 style=\"margin:0 0 4px;font-size:18px\">{}: {}</h2><p style=\"margin:0 0 8px\">{}</p><table style=\"font-size:14px\">",
            escape(&name(&alert.service_name)),
            escape(&name(&alert.name)),
            escape(&summary(alert)),
        ));
        for (name, value) in facts(alert) {
            html.push_str(&format!(
                "<tr><td style=\"color:#666;padding-right:16px\">{name}</td><td>{}</td></tr>",
                escape(&value)
            ));
        }
        html.push_str("</table></div>");
    }
    if let Some(more) = more(notification) {
        html.push_str(&format!("<p>{more}</p>"));
    }
    if !notification.external_url.is_empty() {
        let url = escape(&notification.external_url);
        html.push_str(&format!("<p><a href=\"{url}\">{url}</a></p>"));
    }
    html.push_str("</body></html>");
    html
}

fn facts(alert: &Alert) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("status", alert.status.as_str().to_owned()),
        ("severity", name(&alert.severity)),
        ("service", name(&alert.service)),
        ("since", moment(alert.started_ms)),
    ];
    if let Some(ended_ms) = alert.ended_ms {
        let seconds = ended_ms.saturating_sub(alert.started_ms) / 1_000;
        facts.push((
            "until",
            format!(
                "{}, after {}",
                moment(ended_ms),
                format(std::time::Duration::from_secs(seconds))
            ),
        ));
    }
    facts
}

fn moment(unix_ms: u64) -> String {
    format!("{} UTC", &rfc3339(unix_ms)[..19].replace('T', " "))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn notification() -> Notification {
        let alert = Alert {
            id: "7".to_owned(),
            name: "Service Down".to_owned(),
            service: "shop-api".to_owned(),
            service_name: "Shop API".to_owned(),
            severity: "critical".to_owned(),
            status: NotificationStatus::Firing,
            summary: "status is `<error>`".to_owned(),
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
            external_url: "https://extrack.example.com".to_owned(),
            alerts: vec![alert],
            attempt: 1,
            attributes: Vec::new(),
        }
    }

    #[test]
    fn the_text_holds_the_facts() {
        assert_eq!(
            text(&notification()),
            "Shop API: Service Down\nstatus is `<error>`\n\nstatus    firing\nseverity  critical\nservice   shop-api\n\
             since     2026-01-01 00:00:00 UTC\n\nhttps://extrack.example.com\n"
        );
    }

    #[test]
    fn alerts_that_there_is_no_room_for_are_counted() {
        let many = extrack_plugin::fake::with_omitted(notification(), 7);
        assert!(
            text(&many).contains("\n\n… and 7 more\n\nhttps://"),
            "{}",
            text(&many)
        );
        assert!(
            page(&many).contains("<p>… and 7 more</p>"),
            "{}",
            page(&many)
        );
        assert!(!text(&notification()).contains("more"));
    }

    #[test]
    fn five_hundred_awkward_alerts_are_one_letter_that_can_be_read() {
        let message = extrack_plugin::fake::awkward(500);
        let (text, page) = (text(&message), page(&message));
        assert!(text.contains("\n\n… and 400 more\n\n") && page.contains("<p>… and 400 more</p>"));
        assert!(
            text.len() < 1_000_000 && page.len() < 1_000_000,
            "{} {}",
            text.len(),
            page.len()
        );
        for part in [&text, &page] {
            assert!(!part.contains(|c: char| c.is_control() && c != '\n'));
        }
        assert!(
            !page.contains("<b>") && !page.contains("<!channel>"),
            "others' markup is text"
        );
        let line = subject(&message, "");
        assert!(
            line.starts_with("[FIRING] 500 alerts") && !line.contains('\n'),
            "{line}"
        );
    }

    #[test]
    fn the_page_escapes_what_others_wrote() {
        let page = page(&notification());
        assert!(page.contains("status is `&lt;error&gt;`"), "{page}");
        assert!(!page.contains("<error>"), "{page}");
    }

    #[test]
    fn a_resolved_alert_says_when_it_ended() {
        let mut resolved = notification();
        resolved.alerts[0].ended_ms = Some(1_767_225_600_000 + 90_000);
        assert!(
            text(&resolved).contains("until     2026-01-01 00:01:30 UTC, after 90s"),
            "{}",
            text(&resolved)
        );
    }

    #[test]
    fn the_subject_is_one_short_line() {
        let mut odd = notification();
        odd.alerts[0].name = format!("a\r\nBcc: x@y {}", "z".repeat(300));
        let line = subject(&odd, "[shop]");
        assert!(
            line.starts_with("[shop] [FIRING] Shop API: a Bcc: x@y"),
            "{line}"
        );
        assert_eq!(line.chars().count(), MOST_SUBJECT_CHARACTERS);
    }
}
