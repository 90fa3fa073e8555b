//! Probes: the input of a check, and its result.

use std::time::Duration;

use crate::cel::CelError;
use crate::http::NotJson;
use crate::net::NetError;
use crate::url;
use crate::value::{self, Entry, Value};
use crate::wit::probe::exports::external_tracking::plugin::probes as wit;
pub use crate::wit::types::{ErrorKind, Failure, Service, Status};

impl Status {
    /// Returns the name that is used everywhere in the product, e.g. `healthy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Healthy => "healthy",
            Status::Degraded => "degraded",
            Status::Unhealthy => "unhealthy",
            Status::Error => "error",
        }
    }
}

impl ErrorKind {
    /// Returns the name that is used everywhere in the product, e.g. `timeout`.
    pub fn as_str(&self) -> &str {
        match self {
            ErrorKind::Dns => "dns",
            ErrorKind::Connect => "connect",
            ErrorKind::Tls => "tls",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Protocol => "protocol",
            ErrorKind::Assertion => "assertion",
            ErrorKind::Denied => "denied",
            ErrorKind::Plugin => "plugin",
            ErrorKind::Other(name) => name,
        }
    }
}

impl Failure {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            attributes: Vec::new(),
        }
    }
}

/// Input of one run of a probe, beside its settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub service: Service,
    /// Time until this run is cut off, counted from its start.
    pub timeout: Duration,
    /// Result of the run before.
    pub previous: Option<Observation>,
    /// Names of the service's credentials; `default` is the one in its `authentication`.
    pub credentials: Vec<String>,
    pub attributes: Vec<Entry>,
}

impl Check {
    /// Builds a check of a service at a base URL, for tests.
    pub fn of(base_url: impl Into<String>) -> Self {
        let service = Service {
            slug: "test".to_owned(),
            name: "Test".to_owned(),
            base_url: base_url.into(),
            attributes: Vec::new(),
        };
        Self {
            service,
            timeout: Duration::from_secs(5),
            previous: None,
            credentials: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// Returns the credential the service is normally used with, if it has one.
    pub fn default_credential(&self) -> Option<&'static str> {
        self.credentials
            .iter()
            .any(|name| name == "default")
            .then_some("default")
    }
}

impl Service {
    /// Joins the base URL and a path; a path that is a whole URL replaces it.
    pub fn url(&self, path: &str) -> String {
        url::join(&self.base_url, path)
    }

    /// Returns the path of the service's health endpoint.
    pub fn health_endpoint(&self) -> Option<&str> {
        value::text(&self.attributes, "health-endpoint")
    }

    /// Returns host and port of the base URL; the port of its scheme if it names none.
    pub fn host_and_port(&self) -> Option<(String, Option<u16>)> {
        let (host, port) = url::host_and_port(&self.base_url)?;
        let default = match self.base_url.split_once("://").map(|(scheme, _)| scheme) {
            Some("https") => Some(443),
            Some("http") => Some(80),
            _ => None,
        };
        Some((host, port.or(default)))
    }
}

/// Result of one run. The host adds the phases of the connection by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    pub status: Status,
    /// Boxed, so that an early end, which carries an observation, is small.
    pub failure: Option<Box<Failure>>,
    pub latency: Option<Duration>,
    pub http_status: Option<u16>,
    pub metrics: Vec<Entry>,
    /// What is for the host, such as `incidents`; see the contract.
    pub attributes: Vec<Entry>,
}

