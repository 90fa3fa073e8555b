//! Observation: the result of one run of a probe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RateLimit, UnixMillis};

/// Status of a service in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Answered as wanted.
    Healthy,
    /// Answered as wanted, but slowly or with a warning.
    Degraded,
    /// Answered, wrongly.
    Unhealthy,
    /// No answer: DNS, connection, TLS, time-out, or the check itself is broken.
    Error,
}

impl Status {
    pub const ALL: [Status; 4] = [
        Status::Healthy,
        Status::Degraded,
        Status::Unhealthy,
        Status::Error,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Status::Healthy => "healthy",
            Status::Degraded => "degraded",
            Status::Unhealthy => "unhealthy",
            Status::Error => "error",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Healthy and degraded services are available.
    pub fn is_available(self) -> bool {
        matches!(self, Status::Healthy | Status::Degraded)
    }
}

/// Current status of a service: the result of its latest runs, or that they could not find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CurrentStatus {
    Healthy,
    /// The latest check broke: nothing is known of the service, good or bad.
    Unknown,
    Degraded,
    Unhealthy,
    Error,
}

impl CurrentStatus {
    /// All statuses, from the least to the most in need of a look: not to know is worse than to
    /// know that all is well.
    pub const ALL: [CurrentStatus; 5] = [
        CurrentStatus::Healthy,
        CurrentStatus::Unknown,
        CurrentStatus::Degraded,
        CurrentStatus::Unhealthy,
        CurrentStatus::Error,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            CurrentStatus::Healthy => "healthy",
            CurrentStatus::Unknown => "unknown",
            CurrentStatus::Degraded => "degraded",
            CurrentStatus::Unhealthy => "unhealthy",
            CurrentStatus::Error => "error",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Returns the status of one run.
    pub fn of(observation: &Observation) -> Self {
        match observation.status {
            _ if observation.is_check_broken() => CurrentStatus::Unknown,
            Status::Healthy => CurrentStatus::Healthy,
            Status::Degraded => CurrentStatus::Degraded,
            Status::Unhealthy => CurrentStatus::Unhealthy,
            Status::Error => CurrentStatus::Error,
        }
    }
}

/// Why a run found something other than healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ErrorKind {
    Dns,
    Connect,
    Tls,
    Timeout,
    Protocol,
    Assertion,
    Denied,
    Plugin,
}

impl ErrorKind {
    pub const ALL: [ErrorKind; 8] = [
        ErrorKind::Dns,
        ErrorKind::Connect,
        ErrorKind::Tls,
        ErrorKind::Timeout,
        ErrorKind::Protocol,
        ErrorKind::Assertion,
        ErrorKind::Denied,
        ErrorKind::Plugin,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Dns => "dns",
            ErrorKind::Connect => "connect",
            ErrorKind::Tls => "tls",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Protocol => "protocol",
            ErrorKind::Assertion => "assertion",
            ErrorKind::Denied => "denied",
            ErrorKind::Plugin => "plugin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    pub kind: ErrorKind,
    /// Text for people; at most [`Failure::MAX_MESSAGE_BYTES`].
    pub message: String,
}

impl Failure {
    pub const MAX_MESSAGE_BYTES: usize = 1024;

    /// Cuts an over-long message at a character boundary.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > Self::MAX_MESSAGE_BYTES {
            let mut end = Self::MAX_MESSAGE_BYTES - '…'.len_utf8();
            while !message.is_char_boundary(end) {
                end -= 1;
            }
            message.truncate(end);
            message.push('…');
        }
        Self { kind, message }
    }
}

/// Durations in microseconds; `None` where a phase did not happen. With several calls in a run,
/// their sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Phases {
    pub dns_us: Option<u64>,
    pub connect_us: Option<u64>,
    pub tls_us: Option<u64>,
    pub first_byte_us: Option<u64>,
    pub body_us: Option<u64>,
}

impl Phases {
    pub fn add(&mut self, other: &Phases) {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0) + b.unwrap_or(0)),
        };
        self.dns_us = sum(self.dns_us, other.dns_us);
        self.connect_us = sum(self.connect_us, other.connect_us);
        self.tls_us = sum(self.tls_us, other.tls_us);
        self.first_byte_us = sum(self.first_byte_us, other.first_byte_us);
        self.body_us = sum(self.body_us, other.body_us);
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum MetricValue {
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    pub name: String,
    pub value: MetricValue,
}

/// One run of a probe, as it is stored, judged and shown. Missed runs are observations too: status
/// `error`, kind `plugin`, `missed` set, so that a gap never reads as availability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// When the run was due.
    pub ts_ms: UnixMillis,
    pub service: String,
    pub probe: String,
    pub location: String,
    pub status: Status,
    pub latency_us: Option<u64>,
    pub phases: Phases,
    pub http_status: Option<u16>,
    pub failure: Option<Failure>,
    /// Bytes received.
    pub bytes: u64,
    pub plugin: String,
    pub plugin_version: String,
    pub run_id: i64,
    pub metrics: Vec<Metric>,
    /// The run did not take place: it was due while the one before was still going, or while the
    /// program was too busy.
    pub missed: bool,
    /// Not part of what a replay compares either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded: Option<Exclusion>,
    /// Rate limits in the headers of its answers; of each limit the last reading. Not part of what
    /// a replay compares: moments in it are those of the clock.
    #[serde(skip)]
    pub rate_limits: Vec<RateLimit>,
}

/// Why a run counts neither for nor against its service, whatever it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exclusion {
    /// The run was due in a maintenance window of its service.
    Maintenance,
    /// The run was due while its service was paused; nothing was checked, but for what a person
    /// asked for.
    Paused,
}

impl Exclusion {
    pub fn as_str(self) -> &'static str {
        match self {
            Exclusion::Maintenance => "maintenance",
            Exclusion::Paused => "paused",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Maintenance, Self::Paused]
            .into_iter()
            .find(|exclusion| exclusion.as_str() == text)
    }
}

impl Observation {
    /// Returns what the program found out about itself: `subject` is well, or failed.
    pub fn of_program(
        ts_ms: UnixMillis,
        subject: &str,
        probe: &str,
        failure: Option<Failure>,
        run_id: i64,
    ) -> Self {
        Self {
            ts_ms,
            service: subject.to_owned(),
            probe: probe.to_owned(),
            location: LOCAL.to_owned(),
            status: if failure.is_some() {
                Status::Error
            } else {
                Status::Healthy
            },
            latency_us: None,
            phases: Phases::default(),
            http_status: None,
            failure,
            bytes: 0,
            plugin: probe.to_owned(),
            plugin_version: String::new(),
            run_id,
            metrics: Vec::new(),
            missed: false,
            excluded: None,
            rate_limits: Vec::new(),
        }
    }

    /// True if the check itself broke, or did not take place: it is no evidence about the service,
    /// and counts neither for nor against it.
    pub fn is_check_broken(&self) -> bool {
        let blames_itself = self
            .failure
            .as_ref()
            .is_some_and(|failure| failure.kind == ErrorKind::Plugin);
        self.missed || (blames_itself && !self.status.is_available())
    }
}

/// The location of everything that runs in this process.
pub const LOCAL: &str = "local";
