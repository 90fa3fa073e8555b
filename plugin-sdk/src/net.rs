//! Errors, phases and certificates of all outgoing connections.

use std::fmt;
use std::time::Duration;

use crate::clock;
use crate::probe::ErrorKind;
use crate::time::millis;
use crate::wit::net;
pub use crate::wit::net::{Certificate, Phases};

/// Reason why there was no answer. The text is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetError {
    Dns(String),
    Connect(String),
    Tls(String),
    Timeout(String),
    Protocol(String),
    /// Refused by the operator's policy; the text names the setting that would allow it.
    Denied(String),
    TooLarge(String),
    /// `NAME: TEXT`: an error of a later host.
    Other(String),
}

impl Certificate {
    /// Returns the whole days until the certificate ends, rounded down, so that 0 is the last day.
    pub fn days_left(&self) -> i64 {
        const DAY_S: i64 = 86_400;
        let now_s = i64::try_from(clock::now_ms() / 1_000).unwrap_or(i64::MAX);
        (self.not_after - now_s).div_euclid(DAY_S)
    }
}

/// Host and port to connect to, as the contract has it.
pub(crate) fn target(host: &str, port: u16, timeout: Option<Duration>) -> net::Target {
    net::Target {
        host: host.to_owned(),
        port,
        timeout_ms: timeout.map(millis),
        attributes: Vec::new(),
    }
}

/// Beginning of the host's text where a request's URL can't be read; the contract has no kind of
/// its own for it.
const WRONG_URL: &str = "the URL is wrong";

impl NetError {
    /// Returns the kind of failure this is in an observation.
    pub fn kind(&self) -> ErrorKind {
        match self {
            NetError::Dns(_) => ErrorKind::Dns,
            NetError::Connect(_) => ErrorKind::Connect,
            NetError::Tls(_) => ErrorKind::Tls,
            NetError::Timeout(_) => ErrorKind::Timeout,
            NetError::Protocol(_) | NetError::TooLarge(_) => ErrorKind::Protocol,
            NetError::Denied(_) => ErrorKind::Denied,
            NetError::Other(text) => {
                ErrorKind::Other(text.split(':').next().unwrap_or_default().to_owned())
            }
        }
    }

    /// Returns whether the same attempt may succeed later. A URL that is none stays so.
    pub fn is_temporary(&self) -> bool {
        match self {
            NetError::Denied(_) | NetError::TooLarge(_) => false,
            NetError::Protocol(text) => !text.starts_with(WRONG_URL),
            NetError::Dns(_)
            | NetError::Connect(_)
            | NetError::Tls(_)
            | NetError::Timeout(_)
            | NetError::Other(_) => true,
        }
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetError::Dns(text)
            | NetError::Connect(text)
            | NetError::Tls(text)
            | NetError::Timeout(text)
            | NetError::Protocol(text)
            | NetError::Denied(text)
            | NetError::TooLarge(text)
            | NetError::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for NetError {}

impl From<net::NetError> for NetError {
    fn from(error: net::NetError) -> Self {
        match error {
            net::NetError::Dns(text) => NetError::Dns(text),
            net::NetError::Connect(text) => NetError::Connect(text),
            net::NetError::Tls(text) => NetError::Tls(text),
            net::NetError::Timeout(text) => NetError::Timeout(text),
            net::NetError::Protocol(text) => NetError::Protocol(text),
            net::NetError::Denied(text) => NetError::Denied(text),
            net::NetError::TooLarge(text) => NetError::TooLarge(text),
            net::NetError::Other(text) => NetError::Other(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_none_is_not_tried_again() {
        assert!(
            !NetError::Protocol("the URL is wrong: relative URL without a base".to_owned())
                .is_temporary()
        );
        assert!(NetError::Protocol("the answer is no HTTP".to_owned()).is_temporary());
        assert!(NetError::Connect("refused".to_owned()).is_temporary());
    }
}
