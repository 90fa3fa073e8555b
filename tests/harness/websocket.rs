//! A WebSocket server on loopback: greets, echoes, and closes at `/closes`.

use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::ports::LOOPBACK;

pub struct WebSocketServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl WebSocketServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((LOOPBACK, 0))
            .await
            .expect("a port can be opened");
        let address = listener.local_addr().expect("it listens");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        Self { address, task }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for WebSocketServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream) {
    let mut path = String::new();
    #[expect(
        clippy::result_large_err,
        reason = "the callback's type is the library's"
    )]
    let look = |request: &Request, response: Response| {
        request.uri().path().clone_into(&mut path);
        if path == "/forbidden" {
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = 403.try_into().expect("a status");
            return Err(refusal);
        }
        Ok(response)
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, look).await else {
        return;
    };
    if path == "/closes" {
        let _ = socket.close(None).await;
    }
    let _ = socket.send(Message::text("hello")).await;
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() && socket.send(message).await.is_err() {
            return;
        }
    }
}
