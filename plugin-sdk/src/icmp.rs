//! Echo requests of ICMP and ICMPv6.

use std::time::Duration;

use crate::net::NetError;
use crate::time::millis;
use crate::wit::icmp as wit;
pub use crate::wit::icmp::Echoes;

/// Makes five echo requests to a name or an address, 200 ms apart, each waited for for a second.
pub fn ping(host: impl Into<String>) -> Ping {
    Ping(wit::Echo {
        host: host.into(),
        count: 5,
        interval_ms: 200,
        timeout_ms: 1_000,
        size: 56,
        attributes: Vec::new(),
    })
}

/// Echo requests, built step by step and then sent.
#[derive(Debug, Clone)]
pub struct Ping(wit::Echo);

impl Ping {
    /// Requests, 1 to 100.
    pub fn count(mut self, count: u32) -> Self {
        self.0.count = count;
        self
    }

    /// Time from one request to the next, at least 10 ms.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.0.interval_ms = millis(interval);
        self
    }

    /// Time that the answer to each request is waited for.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout_ms = millis(timeout);
        self
    }

    /// Bytes behind the header, 8 to 1,400.
    pub fn size(mut self, size: u32) -> Self {
        self.0.size = size;
        self
    }

    /// Sends them. A request without an answer is no error. `NetError::Denied` also where the system
    /// lets the program send none.
    pub fn send(self) -> Result<Echoes, NetError> {
        #[cfg(target_arch = "wasm32")]
        return wit::ping(&self.0).map_err(NetError::from);
        #[cfg(not(target_arch = "wasm32"))]
        crate::fake::with(|host| host.icmp(&self.0))
    }
}
