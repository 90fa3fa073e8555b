//! Servers on loopback for the tests of this module, and certificates made on the spot.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::Message;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::tls::Roots;
use super::{ClientIdentity, HostRule, Net, NetSettings, Permission};

/// Long enough for anything that is to succeed.
pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Deadline for what is to run into it.
pub(super) fn shortly() -> Instant {
    Instant::now() + Duration::from_secs(1)
}

pub(super) fn permission(hosts: &[&str], allow_private: bool) -> Permission {
    Permission {
        hosts: hosts
            .iter()
            .map(|host| HostRule::parse(host).unwrap())
            .collect(),
        public_hosts: Vec::new(),
        allow_private: allow_private.into(),
        private_remedy: Permission::OPEN_IN_FILES,
        subject: "probe `http` of service `shop`".to_owned(),
        setting: "`baseUrl` of the service".to_owned(),
    }
}

pub(super) fn loopback() -> Permission {
    permission(&["127.0.0.1", "localhost", "[::1]"], true)
}

/// Trusts the given authority, or the built-in ones.
pub(super) fn net(settings: NetSettings, authority: Option<&Authority>) -> Net {
    Net::with_roots(
        settings,
        &Roots::new(
            authority
                .iter()
                .map(|authority| authority.root.clone())
                .collect(),
        ),
    )
    .unwrap()
}

pub(super) fn plain_net() -> Net {
    net(NetSettings::default(), None)
}

/// Serves one connection after the other.
pub(super) async fn serve<F, A>(answer: F) -> SocketAddr
where
    F: Fn(TcpStream) -> A + Send + 'static,
    A: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            answer(stream).await;
        }
    });
    address
}

/// Accepts one connection and never sends a byte.
pub(super) async fn serve_silence() -> SocketAddr {
    serve(|stream| async move {
        let _open = stream;
        std::future::pending().await
    })
    .await
}

/// A port that nothing listens on.
pub(super) async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

/// A name server that answers by UDP what `reply` makes of each question; its TCP port is the
/// listener's.
pub(super) async fn name_server(
    mut reply: impl FnMut(Message) -> Vec<Vec<u8>> + Send + 'static,
) -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for bytes in reply(Message::from_vec(&buffer[..length]).unwrap()) {
                let _ = socket.send_to(&bytes, from).await;
            }
        }
    });
    (address, listener)
}

/// Reads the head of a request.
pub(super) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Signs certificates.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) root: CertificateDer<'static>,
}

/// A server's certificate to be.
pub(super) struct Leaf {
    pub(super) names: &'static [&'static str],
    /// Years.
    pub(super) from: i32,
    pub(super) until: i32,
}

impl Leaf {
    pub(super) fn of(names: &'static [&'static str]) -> Self {
        Self {
            names,
            from: 2020,
            until: 2090,
        }
    }
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Test Authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            root,
        }
    }

    fn signed(&self, leaf: &Leaf) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new(
            leaf.names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>(),
        )
        .unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Test Server");
        params.not_before = rcgen::date_time_ymd(leaf.from, 1, 1);
        params.not_after = rcgen::date_time_ymd(leaf.until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        (vec![certificate.der().clone()], key)
    }

    /// An authority between this one and servers.
    pub(super) fn intermediate(&self, name: &str, until: i32) -> Self {
        let (params, key) = (authority_until(name, until), KeyPair::generate().unwrap());
        let root = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            root,
        }
    }

    /// Certificate with its own name and key, signed by another authority.
    pub(super) fn cross_signed_by(&self, other: &Self, until: i32) -> CertificateDer<'static> {
        authority_until("Test Authority", until)
            .signed_by(self.issuer.key(), &other.issuer)
            .unwrap()
            .der()
            .clone()
    }

    /// A server's certificate alone.
    pub(super) fn leaf(&self, leaf: &Leaf) -> CertificateDer<'static> {
        self.signed(leaf).0.remove(0)
    }

    pub(super) fn acceptor(&self, leaf: &Leaf, alpn: &[&[u8]]) -> TlsAcceptor {
        let (chain, key) = self.signed(leaf);
        let mut config = server_config()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A client's certificate and key.
    pub(super) fn identity(&self, name: &str) -> ClientIdentity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params
            .extended_key_usages
            .push(rcgen::ExtendedKeyUsagePurpose::ClientAuth);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        ClientIdentity::from_pem(&certificate.pem(), &key.serialize_pem()).unwrap()
    }

    /// Serves TLS to those who show a certificate of this authority.
    pub(super) async fn serve_mutual<F, A>(&self, leaf: &Leaf, answer: F) -> SocketAddr
    where
        F: Fn(TlsStream<TcpStream>) -> A + Send + Sync + 'static,
        A: Future<Output = ()> + Send,
    {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap();
        let (chain, key) = self.signed(leaf);
        let config = server_config()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap();
        serve_tls(TlsAcceptor::from(Arc::new(config)), answer).await
    }

    /// Serves TLS; a failed handshake is the client's to report.
    pub(super) async fn serve<F, A>(&self, leaf: &Leaf, alpn: &[&[u8]], answer: F) -> SocketAddr
    where
        F: Fn(TlsStream<TcpStream>) -> A + Send + Sync + 'static,
        A: Future<Output = ()> + Send,
    {
        serve_tls(self.acceptor(leaf, alpn), answer).await
    }
}

fn authority_until(name: &str, until: i32) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    params
}

fn server_config() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
}

async fn serve_tls<F, A>(acceptor: TlsAcceptor, answer: F) -> SocketAddr
where
    F: Fn(TlsStream<TcpStream>) -> A + Send + Sync + 'static,
    A: Future<Output = ()> + Send,
{
    let answer = Arc::new(answer);
    serve(move |stream| {
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream).await;
            }
        }
    })
    .await
}
