//! A server that keeps what it was sent byte by byte, as no HTTP library would show it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::ports::LOOPBACK;
use crate::wait::PATIENCE;

/// A client that has sent a whole request and then nothing for so long has sent all.
const SILENCE: Duration = Duration::from_millis(100);

/// Answers `/to/URL` with a redirect to that URL, and everything else with 200 and `ok`.
pub struct RecordingServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    _server: AbortOnDropHandle<()>,
}

impl RecordingServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((LOOPBACK, 0))
            .await
            .expect("a port can be opened");
        let address = listener.local_addr().expect("an open port has an address");
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let kept = requests.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = kept.clone();
                tokio::spawn(async move { answer(stream, &kept).await });
            }
        });
        Self {
            address,
            requests,
            _server: AbortOnDropHandle::new(server),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All bytes of each connection.
    pub fn requests(&self) -> Vec<String> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn answer(mut stream: TcpStream, kept: &Mutex<Vec<String>>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        let patience = if is_whole(&bytes) { SILENCE } else { PATIENCE };
        let Ok(Ok(count @ 1..)) = tokio::time::timeout(patience, stream.read(&mut buffer)).await
        else {
            break;
        };
        bytes.extend_from_slice(&buffer[..count]);
    }
    let request = String::from_utf8_lossy(&bytes).into_owned();
    let target = request
        .split(' ')
        .nth(1)
        .and_then(|path| path.strip_prefix("/to/"))
        .map(str::to_owned);
    kept.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(request);
    let head = match target {
        Some(url) => format!("HTTP/1.1 302 Found\r\nlocation: {url}\r\n"),
        None => "HTTP/1.1 200 OK\r\n".to_owned(),
    };
    let answer = format!("{head}content-length: 2\r\nconnection: close\r\n\r\nok");
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// Reads the head, and as much as it announces.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}
