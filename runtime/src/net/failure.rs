//! Failures of outgoing connections, and the stop-watch that shows how far one came.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::domain::{ErrorKind, Phases};

/// Settings that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum NetSetupError {
    #[error("TLS can't be set up")]
    Tls(#[from] rustls::Error),
    #[error("the SMTP settings are wrong: {0}")]
    Smtp(String),
}

/// Texts are for people: lower case, the thing named, and how to mend it where that is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    #[error("{0}")]
    Dns(String),
    /// Refused, unreachable, no route.
    #[error("{0}")]
    Connect(String),
    #[error("{0}")]
    Tls(String),
    /// The text names the phase that had not ended.
    #[error("{0}")]
    Timeout(String),
    #[error("{0}")]
    Protocol(String),
    /// The policy said no; the text names the setting that would allow it.
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    TooLarge(String),
}

impl NetError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            NetError::Dns(_) => ErrorKind::Dns,
            NetError::Connect(_) => ErrorKind::Connect,
            NetError::Tls(_) => ErrorKind::Tls,
            NetError::Timeout(_) => ErrorKind::Timeout,
            NetError::Protocol(_) | NetError::TooLarge(_) => ErrorKind::Protocol,
            NetError::Denied(_) => ErrorKind::Denied,
        }
    }
}

/// `phases` holds those that ended; the one that failed or was cut off is not among them, its time
/// is in `total_us`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct NetFailure {
    pub error: NetError,
    pub phases: Phases,
    pub total_us: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Dns,
    Connect,
    Tls,
    /// Sending counts to it.
    FirstByte,
    Body,
}

/// Measures the phases of one exchange and holds them to its deadline.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    pub(super) started: Instant,
    pub(super) deadline: Instant,
    pub(super) phases: Phases,
}

impl Trace {
    pub(super) fn new(deadline: Instant) -> Self {
        Self {
            started: Instant::now(),
            deadline,
            phases: Phases::default(),
        }
    }

    /// Runs one phase; its time is noted when it succeeds. `doing` completes "timed out after 2 s
    /// while …".
    pub(super) async fn phase<T>(
        &mut self,
        phase: Phase,
        doing: impl FnOnce() -> String,
        work: impl Future<Output = Result<T, NetError>>,
    ) -> Result<T, NetError> {
        let started = Instant::now();
        let done = self.until(doing, work).await?;
        self.note(phase, started.elapsed());
        Ok(done)
    }

    /// Holds a piece of work to the deadline.
    pub(super) async fn until<T>(
        &self,
        doing: impl FnOnce() -> String,
        work: impl Future<Output = Result<T, NetError>>,
    ) -> Result<T, NetError> {
        match timeout_at(self.deadline, work).await {
            Ok(result) => result,
            Err(_) => Err(self.timed_out(&doing())),
        }
    }

    pub(super) fn note(&mut self, phase: Phase, taken: Duration) {
        let slot = match phase {
            Phase::Dns => &mut self.phases.dns_us,
            Phase::Connect => &mut self.phases.connect_us,
            Phase::Tls => &mut self.phases.tls_us,
            Phase::FirstByte => &mut self.phases.first_byte_us,
            Phase::Body => &mut self.phases.body_us,
        };
        *slot = Some(micros(taken));
    }

    pub(super) fn timed_out(&self, doing: &str) -> NetError {
        let allowed = self.deadline.saturating_duration_since(self.started);
        NetError::Timeout(format!(
            "timed out after {} ms while {doing}",
            allowed.as_millis()
        ))
    }

    pub(super) fn total_us(&self) -> u64 {
        micros(self.started.elapsed())
    }

    pub(super) fn fail(&self, error: NetError) -> NetFailure {
        NetFailure {
            error,
            phases: self.phases,
            total_us: self.total_us(),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Returns an error with its causes in one line; a cause that its parent already names is left out.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// Returns the operating system's text for an input or output error, without its number.
pub(super) fn io_text(error: &std::io::Error) -> String {
    use std::io::ErrorKind::*;
    match error.kind() {
        ConnectionRefused => "connection refused".to_owned(),
        ConnectionReset => "connection reset by the other side".to_owned(),
        ConnectionAborted => "connection aborted".to_owned(),
        HostUnreachable => "no route to host".to_owned(),
        NetworkUnreachable => "network unreachable".to_owned(),
        BrokenPipe => "the other side closed the connection".to_owned(),
        UnexpectedEof => "the other side closed the connection early".to_owned(),
        TimedOut => "the operating system gave up waiting".to_owned(),
        _ => error.to_string().to_lowercase(),
    }
}

impl NetFailure {
    /// Returns a refusal before anything was attempted.
    pub fn denied(text: impl Into<String>) -> Self {
        NetError::Denied(text.into()).into()
    }
}

impl From<NetError> for NetFailure {
    fn from(error: NetError) -> Self {
        Self {
            error,
            phases: Phases::default(),
            total_us: 0,
        }
    }
}
