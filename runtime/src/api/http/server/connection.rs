//! One connection, from its first byte to its end.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use super::answer::answer;
use super::connections::Held;
use super::http2;
use super::stream::{Protocol, WatchedStream};
use crate::api::http::error::ApiError;
use crate::gateway::Handover;

/// Interval at which connections are checked.
const LOOK: Duration = Duration::from_secs(2);
/// Headers, and what is read ahead of a body: what one connection may hold before a handler sees
/// anything.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;
/// Limit of what is read and thrown away after an early answer: a close at once would take the
/// answer from a client that reads only when it has sent everything.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// Parts that a connection is served with.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) peer: SocketAddr,
    pub(super) router: Router,
    pub(super) activity: Arc<Activity>,
    pub(super) stop: CancellationToken,
}

pub(super) async fn run(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    held: Held,
    stop: CancellationToken,
) {
    // An answer is written whole; waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    let activity = held.activity.clone();
    let mut stream = WatchedStream::new(stream, activity.clone());
    let serving = Serving {
        peer,
        router,
        activity,
        stop,
    };
    match first_bytes(&mut stream, &serving).await {
        Some(Protocol::Http1) => http1(stream, serving).await,
        Some(Protocol::Http2) => http2::run(stream, serving).await,
        None => {}
    }
}

/// Waits for the protocol; none: there is nothing to serve any more.
async fn first_bytes(stream: &mut WatchedStream, serving: &Serving) -> Option<Protocol> {
    let activity = &serving.activity;
    let mut look = looks();
    let mut protocol = std::pin::pin!(stream.protocol());
    loop {
        tokio::select! {
            biased;
            protocol = &mut protocol => return protocol.ok().flatten(),
            () = activity.evicted() => {
                closed("room");
                return None;
            }
            () = serving.stop.cancelled() => return None,
            _ = look.tick() => {
                if let Some(reason) = activity.overdue() {
                    closed(reason);
                    return None;
                }
            }
        }
    }
}

pub(super) fn looks() -> Interval {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look
}

async fn http1(stream: WatchedStream, serving: Serving) {
    let Serving {
        peer,
        router,
        activity,
        stop,
    } = serving;
    let handover = Handover::default();
    let service = {
        let (activity, handover) = (activity.clone(), handover.clone());
        hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            activity.head(false);
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(handover.clone());
            answer(router.clone(), request, activity.working())
        })
    };
    let io = TokioIo::new(stream);
    let mut connection = http1::Builder::new()
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(io, service);
    let mut look = looks();
    let mut is_stopping = false;
    loop {
        tokio::select! {
            biased;
            _ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break,
            () = activity.evicted() => return closed("room"),
            () = stop.cancelled(), if !is_stopping => {
                is_stopping = true;
                if !activity.is_working() {
                    return;
                }
                Pin::new(&mut connection).graceful_shutdown();
            }
            _ = look.tick() => {
                if let Some(reason) = activity.overdue() {
                    return closed(reason);
                }
                if is_stopping && !activity.is_working() {
                    return;
                }
            }
        }
    }
    let parts = connection.into_parts();
    let stream = parts.io.into_inner();
    if let Some(tunnel) = handover.take() {
        // It ends by itself when the program stops.
        let _working = activity.working();
        return tunnel.run(stream.into_inner(), parts.read_buf).await;
    }
    activity.closing();
    let is_line_too_long = stream.is_line_too_long();
    tokio::select! {
        _ = tokio::time::timeout(LINGER, linger(stream.into_inner(), is_line_too_long)) => {}
        () = activity.evicted() => closed("room"),
        () = stop.cancelled() => {}
    }
}

pub(super) fn closed(reason: &'static str) {
    metrics::counter!("extrack_http_connections_closed_total", "reason" => reason).increment(1);
}

async fn linger(mut stream: TcpStream, is_line_too_long: bool) -> std::io::Result<()> {
    if is_line_too_long {
        stream.write_all(&uri_too_long().await).await?;
    }
    stream.shutdown().await?;
    let (mut buffer, mut discarded) = (vec![0; 16 * 1024], 0);
    while discarded < LINGER_BYTES {
        match stream.read(&mut buffer).await? {
            0 => break,
            count => discarded += count,
        }
    }
    Ok(())
}

/// The whole answer: it never comes to the router.
async fn uri_too_long() -> Vec<u8> {
    let (head, body) = ApiError::uri_too_long().into_response().into_parts();
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let reason = head.status.canonical_reason().unwrap_or_default();
    let mut answer = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        head.status.as_u16(),
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    answer
}
