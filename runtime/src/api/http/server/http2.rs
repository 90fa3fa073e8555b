//! One connection of HTTP/2 (RFC 9113): its bounds, and its requests in the shape that those of
//! HTTP/1.1 have, so that no handler sees the difference.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, HOST};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::activity::{WRITE_STALL, WRITE_TIMEOUT, Working};
use super::answer::{WatchedBody, answer};
use super::connection::{BUFFER_BYTES, Serving, closed, looks};
use super::stream::{MAX_REQUEST_LINE, WatchedStream};
use crate::api::http::error::ApiError;

/// Requests of one connection at the same time; clients expect no fewer than 100 (RFC 9113, 6.5.2).
const MAX_STREAMS: u32 = 100;
/// Bytes of one body that a client may send before a handler takes them: several bodies that stand
/// still leave room for others.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of one answer that are held while the client does not take them, beside the piece in hand.
const SEND_BUFFER: usize = 64 * 1024;
/// Requests that were taken back before they were looked at, and streams that we ended because of
/// the client's errors: beyond them it is a flood, and the connection ends (CVE-2023-44487,
/// CVE-2025-8671).
const MAX_RESETS: usize = 32;
const MAX_ERRORS: usize = 128;
/// A client that is gone without a word is noticed within about two of these.
const PING: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn run(stream: WatchedStream, serving: Serving) {
    let streams = Streams::default();
    let drained = streams.clone();
    serve(stream, serving, streams).await;
    // What is left is of no use without the connection, and ends before its place is free.
    drained.ended.cancel();
    drained.tasks.close();
    drained.tasks.wait().await;
}

async fn serve(stream: WatchedStream, serving: Serving, streams: Streams) {
    let Serving { activity, stop, .. } = serving.clone();
    let service = service_fn(move |request| {
        let working = serving.activity.working();
        respond(serving.clone(), request, working)
    });
    let connection = http2::Builder::new(streams)
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(BUFFER_BYTES as u32)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_ERRORS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut look = looks();
    // The client was asked to send nothing more.
    let mut is_leaving = false;
    loop {
        tokio::select! {
            biased;
            _ended = connection.as_mut() => return,
            () = activity.evicted() => return closed("room"),
            () = stop.cancelled(), if !is_leaving => {
                is_leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = look.tick() => match activity.overdue() {
                Some("idle") if !is_leaving => {
                    closed("idle");
                    is_leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                Some("idle") => return,
                Some(reason) => return closed(reason),
                None if is_leaving && !activity.is_working() => return,
                None => {}
            }
        }
    }
}

async fn respond(
    serving: Serving,
    mut request: hyper::Request<Incoming>,
    working: Arc<Working>,
) -> Result<Response<StreamBody>, Infallible> {
    let stream = STREAM.try_with(Arc::clone).unwrap_or_default();
    stream.begin(&working);
    let answered = match in_shape(&mut request) {
        Ok(()) => {
            request.extensions_mut().insert(ConnectInfo(serving.peer));
            answer(serving.router, request, working).await
        }
        Err(error) => {
            let refused = error.into_response();
            Ok(refused.map(|inner: Body| WatchedBody::new(inner, working)))
        }
    };
    answered.map(|mut response| {
        // What belongs to a connection is no header here.
        response.headers_mut().remove(CONNECTION);
        response.map(|inner| StreamBody { inner, stream })
    })
}

/// Names the host in a header and the path alone in the address, as HTTP/1.1 does. Headers of
/// connections were refused by the library (RFC 9113, 8.2.2), and so was a body of another length
/// than stated.
fn in_shape<B>(request: &mut hyper::Request<B>) -> Result<(), ApiError> {
    let path = request.uri().path_and_query();
    if path.is_some_and(|path| path.as_str().len() > MAX_REQUEST_LINE) {
        return Err(ApiError::uri_too_long());
    }
    let Some(authority) = request.uri().authority() else {
        return Ok(());
    };
    let named = authority.as_str().to_owned();
    let mut hosts = request.headers().get_all(HOST).iter();
    let is_other = |host: &HeaderValue| !host.as_bytes().eq_ignore_ascii_case(named.as_bytes());
    if named.contains('@') || hosts.any(is_other) {
        return Err(ambiguous_host());
    }
    let host = HeaderValue::from_str(&named).map_err(|_| ambiguous_host())?;
    request.headers_mut().insert(HOST, host);
    if request.method() != Method::CONNECT {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    }
    Ok(())
}

fn ambiguous_host() -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "ambiguous-host",
        "Ambiguous host",
        "`:authority` and `Host` of the request are not one and the same host",
    )
}

