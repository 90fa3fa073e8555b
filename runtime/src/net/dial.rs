//! Connections for HTTP that the caller speaks itself: same policy, resolver and phases as every
//! other request, and no end of their own.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;
use url::Url;

use super::connect::connect;
use super::context::NetContext;
use super::failure::{NetError, NetFailure, Trace};
use super::identity::ClientIdentity;
use super::policy::Permission;
use super::tls::Handshake;
use crate::domain::Phases;

/// Where a connection goes, and how.
#[derive(Debug, Clone, Copy)]
pub struct HttpDial<'a> {
    pub url: &'a Url,
    /// Our certificate, for a server that asks for one.
    pub identity: Option<&'a ClientIdentity>,
    pub versions: HttpVersions,
    pub deadline: Instant,
}

/// Versions of HTTP that the caller can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersions {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 where TLS agrees on it, else HTTP/1.1.
    Both,
    /// HTTP/2 alone: TLS has to agree on it, and without TLS the server is known to speak it.
    Http2,
}

/// An open connection on which nothing was sent yet.
#[derive(Debug)]
pub struct Dialed {
    pub stream: DialedStream,
    pub is_http2: bool,
    /// Address and port that answered.
    pub peer: SocketAddr,
    pub phases: Phases,
}

/// The stream of a [`Dialed`] connection, with TLS or without.
#[derive(Debug)]
pub struct DialedStream(Link);

#[derive(Debug)]
enum Link {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

pub(super) async fn dial(
    context: &NetContext,
    permission: &Permission,
    how: HttpDial<'_>,
) -> Result<Dialed, NetFailure> {
    let mut trace = Trace::new(how.deadline);
    let opened = open(context, permission, how, &mut trace).await;
    opened.map_err(|error| trace.fail(error))
}

async fn open(
    context: &NetContext,
    permission: &Permission,
    how: HttpDial<'_>,
    trace: &mut Trace,
) -> Result<Dialed, NetError> {
    let (host, port) = permission.check_url(how.url)?;
    let connected = connect(context, trace, permission, &host, port).await?;
    let peer = connected.peer;
    if how.url.scheme() != "https" {
        return Ok(Dialed {
            stream: DialedStream(Link::Plain(connected.stream)),
            is_http2: how.versions == HttpVersions::Http2,
            peer,
            phases: trace.phases,
        });
    }
    let alpn: &[&[u8]] = match how.versions {
        HttpVersions::Http1 => &[b"http/1.1"],
        HttpVersions::Both => &[b"h2", b"http/1.1"],
        HttpVersions::Http2 => &[b"h2"],
    };
    let handshake = Handshake {
        alpn,
        identity: how.identity,
        ..Handshake::default()
    };
    let secured = context
        .tls
        .handshake(trace, connected, &host, handshake)
        .await?;
    if how.versions == HttpVersions::Http2 && !secured.speaks_http2() {
        return Err(NetError::Protocol(format!(
            "`{host}` does not offer HTTP/2 over TLS (ALPN `h2`)"
        )));
    }
    Ok(Dialed {
        is_http2: secured.speaks_http2(),
        stream: DialedStream(Link::Secure(Box::new(secured.stream))),
        peer,
        phases: trace.phases,
    })
}

impl AsyncRead for DialedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Link::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Link::Secure(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for DialedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Link::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Link::Secure(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Link::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Link::Secure(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Link::Plain(stream) => stream.is_write_vectored(),
            Link::Secure(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Link::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Link::Secure(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Link::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Link::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
