//! TLS on top of a connection: verified, or looked at only. One verifier serves both: it always forms a verdict, and
//! either stops the handshake with it or lets the handshake go on and keeps it.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, ProtocolVersion, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

use super::certificate::Certificate;
use super::connect::Connected;
use super::failure::{NetError, Phase, Trace, chain, io_text};
use super::identity::ClientIdentity;
use super::policy::parse_host;
use crate::domain::Phases;

/// What a handshake showed.
#[derive(Debug, Clone)]
pub struct TlsSession {
    /// `TLSv1.3` or `TLSv1.2`.
    pub protocol: String,
    /// Name in IANA's registry.
    pub cipher: String,
    /// Leaf first.
    pub chain: Vec<Certificate>,
    /// Why the chain is not trusted for this name; none if it is.
    pub untrusted: Option<String>,
    pub phases: Phases,
    pub total_us: u64,
    pub peer: std::net::SocketAddr,
}

/// The certificates this machine trusts, read once.
#[derive(Debug, Clone)]
pub(super) struct Roots {
    pub(super) store: Arc<RootCertStore>,
    /// The same as the machine keeps them; empty when it keeps none and the built-in ones serve.
    pub(super) native: Arc<Vec<CertificateDer<'static>>>,
}

impl Roots {
    /// The machine's own (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured), or Mozilla's where it has none.
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
        Self { store: Arc::new(store), native: Arc::new(native) }
    }
}

/// How a handshake is to be made.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Handshake<'a> {
    /// In place of the host, for the server's choice of certificate and for its check.
    pub(super) server_name: Option<&'a str>,
    pub(super) alpn: &'a [&'a [u8]],
    /// Go on with a certificate that is not trusted.
    pub(super) accept_any: bool,
    /// Ours, for a server that asks for one.
    pub(super) identity: Option<&'a ClientIdentity>,
}

#[derive(Debug)]
pub(super) struct Secured {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) untrusted: Option<String>,
}

impl Secured {
    pub(super) fn leaf(&self) -> Option<Certificate> {
        let (_, session) = self.stream.get_ref();
        session.peer_certificates()?.first().and_then(|der| Certificate::from_der(der))
    }

    pub(super) fn speaks_http2(&self) -> bool {
        self.stream.get_ref().1.alpn_protocol() == Some(b"h2")
    }

    pub(super) fn into_session(self, trace: &Trace, peer: std::net::SocketAddr) -> TlsSession {
        let (_, session) = self.stream.get_ref();
        let protocol = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
            other => format!("{other:?}"),
        };
        let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        let chain = session.peer_certificates().unwrap_or_default();
        TlsSession {
            protocol,
            cipher: cipher.unwrap_or("unknown").replace("TLS13_", "TLS_"),
            chain: chain.iter().filter_map(|der| Certificate::from_der(der)).collect(),
            untrusted: self.untrusted,
            phases: trace.phases,
            total_us: trace.total_us(),
            peer,
        }
    }
}

/// Makes handshakes, each from scratch: no session is resumed, so that the phase and the certificate are real.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    config: ClientConfig,
    verifier: Arc<WebPkiServerVerifier>,
}

impl Tls {
    pub(super) fn new(roots: &Roots) -> Result<Self, rustls::Error> {
        let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.store.clone(), provider.clone())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self { config, verifier })
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
        let inspector =
            Arc::new(Inspector { inner: self.verifier.clone(), accept_any: how.accept_any, fault: Mutex::new(None) });
        let mut config = self.config.clone();
        config.dangerous().set_certificate_verifier(inspector.clone());
        if let Some(identity) = how.identity {
            config.client_auth_cert_resolver = identity.resolver();
        }
        config.alpn_protocols = how.alpn.iter().map(|name| name.to_vec()).collect();
        let peer = connected.peer;
        let connect = async {
            TlsConnector::from(Arc::new(config))
                .connect(name, connected.stream)
                .await
                .map_err(|error| NetError::Tls(inspector.fault().unwrap_or_else(|| handshake_text(&error))))
        };
        let stream = trace.phase(Phase::Tls, || format!("shaking hands by TLS with `{peer}`"), connect).await?;
        Ok(Secured { stream, untrusted: inspector.fault() })
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

#[derive(Debug)]
struct Inspector {
    inner: Arc<WebPkiServerVerifier>,
    accept_any: bool,
    fault: Mutex<Option<String>>,
}

impl Inspector {
    fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Inspector {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let Err(error) = verdict else { return verdict };
        let text = verdict_text(&error, end_entity, &server_name.to_str());
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        if self.accept_any { Ok(ServerCertVerified::assertion()) } else { Err(error) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Why a certificate is not accepted: the value found beside the value wanted.
fn verdict_text(error: &rustls::Error, leaf: &CertificateDer<'_>, wanted: &str) -> String {
    let leaf = Certificate::from_der(leaf);
    let rustls::Error::InvalidCertificate(fault) = error else { return error.to_string().to_lowercase() };
    match fault {
        CertificateError::ExpiredContext { time, not_after } => {
            format!("certificate expired on {}, now it is {}", moment(*not_after), moment(*time))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("certificate is not valid before {}, now it is {}", moment(*not_before), moment(*time))
        }
        CertificateError::NotValidForNameContext { .. } | CertificateError::NotValidForName => {
            let names = leaf.map(|leaf| leaf.names).unwrap_or_default();
            let found = match names.as_slice() {
                [] => "no name".to_owned(),
                names if names.len() > 5 => format!("`{}` and {} more", names[..5].join("`, `"), names.len() - 5),
                names => format!("`{}`", names.join("`, `")),
            };
            format!("certificate is for {found}, not for `{wanted}`")
        }
        CertificateError::UnknownIssuer => match leaf {
            Some(leaf) if leaf.subject == leaf.issuer => {
                format!("certificate `{}` is self-signed; add it to the file that `SSL_CERT_FILE` names", leaf.subject)
            }
            Some(leaf) => format!(
                "certificate's issuer `{}` is unknown; is an intermediate certificate missing? \
                 Trust a root of your own by adding it to the file that `SSL_CERT_FILE` names",
                leaf.issuer
            ),
            None => "certificate can't be read".to_owned(),
        },
        other => format!("certificate is not accepted: {other}"),
    }
}

fn moment(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds} s after 1970"), |time| time.to_string())
}

fn handshake_text(error: &std::io::Error) -> String {
    match rustls_error(error) {
        Some(rustls::Error::InvalidMessage(fault)) => format!("the server does not speak TLS here ({fault:?})"),
        Some(rustls::Error::AlertReceived(alert)) => format!("the server refused the handshake: alert {alert:?}"),
        Some(error) => format!("handshake failed: {}", chain(error)),
        None => format!("handshake failed: {}", io_text(error)),
    }
}

/// The TLS error inside an input or output error.
pub(super) fn rustls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}

#[cfg(test)]
mod tests;
