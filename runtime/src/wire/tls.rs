//! Encryption of connections, with a certificate of the operator.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Files in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, and those of the authorities between it and a known one.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What a client that begins with TLS says it speaks.
const ALPN: &[u8] = b"postgresql";

impl TlsFiles {
    /// Reads both. They are read once: renewed ones need a restart.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor> {
        let chain = certificates(&self.certificate).with_context(|| {
            format!(
                "can't read the certificate `{}`",
                self.certificate.display()
            )
        })?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .with_context(|| format!("can't read the key `{}`", self.key.display()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .context("the certificate and the key don't belong together")?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)?.collect::<Result<_, _>>()?;
    anyhow::ensure!(!chain.is_empty(), "there is no certificate in it");
    Ok(chain)
}
