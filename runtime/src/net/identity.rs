//! A certificate of our own, for servers that ask who we are (mutual TLS).

use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::certificate::Certificate;
use super::tls::provider;

/// Certificates between ours and the root; more is a mistake.
const MAX_CHAIN: usize = 16;

/// Cheap to clone.
#[derive(Clone)]
pub struct ClientIdentity {
    resolver: Arc<SingleCertAndKey>,
    expires_ms: Option<i64>,
}

impl std::fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientIdentity(***)")
    }
}

impl ClientIdentity {
    /// The chain, our own certificate first, and its key (PKCS #8, PKCS #1 or SEC 1), both as PEM.
    /// The error names the wrong one, and repeats nothing of the key.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, String> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(certificate.as_bytes())
                .take(MAX_CHAIN + 1)
                .collect::<Result<_, _>>()
                .map_err(|error| format!("the certificate is not PEM: {error}"))?;
        if chain.is_empty() {
            return Err("there is no `BEGIN CERTIFICATE` in the certificate".to_owned());
        }
        if chain.len() > MAX_CHAIN {
            return Err(format!(
                "the certificate's chain is longer than {MAX_CHAIN}"
            ));
        }
        let own = Certificate::from_der(&chain[0]);
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| {
            "there is no `BEGIN PRIVATE KEY` in the key, or it is encrypted".to_owned()
        })?;
        let pair =
            CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    "the key does not belong to the certificate".to_owned()
                }
                error => format!("certificate and key can't be used: {error}"),
            })?;
        Ok(Self {
            resolver: Arc::new(SingleCertAndKey::from(pair)),
            expires_ms: own.map(|own| own.not_after.saturating_mul(1_000)),
        })
    }

    /// When our own certificate ends, in milliseconds since 1970.
    pub fn expires_ms(&self) -> Option<i64> {
        self.expires_ms
    }

    pub(super) fn resolver(&self) -> Arc<dyn ResolvesClientCert> {
        self.resolver.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn says_what_is_wrong_and_nothing_of_the_key() {
        let ((certificate, key), (_, other)) = (pair(), pair());
        assert!(ClientIdentity::from_pem(&certificate, &key).is_ok());
        for (certificate, key, wanted) in [
            ("", key.as_str(), "no `BEGIN CERTIFICATE`"),
            (&key, &key, "no `BEGIN CERTIFICATE`"),
            (&certificate, &certificate, "no `BEGIN PRIVATE KEY`"),
            (&certificate, &other, "does not belong"),
        ] {
            let fault = ClientIdentity::from_pem(certificate, key).unwrap_err();
            assert!(fault.contains(wanted), "{wanted:?} in {fault:?}");
            assert!(!fault.contains(key.lines().nth(1).unwrap()), "{fault}");
        }
    }
}
