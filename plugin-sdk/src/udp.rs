//! Datagrams to one peer, and from it alone.
#![cfg_attr(
    not(target_arch = "wasm32"),
    expect(
        clippy::useless_conversion,
        reason = "the fake has the right errors already"
    )
)]

use std::time::Duration;

use crate::net::{self, NetError, Phases};
use crate::time::millis;

#[cfg(not(target_arch = "wasm32"))]
use crate::fake::Socket as Inner;
#[cfg(target_arch = "wasm32")]
use crate::wit::udp::Socket as Inner;

/// An open socket; dropping it closes it.
pub struct Socket(Inner);

/// Opens a socket to a name or an address. Nothing is sent.
pub fn open(host: &str, port: u16, timeout: Option<Duration>) -> Result<Socket, NetError> {
    Inner::open(&net::target(host, port, timeout))
        .map(Socket)
        .map_err(NetError::from)
}

impl Socket {
    pub fn send(&self, datagram: impl AsRef<[u8]>) -> Result<(), NetError> {
        self.0.send(datagram.as_ref()).map_err(NetError::from)
    }

    /// Returns the next datagram; one of more than `max` bytes is an error and lost. After a
    /// time-out the socket can still be used: datagrams get lost, so send again.
    pub fn receive(&self, max: u32, timeout: Option<Duration>) -> Result<Vec<u8>, NetError> {
        self.0
            .receive(max, timeout.map(millis))
            .map_err(NetError::from)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Host, StreamScript};

    #[test]
    fn a_datagram_is_answered() {
        let host = Host::install();
        host.answer_udp("time.example:123", StreamScript::reading(&["now"]));
        let socket = open("time.example", 123, None).unwrap();
        socket.send(b"?").unwrap();
        assert_eq!(socket.receive(100, None).unwrap(), b"now");
        assert_eq!(host.udp_sent(), [b"?"]);
        let silent = socket.receive(100, Some(Duration::from_secs(1)));
        assert!(matches!(silent, Err(NetError::Timeout(_))), "{silent:?}");
    }
}
