//! The stream under the SMTP client. It hands on one line at a time, so that nothing a server (or
//! somebody in between) sent in clear text behind its answer to STARTTLS is taken for an answer
//! inside TLS; and it ends after a fixed number of bytes, because the client would keep an endless
//! line.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::failure::{chain, io_text};
use crate::net::tls::rustls_error;

/// Limit of what a server may send in one conversation; far more than any sends.
const MAX_BYTES: usize = 512 * 1024;
const CHUNK_BYTES: usize = 2048;

#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    peer: SocketAddr,
    /// Read, and not handed on yet.
    ahead: Vec<u8>,
    left: usize,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, peer: SocketAddr) -> Self {
        Self {
            stream,
            peer,
            ahead: Vec::new(),
            left: MAX_BYTES,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ahead.is_empty() {
            let mut chunk = [0; CHUNK_BYTES];
            let mut chunk = ReadBuf::new(&mut chunk);
            std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, &mut chunk))?;
            let filled = chunk.filled();
            this.left = match this.left.checked_sub(filled.len()) {
                Some(left) => left,
                None => return Poll::Ready(Err(io::Error::other("the server says too much"))),
            };
            this.ahead.extend_from_slice(filled);
        }
        let line = this
            .ahead
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(this.ahead.len(), |end| end + 1);
        let count = line.min(out.remaining());
        out.put_slice(&this.ahead[..count]);
        this.ahead.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
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

impl<S> AsyncTokioStream for Wire<S>
where
    S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug,
{
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

/// Returns the last known cause of the client's error.
pub(super) fn fault_text(error: &(dyn Error + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match rustls_error(error) {
                Some(rustls::Error::InvalidCertificate(fault)) => format!(
                    "TLS with the SMTP server failed: {}; add the certificate to the file that `SSL_CERT_FILE` names, or \
                     set `SMTP_TLS=opportunistic` to take any certificate where there is no password",
                    certificate_text(fault)
                ),
                Some(error) => format!("TLS with the SMTP server failed: {}", chain(error)),
                None => format!(
                    "the conversation with the SMTP server broke: {}",
                    io_text(error)
                ),
            };
        }
        cause = error.source();
    }
    match error.source() {
        Some(fault) => format!("the SMTP server can't be used: {}", chain(fault)),
        None => chain(error),
    }
}

/// Returns the fault of a certificate in words.
fn certificate_text(fault: &rustls::CertificateError) -> String {
    use rustls::CertificateError;
    let text = match fault {
        CertificateError::UnknownIssuer => {
            "its certificate is self-signed, or its issuer is not known here"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name than `SMTP_HOST`"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; is the clock right?"
        }
        CertificateError::Revoked => "its certificate was revoked",
        CertificateError::BadEncoding | CertificateError::BadSignature => {
            "its certificate is broken"
        }
        // What `openssl req -x509` makes is a certificate authority's.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "its certificate is self-signed, made as that of a certificate authority"
        }
        _ => "its certificate is not accepted",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::CertificateError;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("CaUsedAsEndEntity")]
    struct CaUsedAsEndEntity;

    #[test]
    fn a_certificate_that_is_refused_is_told_of_in_words_with_the_settings_that_help() {
        for fault in [
            CertificateError::UnknownIssuer,
            CertificateError::NotValidForName,
            CertificateError::Other(rustls::OtherError(Arc::new(CaUsedAsEndEntity))),
        ] {
            let error = io::Error::other(rustls::Error::InvalidCertificate(fault));
            let text = fault_text(&error);
            assert!(
                text.contains("its certificate is") && !text.contains("Other"),
                "{text}"
            );
            assert!(
                text.contains("SSL_CERT_FILE") && text.contains("SMTP_TLS"),
                "{text}"
            );
        }
    }
}