impl Observation {
    pub fn new(status: Status, failure: Option<Failure>) -> Self {
        Self {
            status,
            failure: failure.map(Box::new),
            latency: None,
            http_status: None,
            metrics: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// Builds the result of an answer as wanted.
    pub fn healthy() -> Self {
        Self::new(Status::Healthy, None)
    }

    /// Builds the result of an answer as wanted, but slow or with a warning. The message names the
    /// value found beside the value wanted.
    pub fn degraded(message: impl Into<String>) -> Self {
        Self::failed(Status::Degraded, ErrorKind::Assertion, message)
    }

    /// Builds the result of a wrong answer. The message names the value found beside the value
    /// wanted.
    pub fn unhealthy(message: impl Into<String>) -> Self {
        Self::failed(Status::Unhealthy, ErrorKind::Assertion, message)
    }

    /// Builds any other combination.
    pub fn failed(status: Status, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::new(status, Some(Failure::new(kind, message)))
    }

    /// Adds a figure that is stored with the observation.
    pub fn metric(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metrics.push(Entry {
            key: name.into(),
            value: value.into(),
        });
        self
    }

    /// Adds an attribute of the contract, which is not stored with the observation.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.attributes.push(Entry {
            key: name.into(),
            value: value.into(),
        });
        self
    }

    /// Replaces the time of the run's network calls, which the host takes otherwise.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = Some(latency);
        self
    }

    /// Becomes degraded if it is healthy and took longer than a limit.
    pub fn unless_over(mut self, limit: Option<Duration>, took: Duration) -> Self {
        if let Some(limit) = limit.filter(|limit| took > *limit && self.status == Status::Healthy) {
            let slow = Observation::degraded(format!(
                "took {} ms, wanted at most {}",
                took.as_millis(),
                crate::time::format(limit)
            ));
            (self.status, self.failure) = (slow.status, slow.failure);
        }
        self
    }

    pub fn http_status(mut self, status: u16) -> Self {
        self.http_status = Some(status);
        self
    }

    /// Returns the text of the failure; empty without one.
    pub fn message(&self) -> &str {
        self.failure
            .as_ref()
            .map_or("", |failure| failure.message.as_str())
    }

    /// Returns the kind of the failure.
    pub fn kind(&self) -> Option<ErrorKind> {
        self.failure.as_ref().map(|failure| failure.kind.clone())
    }
}

impl From<NetError> for Observation {
    /// A failed call is a service without an answer.
    fn from(error: NetError) -> Self {
        Observation::failed(Status::Error, error.kind(), error.to_string())
    }
}

/// Ends a check early, by `?`: with an observation, or because the run itself is broken.
#[derive(Debug, Clone, PartialEq)]
pub enum Stop {
    Found(Observation),
    /// Settings that can't work, found too late for `check_settings`.
    Settings(String),
    /// The plugin can't go on; not a statement about the service.
    Internal(String),
}

impl Stop {
    /// Ends with the result of a wrong answer.
    pub fn unhealthy(message: impl Into<String>) -> Self {
        Stop::Found(Observation::unhealthy(message))
    }
}

impl From<Observation> for Stop {
    fn from(observation: Observation) -> Self {
        Stop::Found(observation)
    }
}

impl From<NetError> for Stop {
    fn from(error: NetError) -> Self {
        Stop::Found(error.into())
    }
}

impl From<NotJson> for Stop {
    fn from(error: NotJson) -> Self {
        Stop::unhealthy(error.0)
    }
}

impl From<CelError> for Stop {
    fn from(error: CelError) -> Self {
        match error {
            CelError::Invalid(text) => Stop::Settings(text),
            CelError::Failed(text) => Stop::unhealthy(text),
            CelError::Other(text) => Stop::Internal(text),
        }
    }
}

/// Types that a probe function may return: an observation, or a result that ends early with one.
pub trait Outcome {
    fn into_result(self) -> Result<Observation, Stop>;
}

impl Outcome for Observation {
    fn into_result(self) -> Result<Observation, Stop> {
        Ok(self)
    }
}

impl<E: Into<Stop>> Outcome for Result<Observation, E> {
    fn into_result(self) -> Result<Observation, Stop> {
        self.map_err(Into::into)
    }
}

impl From<wit::Context> for Check {
    fn from(context: wit::Context) -> Self {
        Self {
            service: context.service,
            timeout: Duration::from_millis(context.timeout_ms),
            previous: context.previous.map(Observation::from),
            credentials: context.credentials,
            attributes: context.attributes,
        }
    }
}

impl From<wit::Observation> for Observation {
    fn from(observation: wit::Observation) -> Self {
        let wit::Observation {
            status,
            failure,
            latency_us,
            http_status,
            metrics,
            attributes,
        } = observation;
        Self {
            status,
            failure: failure.map(Box::new),
            latency: latency_us.map(Duration::from_micros),
            http_status,
            metrics,
            attributes,
        }
    }
}

impl From<Observation> for wit::Observation {
    fn from(observation: Observation) -> Self {
        let Observation {
            status,
            failure,
            latency,
            http_status,
            metrics,
            attributes,
        } = observation;
        let latency_us =
            latency.map(|latency| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        Self {
            status,
            failure: failure.map(|failure| *failure),
            latency_us,
            http_status,
            metrics,
            attributes,
        }
    }
}
