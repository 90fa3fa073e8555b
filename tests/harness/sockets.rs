//! Sockets that behave badly.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::ports::{LOOPBACK, free_address};

/// Where nothing listens, so that connections are refused.
pub fn refusing_address() -> SocketAddr {
    free_address()
}

/// Accepts, and never says a word.
pub struct Silent {
    address: SocketAddr,
    _listener: AbortOnDropHandle<()>,
}

impl Silent {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((LOOPBACK, 0)).await.expect("a port can be opened");
        let address = listener.local_addr().expect("an open port has an address");
        let accepting = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        });
        Self { address, _listener: AbortOnDropHandle::new(accepting) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
