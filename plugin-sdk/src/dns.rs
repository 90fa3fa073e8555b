//! DNS queries.

use std::time::Duration;

use crate::net::NetError;
use crate::time::millis;
use crate::wit::dns as wit;
pub use crate::wit::dns::{Answer, Response};

/// Makes a query for a record type: `A`, `AAAA`, `CNAME`, `MX`, `NS`, `SOA`, `SRV`, `TXT`, `CAA` or
/// `PTR`.
pub fn query(name: impl Into<String>, record_type: impl Into<String>) -> Query {
    Query(wit::Query {
        name: name.into(),
        record_type: record_type.into(),
        server: None,
        timeout_ms: None,
        attributes: Vec::new(),
    })
}

/// One query, built step by step and then sent.
#[derive(Debug, Clone)]
pub struct Query(wit::Query);

impl Query {
    /// `host:port` of the server, in place of the system's.
    pub fn server(mut self, server: impl Into<String>) -> Self {
        self.0.server = Some(server.into());
        self
    }

    /// Shorter than what is left of the run.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout_ms = Some(millis(timeout));
        self
    }

    /// Sends it. A name that does not exist is an answer, with the code `NXDOMAIN`.
    pub fn send(self) -> Result<Response, NetError> {
        #[cfg(target_arch = "wasm32")]
        return wit::resolve(&self.0).map_err(NetError::from);
        #[cfg(not(target_arch = "wasm32"))]
        crate::fake::with(|host| host.dns(&self.0))
    }
}
