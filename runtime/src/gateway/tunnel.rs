//! Connections that went over to another protocol, such as WebSocket: bytes in both directions, of
//! which nothing is read and nothing changed.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::record::{CallGuard, Meter};
use crate::domain::CallEnd;

/// Bytes that are held for each direction.
const BUFFER_BYTES: usize = 16 * 1024;

/// Where a tunnel waits for the connection of its client, which takes it over once the answer `101`
/// is written. One for each connection, an extension of its requests.
#[derive(Clone, Default)]
pub struct Handover(Arc<Mutex<Option<Tunnel>>>);

impl Handover {
    pub(super) fn give(&self, tunnel: Tunnel) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
    }

    pub fn take(&self) -> Option<Tunnel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The vendor's side of a tunnel, with the record of its call.
pub struct Tunnel {
    vendor: TokioIo<Upgraded>,
    guard: CallGuard,
    /// Its service, or the credential it began with, is gone.
    gone: CancellationToken,
    stop: CancellationToken,
}

impl Tunnel {
    pub(super) fn new(
        vendor: Upgraded,
        guard: CallGuard,
        gone: CancellationToken,
        stop: CancellationToken,
    ) -> Self {
        Self {
            vendor: TokioIo::new(vendor),
            guard,
            gone,
            stop,
        }
    }

    /// Passes bytes until one side closes, the service goes, or the program stops. `read` is what
    /// was read from the client already.
    pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(self, client: S, read: Bytes) {
        let Self {
            mut vendor,
            mut guard,
            gone,
            stop,
        } = self;
        let mut client = Counted {
            stream: client,
            read,
            meter: guard.meter().clone(),
        };
        let passing = tokio::io::copy_bidirectional_with_sizes(
            &mut client,
            &mut vendor,
            BUFFER_BYTES,
            BUFFER_BYTES,
        );
        tokio::select! {
            ended = passing => match ended {
                Ok(_) => guard.ended(CallEnd::Complete, None),
                Err(_) => guard.ended(CallEnd::Truncated, Some("connection")),
            },
            () = gone.cancelled() => guard.ended(CallEnd::Truncated, Some("configuration")),
            () = stop.cancelled() => guard.ended(CallEnd::Truncated, Some("stopping")),
        }
    }
}

/// The client's side, whose bytes are counted.
struct Counted<S> {
    stream: S,
    read: Bytes,
    meter: Arc<Meter>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = if self.read.is_empty() {
            Pin::new(&mut self.stream).poll_read(cx, buffer)
        } else {
            let count = self.read.len().min(buffer.remaining());
            buffer.put_slice(&self.read.split_to(count));
            Poll::Ready(Ok(()))
        };
        let count = buffer.filled().len() - before;
        if count > 0 {
            self.meter.sent(count);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = polled {
            self.meter.answered(count);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
