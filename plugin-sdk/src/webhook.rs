//! Webhooks: the delivery of a sender, and the events it becomes.

use std::time::Duration;

use serde_json::Value;

use crate::cel::CelError;
use crate::net::NetError;
use crate::probe::{ErrorKind, Failure, Status};
use crate::settings::Secret;
use crate::signatures::{self, Place, Scheme, SignatureError};
use crate::value::{self, Entry};
use crate::wit::webhook::exports::external_tracking::plugin::webhooks as wit;

/// One request of a sender. Until a signature was right, it may be anybody's.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Slug of the service the webhook belongs to.
    pub service: String,
    pub method: String,
    /// Part of the path behind the webhook's own address, with its `/`; may be empty. A secret of the
    /// settings is `***` in it, in the query and in headers.
    pub path: String,
    /// Query without its `?`.
    pub query: String,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Milliseconds since 1970.
    pub received_ms: u64,
    /// Time until this run is cut off, counted from its start.
    pub timeout: Duration,
    pub attributes: Vec<Entry>,
}

impl Delivery {
    pub(crate) fn new(context: wit::Context, request: wit::Request) -> Self {
        let wit::Request {
            method,
            path,
            query,
            headers,
            body,
            received_ms,
            mut attributes,
        } = request;
        attributes.extend(context.attributes);
        let timeout = Duration::from_millis(context.timeout_ms);
        Self {
            service: context.service,
            method,
            path,
            query,
            headers,
            body,
            received_ms,
            timeout,
            attributes,
        }
    }

    /// Checks the sender's signature with a [`Secret`] or [`crate::settings::Secrets`].
    pub fn verify(
        &self,
        scheme: Scheme,
        secrets: impl AsRef<[Secret]>,
    ) -> Result<(), SignatureError> {
        signatures::verify(scheme, secrets, &self.headers, &self.body, None)
    }

    /// Checks a secret that the sender sends as it is in a header, alone or behind a word such as
    /// `Bearer`.
    pub fn verify_header(
        &self,
        name: &str,
        secrets: impl AsRef<[Secret]>,
    ) -> Result<(), SignatureError> {
        signatures::verify_sent(self, secrets.as_ref(), Place::Header(name))
    }

    /// Checks a secret that the sender sends as it is in the URL: `?name=SECRET`.
    pub fn verify_query(
        &self,
        name: &str,
        secrets: impl AsRef<[Secret]>,
    ) -> Result<(), SignatureError> {
        signatures::verify_sent(self, secrets.as_ref(), Place::Query(name))
    }

    /// Checks a secret that the sender sends as it is as a segment of the path.
    pub fn verify_path(&self, secrets: impl AsRef<[Secret]>) -> Result<(), SignatureError> {
        signatures::verify_sent(self, secrets.as_ref(), Place::Path)
    }

    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// A value of the query, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        pair(&self.query, name)
    }

    /// A field of a body that is a form (`application/x-www-form-urlencoded`), decoded.
    pub fn form(&self, name: &str) -> Option<String> {
        let content_type = self.header("content-type")?.split(';').next()?.trim();
        let is_form = content_type.eq_ignore_ascii_case("application/x-www-form-urlencoded");
        is_form.then(|| pair(&self.text(), name)).flatten()
    }

    /// The body as JSON, with or without a byte order mark; anything else is malformed.
    pub fn json(&self) -> Result<Value, Reject> {
        serde_json::from_slice(value::without_mark(&self.body))
            .map_err(|error| Reject::malformed(format!("the body is not JSON: {error}")))
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn pair(pairs: &str, name: &str) -> Option<String> {
    let mut pairs = pairs
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .find(|(key, _)| decode(key) == name)
        .map(|(_, value)| decode(value))
}

/// `%2F` is `/`, `+` is a space.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = (first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match (
            first,
            hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()),
        ) {
            (_, Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', None) => {
                bytes.push(b' ');
                rest = tail;
            }
            (other, None) => {
                bytes.push(other);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Event of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: Option<String>,
    pub kind: String,
    pub ts_ms: Option<u64>,
    pub summary: String,
    pub payload: Value,
    pub attributes: Vec<Entry>,
    pub report: Option<Report>,
}

impl Event {
    /// `kind` is the sender's word for it, `summary` one line for people.
    pub fn new(kind: impl Into<String>, summary: impl Into<String>) -> Self {
        Self {
            id: None,
            kind: kind.into(),
            ts_ms: None,
            summary: summary.into(),
            payload: Value::Null,
            attributes: Vec::new(),
            report: None,
        }
    }

    /// The sender's id: an event that is sent again is kept once.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// When it happened by the sender's clock, in milliseconds since 1970.
    pub fn at_ms(mut self, ts_ms: u64) -> Self {
        self.ts_ms = Some(ts_ms);
        self
    }

    /// Sets the part of the delivery that is worth keeping; at most 256 KiB as text.
    pub fn payload(mut self, payload: impl Into<Value>) -> Self {
        self.payload = payload.into();
        self
    }

    /// A short value beside the payload, to select by.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<value::Value>) -> Self {
        self.attributes.push(Entry {
            key: name.into(),
            value: value.into(),
        });
        self
    }

    /// Adds the service's report of its own health, which becomes an observation.
    pub fn report(mut self, report: Report) -> Self {
        self.report = Some(report);
        self
    }
}

