//! Notifiers: the message, and the result of sending it.

mod text;

use std::time::Duration;

pub use text::{length, one_line, printable, shorten, shorten_escaped};

use crate::http::Response;
use crate::mail::MailError;
use crate::net::NetError;
use crate::time::{millis, parse_http_date};
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

impl wit::Notification {
    /// One line for a lock screen: `[FIRING] Shop API: Service Down`, or `[FIRING] 3 alerts: Shop
    /// API, Payments`; the operator's own, where the channel has a template with a title.
    pub fn title(&self) -> String {
        if let Some(title) = self.attribute("title") {
            return title.to_owned();
        }
        let status = self.status.as_str().to_uppercase();
        match self.alerts.as_slice() {
            [alert] => format!("[{status}] {}: {}", alert.service_name, alert.name),
            alerts => {
                let mut names: Vec<&str> = alerts
                    .iter()
                    .map(|alert| alert.service_name.as_str())
                    .collect();
                names.sort_unstable();
                names.dedup();
                let more = if names.len() > 3 { " …" } else { "" };
                names.truncate(3);
                format!(
                    "[{status}] {} alerts: {}{more}",
                    self.beyond(0),
                    names.join(", ")
                )
            }
        }
    }

    /// The operator's own words, to be sent in place of the notifier's: plain text, without markup.
    pub fn text(&self) -> Option<&str> {
        self.attribute("text")
    }

    /// The same as HTML, for channels that take a whole page.
    pub fn html(&self) -> Option<&str> {
        self.attribute("html")
    }

    /// Returns the other side's name for the earlier message about the same group: its
    /// [`Receipt::reference`]. None after the group ended and before the first message.
    pub fn reference(&self) -> Option<&str> {
        self.attribute("reference")
    }

    /// Counts the alerts behind the first so many of [`Self::alerts`], for a text such as "and 20
    /// more". A group may have more alerts than the host puts into one message.
    pub fn beyond(&self, shown: usize) -> u64 {
        let omitted = self
            .attributes
            .iter()
            .find(|entry| entry.key == "omitted-alerts")
            .map(|entry| &entry.value);
        let omitted = match omitted {
            Some(crate::value::Value::Integer(count)) => u64::try_from(*count).unwrap_or_default(),
            _ => 0,
        };
        self.alerts.len().saturating_sub(shown) as u64 + omitted
    }

    /// A text among the attributes.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|entry| entry.key == key)
            .and_then(|entry| match &entry.value {
                crate::value::Value::Text(text) => Some(text.as_str()),
                _ => None,
            })
    }

    /// The most severe of its alerts' severities: `critical`, `warning` or `info`; empty without
    /// alerts.
    pub fn severity(&self) -> &str {
        let rank = |severity: &str| {
            ["critical", "warning", "info"]
                .iter()
                .position(|known| *known == severity)
        };
        let severities = self.alerts.iter().map(|alert| alert.severity.as_str());
        severities
            .min_by_key(|severity| rank(severity).unwrap_or(usize::MAX))
            .unwrap_or_default()
    }
}

impl wit::Alert {
    /// How long it lasted, to the second; none while it fires.
    pub fn lasted(&self) -> Option<Duration> {
        self.ended_ms
            .map(|ended_ms| Duration::from_secs(ended_ms.saturating_sub(self.started_ms) / 1_000))
    }

    /// A label by name.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The message was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The other side's name for the message.
    pub reference: Option<String>,
    /// Answer of the other side, for the attempt's record.
    pub answer: String,
}

impl Receipt {
    pub fn new(answer: impl Into<String>) -> Self {
        Self {
            reference: None,
            answer: answer.into(),
        }
    }

    pub fn reference(mut self, reference: impl Into<String>) -> Self {
        self.reference = Some(reference.into());
        self
    }
}

/// The message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifyError {
    /// Worth another attempt, not before `after` if the other side named a time.
    Retryable {
        message: String,
        after: Option<Duration>,
    },
    Permanent(String),
}

impl NotifyError {
    pub fn retryable(message: impl Into<String>) -> Self {
        NotifyError::Retryable {
            message: message.into(),
            after: None,
        }
    }

    pub fn permanent(message: impl Into<String>) -> Self {
        NotifyError::Permanent(message.into())
    }
}

/// Longest part of an answer that goes into a record.
const ANSWER_BYTES: usize = 300;

impl Receipt {
    /// Judges an HTTP answer: success is a receipt; a time-out, a limit or a fault of the server is
    /// worth another attempt, after the time in `Retry-After`; anything else will not get
    /// better.
    pub fn from_response(response: &Response) -> Result<Self, NotifyError> {
        let answer = format!("{} {}", response.status, beginning(&response.text()))
            .trim_end()
            .to_owned();
        match response.status {
            200..=299 => Ok(Receipt::new(answer)),
            408 | 425 | 429 | 500..=599 => {
                let after = response
                    .header("retry-after")
                    .and_then(|text| retry_after(text, response.header("date")));
                Err(NotifyError::Retryable {
                    message: answer,
                    after,
                })
            }
            _ => Err(NotifyError::Permanent(answer)),
        }
    }
}

/// Seconds, which some write with a fraction, or a moment (RFC 9110, 10.2.3), which is compared
/// with the answer's own `date`: the clocks of both sides may differ.
fn retry_after(text: &str, date: Option<&str>) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.ceil()).ok();
    }
    let (then, now) = (parse_http_date(text)?, parse_http_date(date?.trim())?);
    Some(Duration::from_millis(then.saturating_sub(now)))
}

/// The beginning of an answer, cut at a character.
fn beginning(text: &str) -> &str {
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
            MailError::Permanent(text) | MailError::Denied(text) | MailError::Other(text) => {
                NotifyError::permanent(text)
            }
        }
    }
}

impl From<Receipt> for wit::Receipt {
    fn from(receipt: Receipt) -> Self {
        let Receipt { reference, answer } = receipt;
        Self {
            reference,
            answer,
            attributes: Vec::new(),
        }
    }
}

impl From<NotifyError> for wit::NotifyError {
    fn from(error: NotifyError) -> Self {
        match error {
            NotifyError::Retryable { message, after } => wit::NotifyError::Retryable(wit::Retry {
                message,
                after_ms: after.map(millis),
                attributes: Vec::new(),
            }),
            NotifyError::Permanent(message) => wit::NotifyError::Permanent(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Host, response};

    #[test]
    fn comes_back_when_the_other_side_says() {
        let after = |value: &str| {
            let host = Host::install();
            let date = "Sun, 29 Nov 2026 10:00:00 GMT";
            host.answer_http(
                "POST https://a.example/",
                response(429, "")
                    .with_header("Retry-After", value)
                    .with_header("Date", date),
            );
            let response = crate::http::post("https://a.example/").send().unwrap();
            match Receipt::from_response(&response) {
                Err(NotifyError::Retryable { after, .. }) => after.map(|after| after.as_secs()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(after("120"), Some(120));
        assert_eq!(after("1.2"), Some(2));
        assert_eq!(after("Sun, 29 Nov 2026 10:01:30 GMT"), Some(90));
        assert_eq!(after("Sun, 29 Nov 2026 09:00:00 GMT"), Some(0));
        assert_eq!(after("soon"), None);
        assert_eq!(after("-1"), None);
    }
}
