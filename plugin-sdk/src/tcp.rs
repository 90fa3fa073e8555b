//! Raw TCP connections.
#![cfg_attr(
    not(target_arch = "wasm32"),
    expect(
        clippy::useless_conversion,
        reason = "the fake has the right errors already"
    )
)]

use std::time::Duration;

use crate::net::{NetError, Phases};
use crate::time::millis;

#[cfg(not(target_arch = "wasm32"))]
use crate::fake::Connection as Inner;
#[cfg(target_arch = "wasm32")]
use crate::wit::tcp::Connection as Inner;

/// An open connection; dropping it closes it.
pub struct Connection(Inner);

/// Opens a connection to a name or an address.
pub fn connect(host: &str, port: u16, timeout: Option<Duration>) -> Result<Connection, NetError> {
    Inner::open(host, port, timeout.map(millis))
        .map(Connection)
        .map_err(NetError::from)
}

impl Connection {
    /// Writes all of it.
    pub fn write(&self, bytes: &[u8]) -> Result<(), NetError> {
        self.0.write(bytes).map_err(NetError::from)
    }

    /// At most `max` bytes, as soon as some are there; empty when the other side closed.
    pub fn read(&self, max: u32) -> Result<Vec<u8>, NetError> {
        self.0.read(max).map_err(NetError::from)
    }

    /// Reads on until `wanted` was seen, the other side closed, or `max` bytes are there. Answers
    /// all of it.
    pub fn read_until(&self, wanted: &[u8], max: usize) -> Result<Vec<u8>, NetError> {
        let mut read: Vec<u8> = Vec::new();
        while read.len() < max {
            let bytes = self.read(u32::try_from(max - read.len()).unwrap_or(u32::MAX))?;
            if bytes.is_empty() {
                break;
            }
            // What was there before was looked at, but for a part that may begin at its end.
            let new = read.len().saturating_sub(wanted.len().saturating_sub(1));
            read.extend(bytes);
            if !wanted.is_empty()
                && read[new..]
                    .windows(wanted.len())
                    .any(|window| window == wanted)
            {
                break;
            }
        }
        Ok(read)
    }

    /// Times so far.
    pub fn phases(&self) -> Phases {
        self.0.phases()
    }

    /// Address and port of the other side.
    pub fn peer(&self) -> String {
        self.0.peer()
    }
}
