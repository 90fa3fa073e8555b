//! A TCP connection for a probe that speaks its own protocol.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::connect::Connected;
use super::failure::{NetError, NetFailure, Phase, Trace, io_text};
use crate::domain::Phases;

/// Most bytes one read answers.
pub const MAX_READ_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub struct TcpConnection {
    stream: TcpStream,
    peer: SocketAddr,
    trace: Trace,
    /// When the wait for the first byte began: the connection, then each write until a byte came.
    waiting_since: Instant,
}

impl TcpConnection {
    pub(super) fn new(connected: Connected, trace: Trace) -> Self {
        Self {
            stream: connected.stream,
            peer: connected.peer,
            trace,
            waiting_since: Instant::now(),
        }
    }

    /// The deadline of the reads and writes to come; at first that of the opening.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.trace.deadline = deadline;
    }

    /// All of it.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), NetFailure> {
        self.waiting_since = Instant::now();
        let peer = self.peer;
        let stream = &mut self.stream;
        let write = async {
            stream
                .write_all(bytes)
                .await
                .map_err(|error| broken("writing to", peer, &error))
        };
        self.trace
            .until(|| format!("writing to `{peer}`"), write)
            .await
            .map_err(|error| self.trace.fail(error))
    }

    /// At most `max` bytes (and [`MAX_READ_BYTES`]), as soon as some are there; empty when the
    /// other side closed.
    pub async fn read(&mut self, max: usize) -> Result<Vec<u8>, NetFailure> {
        let mut bytes = vec![0; max.clamp(1, MAX_READ_BYTES)];
        let peer = self.peer;
        let stream = &mut self.stream;
        let read = async {
            stream
                .read(&mut bytes)
                .await
                .map_err(|error| broken("reading from", peer, &error))
        };
        let count = self
            .trace
            .until(|| format!("waiting for bytes from `{peer}`"), read)
            .await
            .map_err(|error| self.trace.fail(error))?;
        bytes.truncate(count);
        if count > 0 && self.trace.phases.first_byte_us.is_none() {
            self.trace
                .note(Phase::FirstByte, self.waiting_since.elapsed());
        }
        Ok(bytes)
    }

    pub fn phases(&self) -> Phases {
        self.trace.phases
    }

    /// Since the opening began.
    pub fn total_us(&self) -> u64 {
        self.trace.total_us()
    }

    pub fn peer(&self) -> SocketAddr {
        self.peer
    }
}

fn broken(doing: &str, peer: SocketAddr, error: &std::io::Error) -> NetError {
    NetError::Protocol(format!("{doing} `{peer}` failed: {}", io_text(error)))
}

#[cfg(test)]
mod tests;
