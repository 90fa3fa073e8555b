//! Sockets that behave badly.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::ports::{LOOPBACK, free_address};

/// Where nothing listens, so that connections are refused.
pub fn refusing_address() -> SocketAddr {
    free_address()
}

/// Accepts connections, and never sends a byte.
pub struct HangingServer {
    address: SocketAddr,
    _listener: AbortOnDropHandle<()>,
}

impl HangingServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((LOOPBACK, 0))
            .await
            .expect("a port can be opened");
        let address = listener.local_addr().expect("an open port has an address");
        let accepting = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        });
        Self {
            address,
            _listener: AbortOnDropHandle::new(accepting),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Writes so many single bytes to each connection, a pause after each, and then a last word.
pub struct Dribble {
    address: SocketAddr,
    _listener: AbortOnDropHandle<()>,
}

impl Dribble {
    pub async fn start(bytes: usize, pause: Duration, last: &'static str) -> Self {
        let listener = TcpListener::bind((LOOPBACK, 0))
            .await
            .expect("a port can be opened");
        let address = listener.local_addr().expect("an open port has an address");
        let accepting = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    for _ in 0..bytes {
                        if stream.write_all(b".").await.is_err() {
                            return;
                        }
                        tokio::time::sleep(pause).await;
                    }
                    let _ = stream.write_all(last.as_bytes()).await;
                });
            }
        });
        Self {
            address,
            _listener: AbortOnDropHandle::new(accepting),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
