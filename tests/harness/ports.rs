//! Ports for servers that can't choose one themselves, or have to come back on the same one.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use rand::Rng;

/// Below the range the system takes the ports of outgoing connections from: a client that knocks on
/// such a port can neither be given it nor be connected to itself.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

pub const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Returns a port on which no program listens now, over TCP or UDP.
pub fn free_port() -> u16 {
    let mut random = rand::rng();
    for _ in 0..1_000 {
        let port = random.random_range(RANGE);
        if TcpListener::bind((LOOPBACK, port)).is_ok() && UdpSocket::bind((LOOPBACK, port)).is_ok()
        {
            return port;
        }
    }
    panic!("found no free port in {RANGE:?}");
}

pub fn free_address() -> SocketAddr {
    SocketAddr::from((LOOPBACK, free_port()))
}

pub async fn is_open(address: SocketAddr) -> bool {
    tokio::net::TcpStream::connect(address).await.is_ok()
}
