//! A connection for a probe that speaks its own protocol: TCP, and TLS on top from any moment on.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;
use url::Host;

use super::connect::{Connected, connect};
use super::context::NetContext;
use super::failure;
use super::failure::{NetError, NetFailure, Phase, Trace, io_text};
use super::host_text::parse_host;
use super::policy::Permission;
use super::tls::{Handshake, TlsSession, alert_text, rustls_error};
use crate::domain::Phases;

/// Limit of the bytes that one read returns: hundreds of connections wait at once, each with a buffer
/// that nobody has reserved.
const MAX_READ_BYTES: usize = 64 * 1024;

/// Limit of a protocol's name (RFC 7301, 3.1).
const MAX_ALPN_BYTES: usize = 255;

/// How a connection continues with TLS.
#[derive(Debug, Clone, Default)]
pub struct StartTls {
    /// Name to ask for and to check, in place of the host.
    pub server_name: Option<String>,
    /// Continues with a certificate that is not trusted.
    pub accept_untrusted: bool,
    /// Protocols to offer.
    pub alpn: Vec<String>,
}

/// An open connection; dropping it closes it.
#[derive(Debug)]
pub struct Stream {
    context: Arc<NetContext>,
    link: Link,
    host: Host,
    peer: SocketAddr,
    trace: Trace,
    /// Start of the wait for the first byte: the connection, then each write until a byte came.
    waiting_since: Instant,
}

#[derive(Debug)]
enum Link {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
    /// A handshake failed.
    Broken,
}

impl Stream {
    pub(super) async fn connect(
        context: &Arc<NetContext>,
        permission: &Permission,
        host: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<Self, NetFailure> {
        let mut trace = Trace::new(deadline);
        let opened = async {
            let host = parse_host(host)?;
            let connected = connect(context, &mut trace, permission, &host, port).await?;
            Ok((host, connected))
        };
        match opened.await {
            Ok((host, Connected { stream, peer })) => Ok(Self {
                context: context.clone(),
                link: Link::Plain(stream),
                host,
                peer,
                trace,
                waiting_since: Instant::now(),
            }),
            Err(error) => Err(trace.fail(error)),
        }
    }

    /// Makes the handshake, once at most; after an error the connection can't be used.
    pub async fn start_tls(
        &mut self,
        options: &StartTls,
        deadline: Instant,
    ) -> Result<TlsSession, NetFailure> {
        let stream = match std::mem::replace(&mut self.link, Link::Broken) {
            Link::Plain(stream) => stream,
            link => {
                self.link = link;
                return Err(self.fail(NetError::Protocol("TLS was started before".to_owned())));
            }
        };
        let alpn: Vec<&[u8]> = options.alpn.iter().map(String::as_bytes).collect();
        if let Some(name) = alpn
            .iter()
            .find(|name| !(1..=MAX_ALPN_BYTES).contains(&name.len()))
        {
            let text = format!("a protocol's name can't have {} bytes", name.len());
            return Err(self.fail(NetError::Protocol(text)));
        }
        let how = Handshake {
            server_name: options.server_name.as_deref(),
            alpn: &alpn,
            accept_any: options.accept_untrusted,
            keeps_path: true,
            ..Handshake::default()
        };
        let peer = self.peer;
        self.trace.deadline = deadline;
        let context = self.context.clone();
        let handshake =
            context
                .tls
                .handshake(&mut self.trace, Connected { stream, peer }, &self.host, how);
        match handshake.await {
            Ok(secured) => {
                let session = secured.session();
                self.link = Link::Secure(Box::new(secured.stream));
                Ok(session)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Writes all bytes.
    pub async fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), NetFailure> {
        self.waiting_since = Instant::now();
        let peer = self.peer;
        let link = &mut self.link;
        let write = async {
            let written = link.write(bytes).await;
            written.map_err(|error| broken("writing to", peer, &error))
        };
        let doing = || format!("writing to `{peer}`");
        Trace::new(deadline)
            .until(doing, write)
            .await
            .map_err(|error| self.fail(error))
    }

    /// Returns at most `max` bytes (and [`MAX_READ_BYTES`]), as soon as some are there; empty when
    /// the other side closed. After a time-out the connection can still be used.
    pub async fn read(&mut self, max: usize, deadline: Instant) -> Result<Vec<u8>, NetFailure> {
        let mut bytes = vec![0; max.clamp(1, MAX_READ_BYTES)];
        let peer = self.peer;
        let link = &mut self.link;
        let read = async {
            let read = link.read(&mut bytes).await;
            read.map_err(|error| broken("reading from", peer, &error))
        };
        let doing = || format!("waiting for bytes from `{peer}`");
        let count = Trace::new(deadline)
            .until(doing, read)
            .await
            .map_err(|error| self.fail(error))?;
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

    /// Microseconds since the opening began.
    pub fn total_us(&self) -> u64 {
        self.trace.total_us()
    }

    /// Host that was asked for.
    pub fn host(&self) -> &Host {
        &self.host
    }

    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn fail(&self, error: NetError) -> NetFailure {
        self.trace.fail(error)
    }
}

impl Link {
    async fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Link::Plain(stream) => stream.read(bytes).await,
            Link::Secure(stream) => stream.read(bytes).await,
            Link::Broken => Err(failed_handshake()),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Link::Plain(stream) => stream.write_all(bytes).await,
            Link::Secure(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Link::Broken => Err(failed_handshake()),
        }
    }
}

fn failed_handshake() -> std::io::Error {
    std::io::Error::other("the TLS handshake failed before")
}

/// Fault of an open connection; TLS has alerts and faults of its own.
fn broken(doing: &str, peer: SocketAddr, error: &std::io::Error) -> NetError {
    let failed = |reason: String| format!("{doing} `{peer}` failed: {reason}");
    match rustls_error(error) {
        Some(rustls::Error::AlertReceived(alert)) => NetError::Tls(failed(alert_text(*alert))),
        Some(fault) => NetError::Tls(failed(failure::chain(fault))),
        None => NetError::Protocol(failed(io_text(error))),
    }
}

#[cfg(test)]
mod tests;
