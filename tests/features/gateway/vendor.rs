//! Vendors behind the gateway.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_util::task::AbortOnDropHandle;

/// A vendor's API that counts, echoes, and streams when it is let.
pub(super) struct ApiVendor {
    address: SocketAddr,
    shared: Arc<Shared>,
    _server: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Shared {
    hits: Mutex<HashMap<String, u64>>,
    failing: Mutex<HashMap<String, (u16, u64)>>,
    /// Lets `/events` go on.
    next_event: Notify,
    /// An answer was dropped before its end.
    dropped: Notify,
}

impl ApiVendor {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            shared,
            _server: AbortOnDropHandle::new(server),
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn hits(&self, path: &str) -> u64 {
        let hits = self.shared.hits.lock().unwrap();
        hits.get(path).copied().unwrap_or_default()
    }

    pub(super) fn all_hits(&self) -> u64 {
        self.shared.hits.lock().unwrap().values().sum()
    }

    pub(super) fn fail_next(&self, path: &str, status: u16, times: u64) {
        let mut failing = self.shared.failing.lock().unwrap();
        failing.insert(path.to_owned(), (status, times));
    }

    pub(super) fn next_event(&self) {
        self.shared.next_event.notify_one();
    }

    pub(super) async fn dropped(&self) {
        self.shared.dropped.notified().await;
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    *shared.hits.lock().unwrap().entry(path.clone()).or_default() += 1;
    if let Some(status) = failure(&shared, &path) {
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    match path.as_str() {
        "/events" => events(shared),
        "/page" => (
            [
                ("content-type", "text/html"),
                ("strict-transport-security", "max-age=9"),
                ("set-cookie", "theirs=1"),
            ],
            "<p>theirs</p>",
        )
            .into_response(),
        "/upload" => {
            let mut body = request.into_body().into_data_stream();
            let mut count = 0;
            while let Some(Ok(bytes)) = body.next().await {
                count += bytes.len();
            }
            count.to_string().into_response()
        }
        "/download" => download(request.uri().query()),
        _ => echo(&request),
    }
}

fn failure(shared: &Shared, path: &str) -> Option<u16> {
    let mut failing = shared.failing.lock().unwrap();
    let (status, left) = failing.get_mut(path)?;
    if *left == 0 {
        return None;
    }
    *left -= 1;
    Some(*status)
}

fn echo(request: &Request) -> Response {
    let mut headers = serde_json::Map::new();
    for (name, value) in request.headers() {
        headers.insert(
            name.to_string(),
            String::from_utf8_lossy(value.as_bytes()).into(),
        );
    }
    let target = request.uri().path_and_query().map(ToString::to_string);
    let body = json!({"method": request.method().as_str(), "target": target, "headers": headers});
    ([("x-vendor", "yes")], axum::Json(body)).into_response()
}

struct NoteDrop(Arc<Shared>);

impl Drop for NoteDrop {
    fn drop(&mut self) {
        self.0.dropped.notify_one();
    }
}

/// An event at once, and one each time it is let.
fn events(shared: Arc<Shared>) -> Response {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let note = NoteDrop(shared.clone());
    tokio::spawn(async move {
        for number in 0.. {
            let event = Bytes::from(format!("data: {number}\n\n"));
            if sender.send(event).await.is_err() {
                return;
            }
            shared.next_event.notified().await;
        }
    });
    let stream = futures::stream::unfold((receiver, note), |(mut receiver, note)| async move {
        let event = receiver.recv().await?;
        Some((Ok::<_, Infallible>(event), (receiver, note)))
    });
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "text/event-stream".parse().unwrap());
    (headers, Body::from_stream(stream)).into_response()
}

/// So many bytes, in pieces of 64 KiB.
fn download(query: Option<&str>) -> Response {
    const PIECE: usize = 64 * 1024;
    let size: usize = query.unwrap_or_default().parse().unwrap_or_default();
    let piece = Bytes::from(vec![b'd'; PIECE]);
    let pieces =
        futures::stream::iter(0..size / PIECE).map(move |_| Ok::<_, Infallible>(piece.clone()));
    (
        [("content-length", size.to_string())],
        Body::from_stream(pieces),
    )
        .into_response()
}

/// A vendor that keeps connections open for a while and states nothing of it.
pub(super) struct Closing {
    address: SocketAddr,
    hits: Arc<AtomicU64>,
    open: Arc<AtomicU64>,
    _server: AbortOnDropHandle<()>,
}

impl Closing {
    pub(super) async fn start(keeps: Duration) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (hits, open) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (counted, opened) = (hits.clone(), open.clone());
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (counted, opened) = (counted.clone(), opened.clone());
                tokio::spawn(async move {
                    opened.fetch_add(1, Ordering::Relaxed);
                    answer_until_idle(stream, keeps, counted).await;
                    opened.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self {
            address,
            hits,
            open,
            _server: AbortOnDropHandle::new(server),
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Connections that are open.
    pub(super) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }
}

async fn answer_until_idle(mut stream: TcpStream, keeps: Duration, hits: Arc<AtomicU64>) {
    let mut text = Vec::new();
    let mut buffer = [0; 4_096];
    while let Ok(Ok(count)) = tokio::time::timeout(keeps, stream.read(&mut buffer)).await {
        if count == 0 {
            return;
        }
        text.extend_from_slice(&buffer[..count]);
        // The head, and the one byte of the body.
        if text.windows(4).any(|end| end == b"\r\n\r\n") && text.ends_with(b"x") {
            text.clear();
            hits.fetch_add(1, Ordering::Relaxed);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }
}

/// A vendor that goes over to another protocol and sends back what it gets. Keeps the heads of the
/// requests.
pub(super) struct Echoing {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _server: AbortOnDropHandle<()>,
}

impl Echoing {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let kept = heads.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(go_over(stream, kept.clone()));
            }
        });
        Self {
            address,
            heads,
            _server: AbortOnDropHandle::new(server),
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn go_over(mut stream: TcpStream, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
    let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
                  sec-websocket-extensions: permessage-deflate; client_max_window_bits=12\r\n\r\nfirst";
    if stream.write_all(answer.as_bytes()).await.is_err() {
        return;
    }
    let (mut reader, mut writer) = stream.split();
    let _closed = tokio::io::copy(&mut reader, &mut writer).await;
}
