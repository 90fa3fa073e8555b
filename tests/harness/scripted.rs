//! A server that answers every connection with the same bytes, whatever it was asked.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::ports::LOOPBACK;

/// Longest head of a request.
const MAX_HEAD: usize = 64 * 1024;

pub struct Scripted {
    address: SocketAddr,
    _server: AbortOnDropHandle<()>,
}

impl Scripted {
    /// Reads the head of a request, answers, and hangs up.
    pub async fn start(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        let listener = TcpListener::bind((LOOPBACK, 0))
            .await
            .expect("a port can be opened");
        let address = listener.local_addr().expect("an open port has an address");
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                read_head(&mut stream).await;
                // A client that has gone is no trouble of ours.
                let _ = stream.write_all(&answer).await;
            }
        });
        Self {
            address,
            _server: AbortOnDropHandle::new(server),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
}