/// A service's report of its own health.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub status: Status,
    pub failure: Option<Failure>,
    pub metrics: Vec<Entry>,
}

impl Report {
    pub fn healthy() -> Self {
        Self {
            status: Status::Healthy,
            failure: None,
            metrics: Vec::new(),
        }
    }

    pub fn degraded(message: impl Into<String>) -> Self {
        Self::failed(Status::Degraded, message)
    }

    pub fn unhealthy(message: impl Into<String>) -> Self {
        Self::failed(Status::Unhealthy, message)
    }

    /// Any status; with a healthy one there is no message.
    pub fn failed(status: Status, message: impl Into<String>) -> Self {
        let failure = Failure::new(ErrorKind::Assertion, message);
        Self {
            status,
            failure: (status != Status::Healthy).then_some(failure),
            metrics: Vec::new(),
        }
    }

    /// Adds a figure that is stored with the observation.
    pub fn metric(mut self, name: impl Into<String>, value: impl Into<value::Value>) -> Self {
        self.metrics.push(Entry {
            key: name.into(),
            value: value.into(),
        });
        self
    }
}

/// The delivery is taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reception {
    /// Empty: received and of no interest.
    pub events: Vec<Event>,
    /// Content type and body, for senders that want more than a success.
    pub answer: Option<(&'static str, Vec<u8>)>,
}

impl Reception {
    /// Answers a sender that wants its challenge back; at most 4 KiB.
    pub fn text(body: impl Into<Vec<u8>>) -> Self {
        Self {
            events: Vec::new(),
            answer: Some(("text/plain", body.into())),
        }
    }

    /// The same as JSON.
    pub fn json(body: &Value) -> Self {
        Self {
            events: Vec::new(),
            answer: Some(("application/json", body.to_string().into_bytes())),
        }
    }
}

impl From<Event> for Reception {
    fn from(event: Event) -> Self {
        Self {
            events: vec![event],
            answer: None,
        }
    }
}

/// The delivery is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reject {
    /// The sender is not proved.
    Unauthenticated(String),
    /// Signed well, but not what the plugin knows.
    Malformed(String),
    /// Settings that can't work, found too late for `check_settings`.
    Settings(String),
    /// The plugin can't go on; the sender is asked to come again.
    Internal(String),
}

impl Reject {
    pub fn malformed(message: impl Into<String>) -> Self {
        Reject::Malformed(message.into())
    }
}

impl From<SignatureError> for Reject {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::NoSecret(text) | SignatureError::Unsupported(text) => {
                Reject::Settings(text)
            }
            other => Reject::Unauthenticated(other.to_string()),
        }
    }
}

