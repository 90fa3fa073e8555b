//! A TCP stream that notes what is read and written, and refuses a request line that is too long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::activity::Activity;

/// Method, path and query. Longer than any of ours, and than what proxies pass on.
const MAX_REQUEST_LINE: usize = 16 * 1024;

pub(super) struct WatchedStream {
    inner: TcpStream,
    activity: Arc<Activity>,
    /// Bytes of the request line so far, while it has no end.
    line: Option<usize>,
    is_line_too_long: bool,
}

impl WatchedStream {
    pub(super) fn new(inner: TcpStream, activity: Arc<Activity>) -> Self {
        Self {
            inner,
            activity,
            line: None,
            is_line_too_long: false,
        }
    }

    pub(super) fn is_line_too_long(&self) -> bool {
        self.is_line_too_long
    }

    pub(super) fn into_inner(self) -> TcpStream {
        self.inner
    }

    fn read(&mut self, bytes: &[u8]) {
        if self.activity.received() {
            self.line = Some(0);
        }
        if let Some(length) = self.line {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let length = length + end.unwrap_or(bytes.len());
            self.is_line_too_long = length > MAX_REQUEST_LINE;
            self.line = end.is_none().then_some(length);
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
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.read(&buffer.filled()[before..]);
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
