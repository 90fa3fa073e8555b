//! A TCP stream that shows which protocol its client speaks, notes what is read and written, and
//! refuses a request line that is too long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::activity::Activity;
use super::frames::{FrameWatch, PREFACE};

/// Method, path and query. Longer than any of ours, and than what proxies pass on.
pub(super) const MAX_REQUEST_LINE: usize = 16 * 1024;

pub(super) struct WatchedStream {
    inner: TcpStream,
    activity: Arc<Activity>,
    /// Bytes that were read to see the protocol.
    ahead: Bytes,
    watch: Watch,
    is_line_too_long: bool,
}

enum Watch {
    /// Bytes of the request line so far, while it has no end.
    Line(Option<usize>),
    Frames(FrameWatch),
}

/// Protocol that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    /// HTTP/2 with prior knowledge (RFC 9113, 3.3).
    Http2,
}

impl WatchedStream {
    pub(super) fn new(inner: TcpStream, activity: Arc<Activity>) -> Self {
        Self {
            inner,
            activity,
            ahead: Bytes::new(),
            watch: Watch::Line(Some(0)),
            is_line_too_long: false,
        }
    }

    /// Waits for the first bytes. None: the client closed without any.
    pub(super) async fn protocol(&mut self) -> io::Result<Option<Protocol>> {
        let mut ahead = [0; PREFACE.len()];
        let mut held = 0;
        let protocol = loop {
            let count = self.inner.read(&mut ahead[held..]).await?;
            if count == 0 {
                break (held > 0).then_some(Protocol::Http1);
            }
            held += count;
            self.activity.head(true);
            if !PREFACE.starts_with(&ahead[..held]) {
                break Some(Protocol::Http1);
            }
            if held == PREFACE.len() {
                self.activity.head(false);
                self.watch = Watch::Frames(FrameWatch::new());
                break Some(Protocol::Http2);
            }
        };
        self.ahead = Bytes::copy_from_slice(&ahead[..held]);
        Ok(protocol)
    }

    pub(super) fn is_line_too_long(&self) -> bool {
        self.is_line_too_long
    }

    pub(super) fn into_inner(self) -> TcpStream {
        self.inner
    }

    fn note_read(&mut self, bytes: &[u8]) {
        match &mut self.watch {
            Watch::Frames(frames) => self.activity.head(frames.read(bytes)),
            Watch::Line(line) => {
                if self.activity.received() {
                    *line = Some(0);
                }
                if let Some(length) = *line {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let length = length + end.unwrap_or(bytes.len());
                    self.is_line_too_long = length > MAX_REQUEST_LINE;
                    *line = end.is_none().then_some(length);
                }
            }
        }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = if self.ahead.is_empty() {
            Pin::new(&mut self.inner).poll_read(cx, buffer)
        } else {
            let count = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..count]);
            self.ahead.advance(count);
            Poll::Ready(Ok(()))
        };
        if buffer.filled().len() > before {
            self.note_read(&buffer.filled()[before..]);
            if self.is_line_too_long {
                // The connection ends here for the HTTP library; the answer is written in its
                // place.
                buffer.set_filled(before);
            }
        }
        polled
    }
}

impl WatchedStream {
    fn note<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.activity.wrote(polled.is_ready());
        polled
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.note(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.note(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
