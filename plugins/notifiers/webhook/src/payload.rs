//! The JSON of Alertmanager's webhook, version 4: <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>

use std::collections::BTreeMap;

use extrack_plugin::json::{Value, json};
use extrack_plugin::notifier::{Alert, Notification};
use extrack_plugin::time::rfc3339;

type Labels = BTreeMap<String, String>;

/// Reason of a message that is a report, and its status: a report neither begins nor ends an alert,
/// and the contract has no third status.
const REPORT: &str = "report";

/// Alertmanager's text for a time that has not come.
const NEVER: &str = "0001-01-01T00:00:00Z";

pub(crate) fn payload(notification: &Notification) -> Value {
    let labels: Vec<Labels> = notification
        .alerts
        .iter()
        .map(|alert| alert.labels.iter().cloned().collect())
        .collect();
    let annotations: Vec<Labels> = notification.alerts.iter().map(annotations).collect();
    let alerts: Vec<Value> = notification
        .alerts
        .iter()
        .zip(labels.iter().zip(&annotations))
        .map(|(alert, (labels, annotations))| {
            json!({
                "status": alert.status.as_str(),
                "labels": labels,
                "annotations": annotations,
                "startsAt": rfc3339(alert.started_ms),
                "endsAt": alert.ended_ms.map_or_else(|| NEVER.to_owned(), rfc3339),
                "generatorURL": generator_url(notification, alert),
                "fingerprint": fingerprint(labels),
            })
        })
        .collect();
    let reason = notification.attribute("reason");
    let report = reason.filter(|reason| *reason == REPORT);
    let status = report.unwrap_or(notification.status.as_str());
    let mut body = json!({
        "version": "4",
        "groupKey": notification.group_key,
        "truncatedAlerts": notification.beyond(notification.alerts.len()),
        "status": status,
        "receiver": notification.receiver,
        "groupLabels": notification.group_labels.iter().cloned().collect::<Labels>(),
        "commonLabels": common(&labels),
        "commonAnnotations": common(&annotations),
        "externalURL": notification.external_url,
        "alerts": alerts,
    });
    // That it is a report, and the operator's own words, beside what Alertmanager has.
    for (key, text) in [
        ("reason", report),
        ("title", notification.attribute("title")),
        ("message", notification.text()),
    ] {
        if let Some(text) = text {
            body[key] = text.into();
        }
    }
    body
}

fn annotations(alert: &Alert) -> Labels {
    let mut annotations: Labels = alert.annotations.iter().cloned().collect();
    annotations.insert("summary".to_owned(), alert.summary.clone());
    annotations.insert("serviceName".to_owned(), alert.service_name.clone());
    annotations
}

/// Pairs that are in every one of several sets.
fn common(sets: &[Labels]) -> Labels {
    let Some((first, others)) = sets.split_first() else {
        return Labels::new();
    };
    let is_common = |(name, value): &(&String, &String)| {
        others.iter().all(|set| set.get(*name) == Some(*value))
    };
    first
        .iter()
        .filter(is_common)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn generator_url(notification: &Notification, alert: &Alert) -> String {
    if notification.external_url.is_empty() {
        return String::new();
    }
    format!(
        "{}/#alert-{}",
        notification.external_url.trim_end_matches('/'),
        alert.id
    )
}

/// FNV-1a over the sorted labels, each name and value ended by a byte that is in neither: the same
/// for every message about an alert, as receivers expect.
fn fingerprint(labels: &Labels) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        text.bytes().for_each(&mut add);
        add(0xff);
    }
    format!("{hash:016x}")
}
