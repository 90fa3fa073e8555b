//! Datagrams to one peer, for a probe that speaks its own protocol.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::connect::resolve;
use super::context::NetContext;
use super::failure::{NetError, NetFailure, Phase, Trace, io_text};
use super::host_text::parse_host;
use super::policy::Permission;
use crate::domain::Phases;

/// Limit of a datagram that IPv4 can carry.
const MAX_DATAGRAM_BYTES: usize = 65_507;

/// A socket that sends to one address and receives from it alone.
#[derive(Debug)]
pub struct UdpPeer {
    socket: UdpSocket,
    peer: SocketAddr,
    trace: Trace,
    /// Start of the wait for the first datagram: the opening, then each one sent until one came.
    waiting_since: Instant,
}

impl UdpPeer {
    pub(super) async fn open(
        context: &NetContext,
        permission: &Permission,
        host: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<Self, NetFailure> {
        let mut trace = Trace::new(deadline);
        let opened = open(context, &mut trace, permission, host, port).await;
        match opened {
            Ok((socket, peer)) => Ok(Self {
                socket,
                peer,
                trace,
                waiting_since: Instant::now(),
            }),
            Err(error) => Err(trace.fail(error)),
        }
    }

    pub async fn send(&mut self, datagram: &[u8], deadline: Instant) -> Result<(), NetFailure> {
        if datagram.len() > MAX_DATAGRAM_BYTES {
            let text = format!(
                "a datagram of {} bytes can't be sent; at most {MAX_DATAGRAM_BYTES} are",
                datagram.len()
            );
            return Err(self.trace.fail(NetError::TooLarge(text)));
        }
        self.waiting_since = Instant::now();
        let send = async {
            let sent = self.socket.send(datagram).await;
            sent.map_err(|error| broken("sending to", self.peer, &error))
        };
        Trace::new(deadline)
            .until(|| format!("sending to `{}`", self.peer), send)
            .await
            .map(drop)
            .map_err(|error| self.trace.fail(error))
    }

    /// Returns the next datagram; one of more than `max` bytes is an error and lost. After a
    /// time-out the socket can still be used.
    pub async fn receive(&mut self, max: usize, deadline: Instant) -> Result<Vec<u8>, NetFailure> {
        // A byte more shows that a datagram was longer.
        let mut bytes = vec![0; max.min(MAX_DATAGRAM_BYTES) + 1];
        let receive = async {
            let received = self.socket.recv(&mut bytes).await;
            received.map_err(|error| broken("receiving from", self.peer, &error))
        };
        let doing = || format!("waiting for a datagram from `{}`", self.peer);
        let count = Trace::new(deadline)
            .until(doing, receive)
            .await
            .map_err(|error| self.trace.fail(error))?;
        if self.trace.phases.first_byte_us.is_none() {
            self.trace
                .note(Phase::FirstByte, self.waiting_since.elapsed());
        }
        if count > max {
            let text = format!("`{}` sent a datagram of more than {max} bytes", self.peer);
            return Err(self.trace.fail(NetError::TooLarge(text)));
        }
        bytes.truncate(count);
        Ok(bytes)
    }

    pub fn phases(&self) -> Phases {
        self.trace.phases
    }

    /// Microseconds since the opening began.
    pub fn total_us(&self) -> u64 {
        self.trace.total_us()
    }

    pub fn peer(&self) -> SocketAddr {
        self.peer
    }
}

async fn open(
    context: &NetContext,
    trace: &mut Trace,
    permission: &Permission,
    host: &str,
    port: u16,
) -> Result<(UdpSocket, SocketAddr), NetError> {
    let host = parse_host(host)?;
    permission.check_host(&host, port)?;
    let addresses = resolve(context, trace, permission, &host, port).await?;
    let Some(peer) = addresses.first().copied() else {
        return Err(NetError::Dns(format!("`{host}` has no address")));
    };
    let any: IpAddr = if peer.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let failed = |error: std::io::Error| broken("opening a socket to", peer, &error);
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))
        .await
        .map_err(failed)?;
    socket.connect(peer).await.map_err(failed)?;
    Ok((socket, peer))
}

/// Errors of the operating system, some of which come from the network by ICMP.
fn broken(doing: &str, peer: SocketAddr, error: &std::io::Error) -> NetError {
    NetError::Connect(format!("{doing} `{peer}` failed: {}", io_text(error)))
}

#[cfg(test)]
mod tests;
