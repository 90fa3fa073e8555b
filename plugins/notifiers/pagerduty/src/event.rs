//! Events API v2: <https://developer.pagerduty.com/docs/events-api-v2/trigger-events/>

use extrack_plugin::json::{Value, json};
use extrack_plugin::notifier::{
    Alert, Notification, NotificationStatus, one_line, printable, shorten,
};
use extrack_plugin::time::rfc3339;

const MOST_SUMMARY_CHARACTERS: usize = 1_024;
const MOST_KEY_CHARACTERS: usize = 255;
/// An event may have 512 KB; what is beyond these is not read in an incident.
const MOST_ALERTS: usize = 50;
const MOST_DETAILS_BYTES: usize = 400_000;
const MOST_NAME_CHARACTERS: usize = 255;
const MOST_LABELS: usize = 32;

/// An event without its `routing_key`, which is a secret.
pub(crate) fn event(notification: &Notification) -> Value {
    let mut event = json!({
        "event_action": match notification.status {
            NotificationStatus::Firing => "trigger",
            NotificationStatus::Resolved => "resolve",
        },
        "dedup_key": dedup_key(&notification.group_key),
        "client": "External Tracking",
        "payload": {
            "summary": shorten(&one_line(&summary(notification)), MOST_SUMMARY_CHARACTERS),
            "source": name(source(notification)),
            "severity": severity(notification.severity()),
            "group": name(&notification.receiver),
            "custom_details": details(notification),
        },
    });
    if let Some(first_ms) = notification
        .alerts
        .iter()
        .map(|alert| alert.started_ms)
        .min()
    {
        event["payload"]["timestamp"] = rfc3339(first_ms).into();
    }
    if !notification.external_url.is_empty() {
        event["client_url"] = notification.external_url.as_str().into();
    }
    event
}

/// The group's key: the same while alerts come and go, so that the end of the last one closes what
/// the first one opened. Of a long one the beginning, for people, and a hash of all of it: two
/// groups of one route differ at the end alone.
fn dedup_key(group_key: &str) -> String {
    let key = format!("extrack/{group_key}");
    if key.len() <= MOST_KEY_CHARACTERS {
        return key;
    }
    let hash = format!("#{:032x}", fnv_1a(key.as_bytes()));
    shorten(&key, MOST_KEY_CHARACTERS - hash.len()) + &hash
}

/// FNV-1a of 128 bits.
fn fnv_1a(bytes: &[u8]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(OFFSET, |hash, byte| {
        (hash ^ u128::from(*byte)).wrapping_mul(PRIME)
    })
}

fn name(text: &str) -> String {
    shorten(&one_line(text), MOST_NAME_CHARACTERS)
}

fn summary(notification: &Notification) -> String {
    if let Some(title) = notification.attribute("title") {
        return title.to_owned();
    }
    match notification.alerts.as_slice() {
        [alert] => format!("{}: {} ({})", alert.service_name, alert.name, alert.summary),
        _ => notification.title(),
    }
}

fn source(notification: &Notification) -> &str {
    notification
        .alerts
        .first()
        .map_or("extrack", |alert| alert.service.as_str())
}

/// PagerDuty knows `critical`, `error`, `warning` and `info`.
fn severity(severity: &str) -> &str {
    match severity {
        "critical" | "warning" | "info" => severity,
        _ => "error",
    }
}

fn details(notification: &Notification) -> Value {
    let mut left = MOST_DETAILS_BYTES;
    let mut alerts = Vec::new();
    for alert in notification.alerts.iter().take(MOST_ALERTS).map(line) {
        let Some(rest) = left.checked_sub(alert.to_string().len()) else {
            break;
        };
        left = rest;
        alerts.push(alert);
    }
    json!({
        "text": notification.text().map(|text| shorten(&printable(text), 10 * MOST_SUMMARY_CHARACTERS)),
        "omitted": notification.beyond(alerts.len()),
        "alerts": alerts,
    })
}

fn line(alert: &Alert) -> Value {
    let labels = alert
        .labels
        .iter()
        .take(MOST_LABELS)
        .map(|(label, value)| (name(label), name(value)));
    json!({
        "alert": name(&alert.name),
        "service": name(&alert.service),
        "severity": name(&alert.severity),
        "status": alert.status.as_str(),
        "summary": shorten(&printable(&alert.summary), MOST_SUMMARY_CHARACTERS),
        "since": rfc3339(alert.started_ms),
        "labels": labels.collect::<std::collections::BTreeMap<_, _>>(),
    })
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{awkward, notification};
    use extrack_plugin::notifier::length;

    use super::*;

    #[test]
    fn says_what_happened_where_and_how_bad_it_is() {
        let event = event(&notification(1));
        assert_eq!(
            event["payload"]["summary"],
            "Shop & <API>: Service Down (latency is 900 ms > 800 ms)"
        );
        assert_eq!(event["payload"]["source"], "shop-api");
        assert_eq!(event["payload"]["severity"], "critical");
        assert!(
            event["payload"]["timestamp"]
                .as_str()
                .unwrap()
                .starts_with("2026-01-01T00:00:00")
        );
        assert_eq!(event["dedup_key"], "extrack/shop-api");
    }

    #[test]
    fn five_hundred_awkward_alerts_stay_inside_the_limits() {
        let event = event(&awkward(500));
        assert!(length(event["dedup_key"].as_str().unwrap()) <= 255);
        assert!(length(event["payload"]["summary"].as_str().unwrap()) <= 1_024);
        assert!(
            event.to_string().len() <= 512 * 1_024,
            "{}",
            event.to_string().len()
        );
        assert_eq!(
            event["payload"]["custom_details"]["alerts"]
                .as_array()
                .unwrap()
                .len(),
            50
        );
        assert_eq!(event["payload"]["custom_details"]["omitted"], 450);
    }

    #[test]
    fn two_groups_under_one_long_route_have_keys_of_their_own() {
        let names: Vec<String> = (0..14)
            .map(|index| format!("payments-gateway-eu-{index:02}"))
            .collect();
        let key = |service: &str| {
            dedup_key(&format!(
                "{{}}/{{service=~\"{}\"}}:{{service=\"{service}\"}}",
                names.join("|")
            ))
        };
        let (one, other) = (key("payments-gateway-eu-03"), key("payments-gateway-eu-04"));
        assert_ne!(one, other);
        assert!(
            one.starts_with("extrack/{}/{service=~") && one.len() <= 255 + 2 && length(&one) <= 255,
            "{one}"
        );
        // Fixed, because the end of an outage may be sent by a later version.
        assert!(one.ends_with("#9462754c9f10541c48f6660a2a41b4d3"), "{one}");
        assert_eq!(dedup_key("shop-api"), "extrack/shop-api");
    }

    #[test]
    fn an_unknown_severity_is_an_error() {
        let mut odd = notification(1);
        odd.alerts[0].severity = "page".to_owned();
        assert_eq!(event(&odd)["payload"]["severity"], "error");
    }
}
