//! Notifiers: what a message holds, and what became of it.

use std::time::Duration;

use crate::http::Response;
use crate::mail::MailError;
use crate::net::NetError;
use crate::time::millis;
use crate::wit::notifier::exports::external_tracking::plugin::notifiers as wit;
pub use crate::wit::notifier::exports::external_tracking::plugin::notifiers::{
    Alert, Notification, NotificationStatus,
};

impl wit::NotificationStatus {
    /// `firing` or `resolved`
    pub fn as_str(self) -> &'static str {
        match self {
            wit::NotificationStatus::Firing => "firing",
            wit::NotificationStatus::Resolved => "resolved",
        }
    }
}

impl wit::Alert {
    /// A label by name.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The message was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// What the other side calls the message.
    pub reference: Option<String>,
    /// What the other side answered, for the attempt's record.
    pub answer: String,
}

impl Receipt {
    pub fn new(answer: impl Into<String>) -> Self {
        Self { reference: None, answer: answer.into() }
    }

    pub fn reference(mut self, reference: impl Into<String>) -> Self {
        self.reference = Some(reference.into());
        self
    }
}

/// The message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifyError {
    /// Worth another attempt, not before `after` if the other side said so.
    Retryable {
        message: String,
        after: Option<Duration>,
    },
    Permanent(String),
}

impl NotifyError {
    pub fn retryable(message: impl Into<String>) -> Self {
        NotifyError::Retryable { message: message.into(), after: None }
    }

    pub fn permanent(message: impl Into<String>) -> Self {
        NotifyError::Permanent(message.into())
    }
}

/// Longest part of an answer that goes into a record.
const ANSWER_BYTES: usize = 300;

impl Receipt {
    /// Judges an HTTP answer: success is a receipt; a time-out, a limit or a fault of the server is worth another attempt,
    /// after the time in `Retry-After` if it is in seconds; anything else will not get better.
    pub fn from_response(response: &Response) -> Result<Self, NotifyError> {
        let answer = format!("{} {}", response.status, shorten(&response.text())).trim_end().to_owned();
        match response.status {
            200..=299 => Ok(Receipt::new(answer)),
            408 | 425 | 429 | 500..=599 => {
                let after = response.header("retry-after").and_then(|text| text.trim().parse().ok());
                Err(NotifyError::Retryable { message: answer, after: after.map(Duration::from_secs) })
            }
            _ => Err(NotifyError::Permanent(answer)),
        }
    }
}

/// The beginning of a text, cut at a character.
fn shorten(text: &str) -> &str {
    let text = text.trim();
    let mut end = text.len().min(ANSWER_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl From<NetError> for NotifyError {
    fn from(error: NetError) -> Self {
        if error.is_temporary() {
            NotifyError::retryable(error.to_string())
        } else {
            NotifyError::permanent(error.to_string())
        }
    }
}

impl From<MailError> for NotifyError {
    fn from(error: MailError) -> Self {
        match error {
            MailError::Temporary(text) => NotifyError::retryable(text),
            MailError::Permanent(text) | MailError::Denied(text) => NotifyError::permanent(text),
        }
    }
}

impl From<Receipt> for wit::Receipt {
    fn from(receipt: Receipt) -> Self {
        let Receipt { reference, answer } = receipt;
        Self { reference, answer }
    }
}

impl From<NotifyError> for wit::NotifyError {
    fn from(error: NotifyError) -> Self {
        match error {
            NotifyError::Retryable { message, after } => {
                wit::NotifyError::Retryable(wit::Retry { message, after_ms: after.map(millis) })
            }
            NotifyError::Permanent(message) => wit::NotifyError::Permanent(message),
        }
    }
}
