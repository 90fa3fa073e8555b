//! The only place that opens outgoing connections. Every one passes the policy, is measured in
//! phases, and ends at its deadline. Knows nothing of plugins, services or alerts: who may reach
//! what comes in as a [`Permission`].

mod address;
mod certificate;
mod connect;
mod dns;
mod failure;
mod host_rule;
mod http;
mod identity;
mod mail;
mod policy;
mod resolver;
mod tcp;
mod tls;

#[cfg(test)]
mod testing;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

pub use self::certificate::Certificate;
pub use self::dns::{DnsAnswer, DnsQuery, DnsRecord};
pub use self::failure::{NetError, NetFailure};
pub use self::host_rule::HostRule;
pub use self::http::{
    HttpRequest, HttpResponse, MAX_HEADER_BYTES, MAX_HEADERS, MAX_URL_BYTES, is_connection_header,
};
pub use self::identity::ClientIdentity;
pub use self::mail::{MailError, MailMessage, SmtpSettings, SmtpTls, mail_address};
pub use self::policy::{Permission, canonical};
pub use self::tcp::{MAX_READ_BYTES, TcpConnection};
pub use self::tls::TlsSession;

use self::connect::connect;
use self::failure::Trace;
use self::mail::Mailer;
use self::policy::parse_host;
use self::resolver::Resolver;
use self::tls::{Handshake, Roots, Tls};

#[derive(Debug, Clone)]
pub struct NetSettings {
    /// Most bytes of an HTTP body; the rest is not read.
    pub max_body_bytes: usize,
    /// None: mail is refused.
    pub smtp: Option<SmtpSettings>,
    /// For look-ups, and for DNS probes that name no server; empty: those of `/etc/resolv.conf`.
    pub nameservers: Vec<SocketAddr>,
}

impl Default for NetSettings {
    fn default() -> Self {
        Self {
            max_body_bytes: 1024 * 1024,
            smtp: None,
            nameservers: Vec::new(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum NetSetupError {
    #[error("TLS can't be set up")]
    Tls(#[from] rustls::Error),
    #[error("the SMTP settings are wrong: {0}")]
    Smtp(String),
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Net {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    max_body_bytes: usize,
    resolver: Resolver,
    tls: Tls,
    mailer: Option<Mailer>,
}

impl Net {
    /// Reads the machine's trusted certificates, which blocks for some milliseconds.
    pub fn new(settings: NetSettings) -> Result<Self, NetSetupError> {
        Self::with_roots(settings, &Roots::load())
    }

    fn with_roots(settings: NetSettings, roots: &Roots) -> Result<Self, NetSetupError> {
        let mailer = settings
            .smtp
            .map(|smtp| Mailer::new(smtp, roots))
            .transpose()?;
        let max_body_bytes = settings.max_body_bytes;
        let resolver = Resolver::new(settings.nameservers);
        Ok(Self {
            inner: Arc::new(Inner {
                max_body_bytes,
                resolver,
                tls: Tls::new(roots)?,
                mailer,
            }),
        })
    }

    /// One request on a connection of its own; redirects are returned.
    pub async fn http(
        &self,
        permission: &Permission,
        request: HttpRequest,
    ) -> Result<HttpResponse, NetFailure> {
        http::send(self, permission, request).await
    }

    /// `host` is a name or an address. The deadline holds for the reads and writes too, until
    /// another is set.
    pub async fn tcp_open(
        &self,
        permission: &Permission,
        host: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<TcpConnection, NetFailure> {
        let mut trace = Trace::new(deadline);
        let opened =
            async { connect(self, &mut trace, permission, &parse_host(host)?, port).await }.await;
        match opened {
            Ok(connected) => Ok(TcpConnection::new(connected, trace)),
            Err(error) => Err(trace.fail(error)),
        }
    }

    /// Completes with a certificate that is not trusted, too.
    pub async fn tls_handshake(
        &self,
        permission: &Permission,
        host: &str,
        port: u16,
        server_name: Option<&str>,
        deadline: Instant,
    ) -> Result<TlsSession, NetFailure> {
        let mut trace = Trace::new(deadline);
        let made = async {
            let host = parse_host(host)?;
            let connected = connect(self, &mut trace, permission, &host, port).await?;
            let peer = connected.peer;
            let how = Handshake {
                server_name,
                accept_any: true,
                keeps_path: true,
                ..Handshake::default()
            };
            Ok((
                self.inner
                    .tls
                    .handshake(&mut trace, connected, &host, how)
                    .await?,
                peer,
            ))
        };
        match made.await {
            Ok((secured, peer)) => Ok(secured.into_session(&trace, peer)),
            Err(error) => Err(trace.fail(error)),
        }
    }

    /// A name that does not exist is an answer.
    pub async fn dns_query(
        &self,
        permission: &Permission,
        query: DnsQuery,
    ) -> Result<DnsAnswer, NetFailure> {
        dns::query(self, permission, query).await
    }

    /// By the operator's server; answers what it said.
    pub async fn mail_send(
        &self,
        message: MailMessage,
        deadline: Instant,
    ) -> Result<String, MailError> {
        mail::send(self, message, deadline).await
    }
}
