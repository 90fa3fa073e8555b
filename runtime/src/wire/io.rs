//! The stream of one connection: frames in, messages out, both within limits of size and time.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::error::WireError;
use super::replies::Replies;

/// A statement of 64 KiB, or as much text of parameters, and what is around it.
pub(super) const MAX_MESSAGE: usize = 256 * 1024;
/// Bytes that are read while a query runs, to notice that its client is gone.
const MAX_AHEAD: usize = 64 * 1024;
/// Bytes of answers that are sent at once.
pub(super) const SEND_AT: usize = 64 * 1024;
/// A client that takes nothing for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Reason why a connection ends or a statement fails.
#[derive(Debug)]
pub(super) enum Failure {
    Error(WireError),
    /// The client is gone, or takes nothing.
    Gone,
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self::Error(error)
    }
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub(super) struct Io {
    stream: Box<dyn Stream>,
    input: BytesMut,
    pub(super) out: Replies,
}

impl Io {
    pub(super) fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            input: BytesMut::new(),
            out: Replies::default(),
        }
    }

    /// Returns the type and the body of the next message. May be dropped and called again.
    pub(super) async fn message(&mut self, most: usize) -> Result<(u8, BytesMut), Failure> {
        loop {
            if let [kind, a, b, c, d, ..] = self.input[..] {
                let length = u32::from_be_bytes([a, b, c, d]) as usize;
                check_length(length, most)?;
                if self.input.len() > length {
                    self.input.advance(5);
                    return Ok((kind, self.input.split_to(length - 4)));
                }
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), Failure> {
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(Failure::Gone),
            _ => Ok(()),
        }
    }

    /// Returns when the client is gone. Messages that come meanwhile are kept, within limits.
    pub(super) async fn gone(&mut self) {
        while self.input.len() < MAX_AHEAD {
            if self.fill().await.is_err() {
                return;
            }
        }
        std::future::pending().await
    }

    /// Sends what is collected.
    pub(super) async fn send(&mut self) -> Result<(), Failure> {
        let out = &self.out.0;
        let sent = timeout(WRITE_TIMEOUT, async {
            self.stream.write_all(out).await?;
            self.stream.flush().await
        });
        sent.await.map_err(|_| Failure::Gone)??;
        self.out.0.clear();
        // A large row is no reason to keep so much memory.
        self.out.0.shrink_to(2 * SEND_AT);
        Ok(())
    }

    /// Sends what is collected when it is much.
    pub(super) async fn send_some(&mut self) -> Result<(), Failure> {
        if self.out.len() < SEND_AT {
            return Ok(());
        }
        self.send().await
    }
}

fn check_length(length: usize, most: usize) -> Result<(), WireError> {
    if length < 4 {
        return Err(WireError::protocol("a message is shorter than it claims"));
    }
    if length > most {
        let message = format!("a message has {length} bytes, and may have {most}");
        return Err(WireError::fatal("54000", message));
    }
    Ok(())
}
