//! [`MessageView`]: the variables of a message template.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::domain::duration::format_duration;
use crate::domain::{Alert, AlertState, Message, UnixMillis};

/// The variables of a template.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    /// `firing` or `resolved`.
    status: &'static str,
    /// Why there is a message: `transition`, `repeat`, `escalation`, `digest`, `test` or
    /// `watchdog`.
    reason: &'static str,
    /// The line that notifiers write themselves.
    title: String,
    /// The most severe one's.
    severity: &'static str,
    alerts: Vec<AlertView>,
    firing: Vec<AlertView>,
    resolved: Vec<AlertView>,
    counts: Counts,
    group_key: String,
    group_labels: BTreeMap<String, String>,
    /// Name of the channel.
    receiver: String,
    external_url: String,
}

#[derive(Serialize)]
struct Counts {
    firing: usize,
    resolved: usize,
    /// Number of alerts without room in the message.
    omitted: usize,
    total: usize,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertView {
    id: i64,
    name: String,
    /// Slug.
    service: String,
    service_name: String,
    severity: &'static str,
    status: &'static str,
    summary: String,
    value: Option<f64>,
    wanted: Option<f64>,
    /// RFC 3339.
    started_at: String,
    ended_at: Option<String>,
    /// Duration, e.g. `5m`; none while it fires.
    lasted: Option<String>,
    /// One that is missing is the empty text, as in matchers.
    labels: BTreeMap<String, String>,
}

impl MessageView {
    pub fn of(message: &Message) -> Self {
        let alerts: Vec<AlertView> = message
            .alerts
            .iter()
            .map(|(alert, name)| AlertView::of(alert, name))
            .collect();
        let of_status = |status: &str| {
            alerts
                .iter()
                .filter(|alert| alert.status == status)
                .cloned()
                .collect()
        };
        let (firing, resolved): (Vec<_>, Vec<_>) = (of_status("firing"), of_status("resolved"));
        let severest = message.alerts.iter().map(|(alert, _)| alert.severity).max();
        Self {
            status: message.status.as_str(),
            reason: message.reason.as_str(),
            title: message.title(),
            severity: severest.map_or("", |severity| severity.as_str()),
            counts: Counts {
                firing: firing.len(),
                resolved: resolved.len(),
                omitted: message.omitted as usize,
                total: alerts.len() + message.omitted as usize,
            },
            alerts,
            firing,
            resolved,
            group_key: message.group_key.clone(),
            group_labels: message.group_labels.iter().cloned().collect(),
            receiver: message.receiver.clone(),
            external_url: message.external_url.clone(),
        }
    }
}

impl AlertView {
    fn of(alert: &Alert, service_name: &str) -> Self {
        let is_resolved = alert.state == AlertState::Resolved;
        let ended_ms = alert.resolved_ms.filter(|_| is_resolved);
        let lasted = ended_ms
            .map(|ended_ms| u64::try_from(ended_ms - alert.started_ms).unwrap_or_default() / 1_000);
        Self {
            id: alert.id.0,
            name: alert.name.clone(),
            service: alert.service.clone(),
            service_name: service_name.to_owned(),
            severity: alert.severity.as_str(),
            status: if is_resolved { "resolved" } else { "firing" },
            summary: alert.summary.clone(),
            value: alert.value,
            wanted: alert.wanted,
            started_at: rfc3339(alert.started_ms),
            ended_at: ended_ms.map(rfc3339),
            lasted: lasted.map(|seconds| format_duration(Duration::from_secs(seconds))),
            labels: alert.label_pairs().into_iter().collect(),
        }
    }
}

fn rfc3339(ms: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map(|moment| moment.to_string())
        .unwrap_or_default()
}
