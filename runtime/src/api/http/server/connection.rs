//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::activity::Activity;
use super::connections::Held;
use super::stream::WatchedStream;
use crate::api::http::error::ApiError;
use crate::gateway::Handover;

/// Interval at which connections are checked.
const LOOK: Duration = Duration::from_secs(2);
/// Headers, and what is read ahead of a body: what one connection may hold before a handler sees
/// anything.
const BUFFER_BYTES: usize = 64 * 1024;
/// Limit of what is read and thrown away after an early answer: a close at once would take the
/// answer from a client that reads only when it has sent everything.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 * 1024 * 1024;

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
    let handover = Handover::default();
    let service = {
        let (activity, handover) = (activity.clone(), handover.clone());
        hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            activity.working();
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(handover.clone());
            answer(router.clone(), request, activity.clone())
        })
    };
    let io = TokioIo::new(WatchedStream::new(stream, activity.clone()));
    let mut connection = http1::Builder::new()
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(io, service);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
        activity.working();
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

fn closed(reason: &'static str) {
    metrics::counter!("extrack_http_connections_closed_total", "reason" => reason).increment(1);
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<WatchedBody>, Infallible>> + Send>>;

fn answer(router: Router, request: hyper::Request<Incoming>, activity: Arc<Activity>) -> Answer {
    Box::pin(async move {
        let request = request.map(|inner| {
            Body::new(WatchedRequestBody {
                inner,
                activity: activity.clone(),
            })
        });
        let Ok(response) = router.oneshot(request).await;
        Ok(response.map(|inner| WatchedBody { inner, activity }))
    })
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

/// The body of a request, of which it is noted when nothing more has arrived.
struct WatchedRequestBody {
    inner: Incoming,
    activity: Arc<Activity>,
}

impl HttpBody for WatchedRequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        self.activity.read_body(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of an answer, whose end is the end of the request.
struct WatchedBody {
    inner: Body,
    activity: Arc<Activity>,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        self.activity.answered();
    }
}
