//! A message to try a notifier with: a service that is down, or up again.

use serde_json::Value;

use crate::domain::{
    Alert, AlertId, AlertMarks, AlertState, Channel, ChannelId, Message, NotificationStatus, Origin, Severity, now_ms,
};
use crate::plugin_host::PluginEntry;

/// How long the sample alert has lasted.
const LASTED_MS: i64 = 5 * 60 * 1_000;

pub(super) fn channel(entry: &PluginEntry, settings: Value) -> Channel {
    Channel {
        id: ChannelId(format!("{}-sample", entry.name)),
        name: entry.name.clone(),
        plugin: entry.name.clone(),
        settings,
        // Whoever typed the address means it.
        origin: Origin::File,
    }
}

pub(super) fn message(is_resolved: bool) -> Message {
    let now_ms = now_ms();
    let started_ms = now_ms - LASTED_MS;
    let (status, state) = match is_resolved {
        true => (NotificationStatus::Resolved, AlertState::Resolved),
        false => (NotificationStatus::Firing, AlertState::Firing),
    };
    let alert = Alert {
        id: AlertId(1),
        name: "Service Down".to_owned(),
        rule: "sample-service/Service Down".to_owned(),
        service: "sample-service".to_owned(),
        severity: Severity::Warning,
        state,
        summary: "a sample from `extrack plugin run`: status is 503, wanted 200".to_owned(),
        value: Some(503.0),
        wanted: Some(200.0),
        started_ms,
        fired_ms: Some(started_ms),
        resolved_ms: is_resolved.then_some(now_ms),
        updated_ms: now_ms,
        suppressed_by: None,
        marks: AlertMarks::default(),
    };
    Message {
        // Another one each time, or a receiver that knows the message would drop it.
        id: format!("sample-{now_ms}"),
        status,
        group_key: "sample-service".to_owned(),
        group_labels: vec![("service".to_owned(), "sample-service".to_owned())],
        receiver: "sample".to_owned(),
        external_url: String::new(),
        alerts: vec![(alert, "Sample Service".to_owned())],
        attempt: 1,
    }
}
