//! Messages about nothing, to try templates and channels with.

use super::Message;
use crate::domain::{
    Alert, AlertFlags, AlertId, AlertState, NotificationReason, NotificationStatus, Severity,
    UnixMillis, now_ms,
};

/// How long the sample alerts have lasted.
const LASTED_MS: i64 = 5 * 60 * 1_000;

impl Message {
    /// Some alerts that fire and some that ended, each of a service of its own. It has no receiver.
    pub fn sample(firing: usize, resolved: usize) -> Self {
        let now_ms = now_ms();
        let alerts = (1..=firing + resolved)
            .map(|number| (alert(number, number > firing, now_ms), name(number)));
        Self {
            // Another one each time, or a receiver that knows the message would drop it.
            id: format!("sample-{now_ms}"),
            reason: NotificationReason::Test,
            status: if firing > 0 {
                NotificationStatus::Firing
            } else {
                NotificationStatus::Resolved
            },
            group_key: "sample".to_owned(),
            group_labels: vec![("alertname".to_owned(), "Service Down".to_owned())],
            receiver: "sample".to_owned(),
            external_url: String::new(),
            alerts: alerts.collect(),
            omitted: 0,
            attempt: 1,
            texts: Default::default(),
            reference: None,
            files: Default::default(),
        }
    }
}

fn name(number: usize) -> String {
    format!("Sample Service {number}")
}

fn alert(number: usize, is_resolved: bool, now_ms: UnixMillis) -> Alert {
    let service = format!("sample-service-{number}");
    Alert {
        id: AlertId(number as i64),
        name: "Service Down".to_owned(),
        rule: format!("{service}/Service Down"),
        service,
        severity: Severity::Critical,
        state: if is_resolved {
            AlertState::Resolved
        } else {
            AlertState::Firing
        },
        summary: "status is 503, wanted 200".to_owned(),
        value: Some(503.0),
        wanted: Some(200.0),
        started_ms: now_ms - LASTED_MS,
        fired_ms: Some(now_ms - LASTED_MS),
        resolved_ms: is_resolved.then_some(now_ms),
        updated_ms: now_ms,
        suppressed_by: None,
        flags: AlertFlags::default(),
        labels: Default::default(),
    }
}
