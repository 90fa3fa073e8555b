//! The server over real connections on loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;

/// A machine may stand still for a while.
const PATIENCE: Duration = Duration::from_secs(60);

struct Server {
    /// Notified of each request for `/slow` and `/gate`.
    reached: Arc<Notify>,
    /// Lets `/gate` answer.
    gate: Arc<Notify>,
    address: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

async fn server(max_connections: usize) -> Server {
    let reached = Arc::new(Notify::new());
    let told = reached.clone();
    let slow = move || {
        told.notify_one();
        std::future::pending::<&'static str>()
    };
    let gate = Arc::new(Notify::new());
    let (waits, passes) = (reached.clone(), gate.clone());
    let gated = move || async move {
        waits.notify_one();
        passes.notified().await;
        "late"
    };
    let host = |headers: HeaderMap| async move { headers["host"].to_str().unwrap().to_owned() };
    let router = Router::new()
        .route("/", get(|| async { "fine" }))
        .route("/gate", get(gated))
        .route("/host", get(host))
        .route("/slow", get(slow))
        .route(
            "/refuse",
            post(|| async { (axum::http::StatusCode::PAYLOAD_TOO_LARGE, "too much") }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let running = tokio::spawn(serve(listener, router, max_connections, stop.clone()));
    Server {
        reached,
        gate,
        address,
        stop,
        running,
    }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ask(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        read_all(&mut stream).await
    }
}

/// Returns what comes until the other side closes.
async fn read_all(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text))
        .await
        .expect("the server closes");
    // Closed with a reset where something was not read.
    drop(read);
    String::from_utf8(text).unwrap()
}

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn idle_connections_make_room_at_the_limit() {
    let server = server(8).await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(server.connect().await);
    }
    for _ in 0..10 {
        assert!(server.ask(GET).await.ends_with("fine"));
    }
    assert_eq!(read_all(&mut idle[0]).await, "", "the first one was closed");
}

#[tokio::test]
async fn a_request_that_is_worked_on_keeps_its_connection_and_a_newcomer_is_refused() {
    let server = server(1).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::timeout(PATIENCE, server.reached.notified())
        .await
        .expect("the request arrives");
    let mut newcomer = server.connect().await;
    assert_eq!(read_all(&mut newcomer).await, "");
    let mut byte = [0];
    let closed = tokio::time::timeout(Duration::from_millis(200), slow.read(&mut byte)).await;
    assert!(closed.is_err(), "{closed:?}");
}

#[tokio::test]
async fn a_request_line_without_an_end_is_a_problem() {
    let server = server(8).await;
    for length in [20 * 1024, 70 * 1024] {
        let answer = server
            .ask(format!(
                "GET /{} HTTP/1.1\r\nhost: x\r\n\r\n",
                "a".repeat(length)
            ))
            .await;
        assert!(
            answer.starts_with("HTTP/1.1 414 URI Too Long\r\n"),
            "{answer}"
        );
        assert!(
            answer.contains("content-type: application/problem+json\r\n"),
            "{answer}"
        );
        assert!(
            answer.contains("urn:problem-type:extrack:uri-too-long"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_sends() {
    let server = server(8).await;
    let mut stream = server.connect().await;
    let size = 10 * 1024 * 1024;
    stream
        .write_all(
            format!("POST /refuse HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n")
                .as_bytes(),
        )
        .await
        .unwrap();
    stream
        .write_all(&vec![b'a'; size])
        .await
        .expect("the server reads on");
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn the_stop_ends_idle_connections_at_once_and_answers_what_is_asked() {
    let server = server(8).await;
    let mut idle = server.connect().await;
    let mut used = server.connect().await;
    used.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 15];
    used.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    server.stop.cancel();
    tokio::time::timeout(PATIENCE, server.running)
        .await
        .expect("it stops")
        .unwrap();
    assert_eq!(read_all(&mut idle).await, "");
    assert!(read_all(&mut used).await.ends_with("fine"));
}

type Sender = http2::SendRequest<Body>;

async fn ask_http2(sender: &mut Sender, path: &str) -> String {
    let request = Request::builder().uri(format!("http://x.example{path}"));
    let request = request.body(Body::empty()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

impl Server {
    async fn connect_http2(&self) -> Sender {
        let stream = TokioIo::new(self.connect().await);
        let handshake = http2::handshake(TokioExecutor::new(), stream);
        let (sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        sender
    }
}

#[tokio::test]
async fn http_2_is_answered_and_at_the_stop_what_was_asked_still_is() {
    let server = server(8).await;
    let mut sender = server.connect_http2().await;
    assert_eq!(ask_http2(&mut sender, "/host").await, "x.example");
    let mut other = sender.clone();
    let late = tokio::spawn(async move { ask_http2(&mut other, "/gate").await });
    tokio::time::timeout(PATIENCE, server.reached.notified())
        .await
        .expect("the request arrives");
    assert_eq!(ask_http2(&mut sender, "/").await, "fine");
    server.stop.cancel();
    server.gate.notify_one();
    assert_eq!(late.await.unwrap(), "late");
    tokio::time::timeout(PATIENCE, server.running)
        .await
        .expect("it stops")
        .unwrap();
}

#[tokio::test]
async fn an_http_2_connection_makes_room_as_others_do() {
    let server = server(1).await;
    let mut idle = server.connect_http2().await;
    assert_eq!(ask_http2(&mut idle, "/").await, "fine");
    assert!(server.ask(GET).await.ends_with("fine"));
    let mut busy = server.connect_http2().await;
    let asked = tokio::spawn(async move { ask_http2(&mut busy, "/gate").await });
    tokio::time::timeout(PATIENCE, server.reached.notified())
        .await
        .expect("the request arrives");
    let mut newcomer = server.connect().await;
    assert_eq!(read_all(&mut newcomer).await, "", "refused");
    server.gate.notify_one();
    assert_eq!(asked.await.unwrap(), "late");
}

#[tokio::test]
async fn a_flood_of_requests_that_are_taken_back_ends_its_connection_alone() {
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // `GET /` of `http://x`, by the static table of HPACK.
    const HEAD: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'x'];
    let server = server(8).await;
    let mut flood = frames::PREFACE.to_vec();
    flood.extend_from_slice(SETTINGS);
    for stream in (1_u32..2_000).step_by(2) {
        flood.extend_from_slice(&[0, 0, HEAD.len() as u8, 1, 5]);
        flood.extend_from_slice(&stream.to_be_bytes());
        flood.extend_from_slice(HEAD);
        flood.extend_from_slice(&[0, 0, 4, 3, 0]);
        flood.extend_from_slice(&stream.to_be_bytes());
        flood.extend_from_slice(&[0, 0, 0, 8]);
    }
    let mut stream = server.connect().await;
    // It may be closed while it is written.
    drop(stream.write_all(&flood).await);
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest));
    drop(read.await.expect("the server closes"));
    assert!(server.ask(GET).await.ends_with("fine"));
}