tokio::task_local! {
    /// Stream whose request is being answered.
    static STREAM: Arc<StreamWatch>;
}

/// Tasks of a connection's streams, which end with it.
#[derive(Clone, Default)]
struct Streams {
    tasks: TaskTracker,
    ended: CancellationToken,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let watch = Arc::<StreamWatch>::default();
        let (current, ended) = (watch.clone(), self.ended.clone());
        let watched = async move {
            tokio::select! {
                biased;
                () = ended.cancelled() => {}
                () = stream => {}
                // Dropped, the stream is reset.
                () = watch.stalled() => {}
            }
        };
        self.tasks.spawn(STREAM.scope(current, watched));
    }
}

/// How long a piece of an answer waits until the client takes it. The connection as a whole may go
/// on beside it.
#[derive(Default)]
struct StreamWatch(Mutex<Watched>);

#[derive(Default)]
struct Watched {
    working: Option<Arc<Working>>,
    /// Moment at which the piece was handed over that is not on its way yet.
    handed: Option<Instant>,
}

impl StreamWatch {
    fn with<T>(&self, change: impl FnOnce(&mut Watched) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn begin(&self, working: &Arc<Working>) {
        self.with(|watched| watched.working = Some(working.clone()));
    }

    fn handed(&self, at: Option<Instant>) {
        self.with(|watched| watched.handed = at);
    }

    /// Returns when the client has taken nothing for too long.
    async fn stalled(&self) {
        let mut look = looks();
        loop {
            look.tick().await;
            let stall = self.with(|watched| {
                let stall = watched.handed.map(|since| since.elapsed());
                if let Some(working) = &watched.working {
                    working.is_not_taken(stall.is_some_and(|stall| stall >= WRITE_STALL));
                }
                stall
            });
            if stall.is_some_and(|stall| stall >= WRITE_TIMEOUT) {
                return;
            }
        }
    }
}

/// The body of an answer, of which it is noted when the client takes it.
struct StreamBody {
    inner: WatchedBody,
    stream: Arc<StreamWatch>,
}

impl HttpBody for StreamBody {
    type Data = Bytes;
    type Error = axum::Error;

    /// Asked again only when what it returned is on its way.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        let is_handed = matches!(&polled, Poll::Ready(Some(Ok(_))));
        self.stream.handed(is_handed.then(Instant::now));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn shaped(uri: &str, host: Option<&str>) -> Option<(String, String)> {
        let mut request = Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let mut request = request.body(()).unwrap();
        in_shape(&mut request).ok()?;
        let host = request.headers()[HOST].to_str().unwrap().to_owned();
        Some((request.uri().to_string(), host))
    }

    #[test]
    fn handlers_see_the_shape_of_http_1_1() {
        let wanted = |path: &str, host: &str| Some((path.to_owned(), host.to_owned()));
        assert_eq!(
            shaped("http://x.example:3000/a%20b?c=%2f", None),
            wanted("/a%20b?c=%2f", "x.example:3000")
        );
        assert_eq!(
            shaped("https://X.example/", Some("x.example")),
            wanted("/", "X.example")
        );
        assert_eq!(shaped("http://x.example/", Some("y.example")), None);
        assert_eq!(shaped("http://user@x.example/", None), None);
        assert_eq!(
            shaped(&format!("http://x.example/{}", "a".repeat(16 * 1024)), None),
            None
        );
    }
}
