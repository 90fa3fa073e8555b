//! The resource behind a connection of the contract.

use tokio::time::Instant;

use crate::net::{NetError, NetFailure, Stream};
use crate::plugin_host::policy::redaction::Redactor;

/// Bytes read at least at once where secrets are taken out: a guest that reads byte by byte gets
/// what was looked at in larger pieces.
const PIECE_BYTES: usize = 4 << 10;

#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Connection {
    /// Name in recordings: counts connections and sockets in the order of opening, from 1.
    pub(super) number: u32,
    /// `None` in a replay.
    pub(super) stream: Option<Stream>,
    /// What the handshake proved; none before it.
    pub(super) secured: Option<Secured>,
    /// Bytes without secrets that the guest has not read yet.
    clean: Vec<u8>,
    /// The last bytes that came, with which a secret may have begun.
    begun: Vec<u8>,
}

pub(super) struct Secured {
    pub(super) is_untrusted: bool,
    pub(super) server_name: Option<String>,
}

impl Connection {
    pub(super) fn new(number: u32, stream: Option<Stream>) -> Self {
        Self {
            number,
            stream,
            secured: None,
            clean: Vec::new(),
            begun: Vec::new(),
        }
    }

    /// A replay answers before this is called.
    pub(super) fn stream(&mut self) -> wasmtime::Result<&mut Stream> {
        self.stream
            .as_mut()
            .ok_or_else(|| wasmtime::Error::msg("a recorded connection leads nowhere"))
    }

    /// Checks that the guest has read all that came. What was not protected must not pass for
    /// something that was.
    pub(super) fn is_read_up(&self) -> Result<(), NetError> {
        if self.clean.is_empty() && self.begun.is_empty() {
            return Ok(());
        }
        Err(NetError::Protocol(
            "the server sent more before the TLS handshake than was read".to_owned(),
        ))
    }

    /// Reads at most `max` bytes, without secrets; empty when the other side closed. Bytes with
    /// which a secret may begin stay until it is known how they go on.
    pub(super) async fn read(
        &mut self,
        max: usize,
        deadline: Instant,
        redactor: &Redactor,
    ) -> wasmtime::Result<Result<Vec<u8>, NetFailure>> {
        if redactor.is_empty() {
            return Ok(self.stream()?.read(max, deadline).await);
        }
        let max = max.max(1);
        while self.clean.is_empty() {
            let read = self.stream()?.read(max.max(PIECE_BYTES), deadline).await;
            let mut bytes = std::mem::take(&mut self.begun);
            match read {
                Ok(read) if read.is_empty() => {
                    self.clean = bytes;
                    break;
                }
                Ok(read) => {
                    bytes.extend(read);
                    (self.clean, self.begun) = redactor.begun(bytes);
                }
                Err(failure) => {
                    self.begun = bytes;
                    return Ok(Err(failure));
                }
            }
        }
        let rest = self.clean.split_off(self.clean.len().min(max));
        Ok(Ok(std::mem::replace(&mut self.clean, rest)))
    }
}
