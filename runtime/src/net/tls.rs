//! TLS on top of a connection: verified, or looked at only. One verifier serves both: it always
//! forms a verdict, and either stops the handshake with it or lets the handshake go on and keeps
//! it.

mod inspector;
mod key_exchange;
mod provider;
mod refusal;
mod verdict;

use std::sync::Arc;

use rustls::client::{ClientConfig, Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ProtocolVersion, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

pub(super) use self::provider::provider;
pub(super) use self::refusal::{alert_text, rustls_error};

use self::inspector::{Inspector, Trust};
use super::certificate::Certificate;
use super::connect::Connected;
use super::failure::{NetError, Phase, Trace};
use super::host_text::parse_host;
use super::identity::ClientIdentity;

/// Result of a handshake.
#[derive(Debug, Clone)]
pub struct TlsSession {
    /// `TLSv1.3` or `TLSv1.2`.
    pub protocol: String,
    /// Name in IANA's registry.
    pub cipher: String,
    /// Leaf first: the certificates by which it was verified, without the root, or all that the
    /// server showed if it was not.
    pub chain: Vec<Certificate>,
    /// Why the chain is not trusted for this name; none if it is.
    pub untrusted: Option<String>,
    /// The offered protocol that the server chose.
    pub alpn: Option<String>,
}

/// The certificates this machine trusts, read once.
#[derive(Debug, Clone)]
pub(super) struct Roots {
    pub(super) store: Arc<RootCertStore>,
    /// The same as the machine keeps them; empty when it keeps none and the built-in ones serve.
    pub(super) native: Arc<Vec<CertificateDer<'static>>>,
}

impl Roots {
    /// The machine's own (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured), or Mozilla's where it
    /// has none.
    pub(super) fn load() -> Self {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a trusted certificate can't be read");
        }
        let roots = Self::new(found.certs);
        if roots.native.is_empty() {
            tracing::warn!("no trusted certificates on this machine; using the built-in ones");
        }
        roots
    }

    /// Only these, or the built-in ones when none of them can be read.
    pub(super) fn new(certificates: Vec<CertificateDer<'static>>) -> Self {
        let mut store = RootCertStore::empty();
        let mut native = Vec::with_capacity(certificates.len());
        for certificate in certificates {
            if store.add(certificate.clone()).is_ok() {
                native.push(certificate);
            }
        }
        if native.is_empty() {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Self {
            store: Arc::new(store),
            native: Arc::new(native),
        }
    }
}

/// Options of a handshake.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Handshake<'a> {
    /// Name in place of the host, for the server's choice of certificate and for its check.
    pub(super) server_name: Option<&'a str>,
    pub(super) alpn: &'a [&'a [u8]],
    /// Go on with a certificate that is not trusted.
    pub(super) accept_any: bool,
    /// Find out by which certificates the server's own was verified.
    pub(super) keeps_path: bool,
    /// Our certificate, for a server that asks for one.
    pub(super) identity: Option<&'a ClientIdentity>,
}

#[derive(Debug)]
pub(super) struct Secured {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) untrusted: Option<String>,
    /// Certificates by which it was verified; none if it is not trusted.
    path: Option<Vec<CertificateDer<'static>>>,
}

impl Secured {
    pub(super) fn leaf(&self) -> Option<Certificate> {
        let (_, session) = self.stream.get_ref();
        session
            .peer_certificates()?
            .first()
            .and_then(|der| Certificate::from_der(der))
    }

    pub(super) fn speaks_http2(&self) -> bool {
        self.stream.get_ref().1.alpn_protocol() == Some(b"h2")
    }

    pub(super) fn session(&self) -> TlsSession {
        let (_, session) = self.stream.get_ref();
        let protocol = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
            other => format!("{other:?}"),
        };
        let cipher = session
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str());
        let shown = session.peer_certificates().unwrap_or_default();
        let chain = self.path.as_deref().unwrap_or(shown);
        TlsSession {
            protocol,
            cipher: cipher.unwrap_or("unknown").replace("TLS13_", "TLS_"),
            chain: chain
                .iter()
                .filter_map(|der| Certificate::from_der(der))
                .collect(),
            untrusted: self.untrusted.clone(),
            alpn: session
                .alpn_protocol()
                .map(|name| String::from_utf8_lossy(name).into_owned()),
        }
    }
}

/// Makes handshakes, each from scratch: no session is resumed, so that the phase and the
/// certificate are real.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    config: ClientConfig,
    trust: Arc<Trust>,
}

impl Tls {
    pub(super) fn new(roots: &Roots) -> Result<Self, rustls::Error> {
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.store.clone(), provider())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self {
            config,
            trust: Arc::new(Trust {
                verifier,
                roots: roots.clone(),
            }),
        })
    }

    /// The phase `tls` is noted.
    pub(super) async fn handshake(
        &self,
        trace: &mut Trace,
        connected: Connected,
        host: &Host,
        how: Handshake<'_>,
    ) -> Result<Secured, NetError> {
        let name = match how.server_name {
            Some(name) => server_name(&parse_host(name)?)?,
            None => server_name(host)?,
        };
        let inspector = Arc::new(Inspector::new(self.trust.clone(), how.accept_any));
        let mut config = self.config.clone();
        config
            .dangerous()
            .set_certificate_verifier(inspector.clone());
        if let Some(identity) = how.identity {
            config.client_auth_cert_resolver = identity.resolver();
        }
        config.alpn_protocols = how.alpn.iter().map(|name| name.to_vec()).collect();
        let peer = connected.peer;
        let connect = async {
            TlsConnector::from(Arc::new(config))
                .connect(name, connected.stream)
                .await
                .map_err(|error| {
                    NetError::Tls(inspector.fault().unwrap_or_else(|| refusal::text(&error)))
                })
        };
        let stream = trace
            .phase(
                Phase::Tls,
                || format!("shaking hands by TLS with `{peer}`"),
                connect,
            )
            .await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let path = how.keeps_path.then(|| inspector.path(shown)).flatten();
        Ok(Secured {
            stream,
            untrusted: inspector.fault(),
            path,
        })
    }
}

fn server_name(host: &Host) -> Result<ServerName<'static>, NetError> {
    match host {
        Host::Domain(name) => ServerName::try_from(name.clone())
            .map_err(|_| NetError::Tls(format!("`{name}` can't be the name in a certificate"))),
        Host::Ipv4(address) => Ok(ServerName::from(std::net::IpAddr::from(*address))),
        Host::Ipv6(address) => Ok(ServerName::from(std::net::IpAddr::from(*address))),
    }
}

#[cfg(test)]
mod tests;
