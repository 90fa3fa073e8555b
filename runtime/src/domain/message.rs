//! [`Message`]: the input of a notifier, and its answers.

mod sample;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Alert, AlertState, MessageTexts, NotificationReason, NotificationStatus};

/// One message about a group of alerts, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Idempotency key: the same for every attempt.
    pub id: String,
    pub reason: NotificationReason,
    pub status: NotificationStatus,
    pub group_key: String,
    pub group_labels: Vec<(String, String)>,
    /// Name of the channel.
    pub receiver: String,
    /// Where a person can look; empty without a public URL.
    pub external_url: String,
    /// Alerts, each with the name of its service.
    pub alerts: Vec<(Alert, String)>,
    /// Alerts that it has no room for.
    pub omitted: u32,
    /// 1 for the first.
    pub attempt: u32,
    /// Texts rendered from the channel's template.
    pub texts: MessageTexts,
    /// Name that the other side gave the message before about the same group, which this one may
    /// replace.
    pub reference: Option<String>,
    /// Files that go with it where it is a mail.
    pub files: Arc<Vec<MessageFile>>,
}

/// A file that goes with a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageFile {
    pub name: String,
    pub media_type: String,
    /// Name by which the HTML shows it; none for an attachment.
    pub content_id: Option<String>,
    pub content: Vec<u8>,
}

impl Message {
    /// One line: `[FIRING] Shop API: Service Down`, or `[FIRING] 3 alerts: Shop API, Payments`.
    pub fn title(&self) -> String {
        let status = match self.reason {
            NotificationReason::Digest => "DIGEST".to_owned(),
            _ => self.status.as_str().to_uppercase(),
        };
        if let [(alert, service_name)] = self.alerts.as_slice() {
            return format!("[{status}] {service_name}: {}", alert.name);
        }
        const MOST_NAMES: usize = 3;
        let mut names: Vec<&str> = self
            .alerts
            .iter()
            .map(|(_, service_name)| service_name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        let more = if names.len() > MOST_NAMES { " …" } else { "" };
        names.truncate(MOST_NAMES);
        let resolved = self
            .alerts
            .iter()
            .filter(|(alert, _)| alert.state == AlertState::Resolved)
            .count();
        let count = match self.reason {
            NotificationReason::Digest => format!(
                "{} firing, {resolved} resolved",
                self.alerts.len() - resolved
            ),
            _ => format!("{} alerts", self.alerts.len() + self.omitted as usize),
        };
        format!("[{status}] {count}: {}{more}", names.join(", "))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Name that the other side gave the message.
    pub reference: Option<String>,
    /// Answer of the other side.
    pub answer: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Worth another attempt, not before `after` if the other side said so.
    #[error("{message}")]
    Retryable {
        message: String,
        after: Option<Duration>,
    },
    #[error("{0}")]
    Permanent(String),
}