impl From<CelError> for Reject {
    fn from(error: CelError) -> Self {
        match error {
            CelError::Invalid(text) => Reject::Settings(text),
            CelError::Failed(text) => Reject::Malformed(text),
            CelError::Other(text) => Reject::Internal(text),
        }
    }
}

impl From<NetError> for Reject {
    fn from(error: NetError) -> Self {
        Reject::Internal(error.to_string())
    }
}

/// Types that a webhook function may return: nothing of interest, one event, several, or a reception with
/// an answer.
pub trait Outcome {
    fn into_result(self) -> Result<Reception, Reject>;
}

impl Outcome for Reception {
    fn into_result(self) -> Result<Reception, Reject> {
        Ok(self)
    }
}

impl Outcome for Event {
    fn into_result(self) -> Result<Reception, Reject> {
        Ok(self.into())
    }
}

impl Outcome for Option<Event> {
    fn into_result(self) -> Result<Reception, Reject> {
        Vec::from_iter(self).into_result()
    }
}

impl Outcome for Vec<Event> {
    fn into_result(self) -> Result<Reception, Reject> {
        Ok(Reception {
            events: self,
            answer: None,
        })
    }
}

impl<T: Outcome, E: Into<Reject>> Outcome for Result<T, E> {
    fn into_result(self) -> Result<Reception, Reject> {
        self.map_err(Into::into)?.into_result()
    }
}

impl From<Event> for wit::Event {
    fn from(event: Event) -> Self {
        let Event {
            id,
            kind,
            ts_ms,
            summary,
            payload,
            attributes,
            report,
        } = event;
        let report = report.map(
            |Report {
                 status,
                 failure,
                 metrics,
             }| wit::Report {
                status,
                failure,
                metrics,
                attributes: Vec::new(),
            },
        );
        Self {
            id,
            kind,
            ts_ms,
            summary,
            payload: payload.to_string(),
            attributes,
            report,
        }
    }
}

impl From<Reception> for wit::Reception {
    fn from(reception: Reception) -> Self {
        let answer = reception.answer.map(|(content_type, body)| wit::Answer {
            content_type: content_type.into(),
            body,
            attributes: Vec::new(),
        });
        Self {
            events: reception.events.into_iter().map(wit::Event::from).collect(),
            answer,
            attributes: Vec::new(),
        }
    }
}

impl From<Reject> for wit::Reject {
    fn from(reject: Reject) -> Self {
        match reject {
            Reject::Unauthenticated(text) => wit::Reject::Unauthenticated(text),
            Reject::Malformed(text) => wit::Reject::Malformed(text),
            Reject::Settings(text) => wit::Reject::Settings(text),
            Reject::Internal(text) => wit::Reject::Internal(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::delivery;

    #[test]
    fn reads_the_url_and_forms() {
        let delivery = delivery("a=1&text=a%2Bb+c%20%C3%BC&bad=%zz%2")
            .with_query("token=s%20t&empty&=x")
            .with_header(
                "Content-Type",
                "application/x-www-form-urlencoded; charset=utf-8",
            );
        assert_eq!(delivery.query("token").as_deref(), Some("s t"));
        assert_eq!(delivery.query("empty").as_deref(), Some(""));
        assert_eq!(delivery.query("none"), None);
        assert_eq!(delivery.form("text").as_deref(), Some("a+b c ü"));
        assert_eq!(delivery.form("bad").as_deref(), Some("%zz%2"));
        let json = crate::fake::delivery("a=1").with_header("content-type", "application/json");
        assert_eq!(json.form("a"), None);
    }

    #[test]
    fn what_a_signature_error_means_for_the_sender() {
        for (error, wanted) in [
            (
                SignatureError::Mismatch,
                Reject::Unauthenticated("the signature does not match".to_owned()),
            ),
            (
                SignatureError::Expired("late".to_owned()),
                Reject::Unauthenticated("late".to_owned()),
            ),
            (
                SignatureError::NoSecret("none".to_owned()),
                Reject::Settings("none".to_owned()),
            ),
        ] {
            assert_eq!(Reject::from(error), wanted);
        }
    }
}
