//! The wire under one request. The future that waits for the answer drives the connection: when it
//! is dropped, the connection and all that hangs on it is gone.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::{Executor, Read, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{MAX_HEADER_BYTES, MAX_HEADERS, too_many_headers};
use crate::net::failure::{NetError, chain, io_text};
use crate::net::tls::{alert_text, rustls_error};

type Body = Full<Bytes>;

pub(super) struct Exchange {
    sender: Sender,
    /// Connection under way; none once it has ended.
    connection: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Tasks that HTTP/2 runs beside the connection; they end with this value.
    _tasks: Arc<Mutex<JoinSet<()>>>,
}

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Exchange {
    pub(super) async fn http1<S>(stream: S) -> Result<Self, NetError>
    where
        S: Read + Write + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .max_header_size(MAX_HEADER_BYTES)
            // As browsers: a line that is folded, or no header at all, or has a blank before its
            // colon, is no failure.
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .handshake(stream)
            .await
            .map_err(|error| hyper_error("the request", &error))?;
        Ok(Self {
            sender: Sender::Http1(sender),
            // Its error reaches the caller through the sender or the body.
            connection: Some(Box::pin(async move { drop(connection.await) })),
            _tasks: Arc::default(),
        })
    }

    pub(super) async fn http2<S>(stream: S) -> Result<Self, NetError>
    where
        S: Read + Write + Unpin + Send + 'static,
    {
        let tasks = Arc::default();
        let (sender, connection) = http2::Builder::new(Tasks(Arc::downgrade(&tasks)))
            .max_header_list_size(MAX_HEADER_BYTES as u32)
            .handshake(stream)
            .await
            .map_err(|error| hyper_error("the request", &error))?;
        Ok(Self {
            sender: Sender::Http2(sender),
            connection: Some(Box::pin(async move { drop(connection.await) })),
            _tasks: tasks,
        })
    }

    pub(super) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, NetError> {
        let Self {
            sender, connection, ..
        } = self;
        let answer = match sender {
            Sender::Http1(sender) => drive(connection, sender.send_request(request)).await,
            Sender::Http2(sender) => drive(connection, sender.send_request(request)).await,
        };
        answer.map_err(|error| hyper_error("the answer", &error))
    }

    /// Waits for something that the connection brings.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        drive(&mut self.connection, work).await
    }
}

async fn drive<T>(
    connection: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        if let Some(running) = connection
            && running.as_mut().poll(context).is_ready()
        {
            *connection = None;
        }
        work.as_mut().poll(context)
    })
    .await
}

/// Runs what HTTP/2 spawns in a set that ends with the exchange.
#[derive(Clone)]
struct Tasks(Weak<Mutex<JoinSet<()>>>);

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        if let Some(tasks) = self.0.upgrade() {
            tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .spawn(future);
        }
    }
}

/// Observations of a stream while it is read.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    first_read: OnceLock<Instant>,
    is_cut_off: AtomicBool,
}

impl Watch {
    /// Returns the moment of the first byte.
    pub(super) fn first_read(&self) -> Option<Instant> {
        self.0.first_read.get().copied()
    }

    /// True if the stream ended as TCP ends, and not as TLS should.
    pub(super) fn was_cut_off(&self) -> bool {
        self.0.is_cut_off.load(Ordering::Relaxed)
    }

    pub(super) fn over<S: AsyncRead + AsyncWrite>(&self, stream: S) -> TokioIo<Watched<S>> {
        TokioIo::new(Watched {
            stream,
            seen: self.0.clone(),
        })
    }
}

/// A stream that is watched. An end without TLS's `close_notify` is an end: many servers just hang
/// up, and whether the message was whole, HTTP knows by its length or its chunks.
pub(super) struct Watched<S> {
    stream: S,
    seen: Arc<Seen>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let answer = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.seen.first_read.get_or_init(Instant::now);
        }
        match answer {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.seen.is_cut_off.store(true, Ordering::Relaxed);
                Poll::Ready(Ok(()))
            }
            answer => answer,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Returns the failure of `what`.
pub(super) fn hyper_error(what: &str, error: &hyper::Error) -> NetError {
    if error.is_parse_too_large() {
        return too_many_headers();
    }
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    if error.is_incomplete_message()
        || cause.is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
    {
        return NetError::Protocol(format!(
            "the server closed the connection before {what} was complete"
        ));
    }
    if let Some(rustls::Error::AlertReceived(alert)) = cause.and_then(rustls_error) {
        // Since TLS 1.3 a server's word on our certificate, or on the lack of one, comes after the
        // handshake.
        return NetError::Tls(format!(
            "the server ended the connection: {}",
            alert_text(*alert)
        ));
    }
    let text = match cause {
        Some(error) => io_text(error),
        None => chain(error),
    };
    if error.is_parse() {
        return NetError::Protocol(format!("{what} is not HTTP: {text}"));
    }
    NetError::Protocol(format!("{what} failed: {text}"))
}
