//! The only place that opens outgoing connections. Every one passes the policy, is measured in
//! phases, and ends at its deadline. Knows nothing of plugins, services or alerts: who may reach
//! what comes in as a [`Permission`].

mod address;
mod certificate;
mod connect;
mod context;
mod dial;
mod dns;
mod failure;
mod host_rule;
mod host_text;
mod http;
mod icmp;
mod identity;
mod mail;
mod policy;
mod resolver;
mod signing_key;
mod stream;
mod tls;
mod udp;

#[cfg(test)]
mod testing;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

pub use self::certificate::Certificate;
pub use self::dial::{Dialed, DialedStream, HttpDial, HttpVersions};
pub use self::dns::{DnsAnswer, DnsQuery, DnsRecord};
pub use self::failure::{NetError, NetFailure, NetSetupError};
pub use self::host_rule::HostRule;
pub use self::host_text::canonical;
pub use self::http::{
    BodyRoom, HttpRequest, HttpResponse, MAX_HEADER_BYTES, MAX_HEADERS, MAX_URL_BYTES,
    is_connection_header,
};
pub use self::icmp::{EchoRequest, Echoes};
pub use self::identity::ClientIdentity;
pub use self::mail::{MailError, MailMessage, SmtpSettings, SmtpTls, mail_address};
pub use self::policy::Permission;
pub use self::signing_key::SigningKey;
pub use self::stream::{StartTls, Stream};
pub use self::tls::TlsSession;
pub use self::udp::UdpPeer;

use self::context::NetContext;
use self::mail::Mailer;
use self::resolver::Resolver;
use self::tls::{Roots, Tls};

#[derive(Debug, Clone)]
pub struct NetSettings {
    /// Most bytes of an HTTP body; the rest is not read.
    pub max_body_bytes: usize,
    /// Server for mail; none: mail is refused.
    pub smtp: Option<SmtpSettings>,
    /// Servers for look-ups, and for DNS probes that name none; empty: those of `/etc/resolv.conf`.
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

/// The network; cheap to clone.
#[derive(Debug, Clone)]
pub struct Net {
    context: Arc<NetContext>,
    /// None: mail is refused.
    mailer: Option<Arc<Mailer>>,
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
            context: Arc::new(NetContext {
                max_body_bytes,
                resolver,
                tls: Tls::new(roots)?,
            }),
            mailer: mailer.map(Arc::new),
        })
    }

    /// One request on a connection of its own; redirects are returned.
    pub async fn http(
        &self,
        permission: &Permission,
        request: HttpRequest,
    ) -> Result<HttpResponse, NetFailure> {
        http::send(&self.context, permission, request).await
    }

    /// Opens a connection on which the caller speaks HTTP.
    pub async fn http_dial(
        &self,
        permission: &Permission,
        dial: HttpDial<'_>,
    ) -> Result<Dialed, NetFailure> {
        dial::dial(&self.context, permission, dial).await
    }

    /// Opens a TCP connection; `host` is a name or an address.
    pub async fn stream_connect(
        &self,
        permission: &Permission,
        host: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<Stream, NetFailure> {
        Stream::connect(&self.context, permission, host, port, deadline).await
    }

    /// Opens a socket to one peer; nothing is sent.
    pub async fn udp_open(
        &self,
        permission: &Permission,
        host: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<UdpPeer, NetFailure> {
        UdpPeer::open(&self.context, permission, host, port, deadline).await
    }

    /// Sends echo requests and waits for their answers. One that is not answered is no error.
    pub async fn icmp_ping(
        &self,
        permission: &Permission,
        request: &EchoRequest,
    ) -> Result<Echoes, NetFailure> {
        icmp::ping(&self.context, permission, request).await
    }

    /// A name that does not exist is an answer.
    pub async fn dns_query(
        &self,
        permission: &Permission,
        query: DnsQuery,
    ) -> Result<DnsAnswer, NetFailure> {
        dns::query(&self.context, permission, query).await
    }

    /// Sends by the operator's server, and returns its answer.
    pub async fn mail_send(
        &self,
        message: MailMessage,
        deadline: Instant,
    ) -> Result<String, MailError> {
        mail::send(&self.context, self.mailer.as_deref(), message, deadline).await
    }
}
