//! Answers of servers, byte for byte as they come over a connection.

use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock, PoisonError};

use extrack::net::HttpRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::split;
use crate::stage::{deadline, loopback, net, wait_for};

/// What the server sends next.
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// `GET` and `HEAD`, with and without decompression.
const WAYS: [(&str, bool); 4] = [
    ("GET", false),
    ("GET", true),
    ("HEAD", false),
    ("POST", true),
];

pub(crate) fn answers(input: &[u8]) {
    let ((method, decompress), answer) = split(input, &WAYS);
    *ANSWER.lock().unwrap_or_else(PoisonError::into_inner) = answer.to_vec();
    let mut request = HttpRequest::new(method, &format!("http://{}/x?y", server()), deadline());
    request.decompress = *decompress;
    if let Ok(answer) = wait_for(net().http(&loopback(), request)) {
        assert!(
            answer
                .headers
                .iter()
                .all(|(name, _)| name.to_ascii_lowercase() == *name)
        );
        assert!(answer.body.len() <= extrack::net::NetSettings::default().max_body_bytes);
    }
}

/// Answers each connection with the same bytes, and closes it.
fn server() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        wait_for(async {
            let listener = TcpListener::bind("127.0.0.1:0")
                .await
                .expect("loopback has a free port");
            let address = listener.local_addr().expect("it is bound");
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let answer = ANSWER
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .clone();
                    let mut head = [0; 4_096];
                    let _ = stream.read(&mut head).await;
                    let _ = stream.write_all(&answer).await;
                    let _ = stream.shutdown().await;
                }
            });
            address
        })
    })
}
