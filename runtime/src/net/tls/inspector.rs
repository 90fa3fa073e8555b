//! The verifier: forms a verdict of every certificate, and stops at a bad one unless it is to be
//! looked at only.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage};

use super::provider::provider;
use super::{Roots, verdict};
use crate::net::certificate::Certificate;

/// Trusted certificates, for all connections.
#[derive(Debug)]
pub(super) struct Trust {
    pub(super) verifier: Arc<WebPkiServerVerifier>,
    pub(super) roots: Roots,
}

/// Verifier of one handshake.
#[derive(Debug)]
pub(super) struct Inspector {
    trust: Arc<Trust>,
    accept_any: bool,
    fault: Mutex<Option<String>>,
}

impl Inspector {
    pub(super) fn new(trust: Arc<Trust>, accept_any: bool) -> Self {
        Self {
            trust,
            accept_any,
            fault: Mutex::new(None),
        }
    }

    /// Why the certificate is not trusted; none if it is.
    pub(super) fn fault(&self) -> Option<String> {
        self.fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A certificate that is not trusted anyway may have a form or a key that can't be read: there
    /// is nothing to protect then.
    fn unless_any_is_accepted(
        &self,
        verdict: Result<HandshakeSignatureValid, rustls::Error>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match verdict {
            Err(_) if self.accept_any && self.fault().is_some() => {
                Ok(HandshakeSignatureValid::assertion())
            }
            verdict => verdict,
        }
    }

    /// The certificates by which the first of these is verified, that one included and the root
    /// not. None if it is not trusted.
    pub(super) fn path(
        &self,
        shown: &[CertificateDer<'_>],
    ) -> Option<Vec<CertificateDer<'static>>> {
        let (leaf, others) = shown.split_first().filter(|_| self.fault().is_none())?;
        let mut path = vec![leaf.clone().into_owned()];
        let end_entity = EndEntityCert::try_from(leaf).ok();
        let verified = end_entity.as_ref().and_then(|leaf| {
            let algorithms = provider().signature_verification_algorithms.all;
            let (roots, usage) = (&self.trust.roots.store.roots, KeyUsage::server_auth());
            leaf.verify_for_usage(
                algorithms,
                roots,
                others,
                UnixTime::now(),
                usage,
                None,
                None,
            )
            .ok()
        });
        if let Some(verified) = verified {
            path.extend(
                verified
                    .intermediate_certificates()
                    .map(|certificate| certificate.der().into_owned()),
            );
        }
        Some(path)
    }
}

impl Trust {
    /// Whether the operator trusts this very certificate. As `openssl req -x509` makes them, such a
    /// one calls itself an authority, which no server's certificate should; browsers and curl
    /// take it all the same.
    fn is_trusted_itself(&self, leaf: &CertificateDer<'_>) -> bool {
        self.roots.native.iter().any(|root| root == leaf)
    }

    /// Checks what remains of a certificate that is trusted itself.
    fn check_name_and_dates(
        leaf: &CertificateDer<'_>,
        name: &ServerName<'_>,
        time: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
        let certificate = Certificate::from_der(leaf).ok_or(CertificateError::BadEncoding)?;
        let moment =
            |seconds: i64| UnixTime::since_unix_epoch(Duration::from_secs(seconds.max(0) as u64));
        let (not_before, not_after) = (
            moment(certificate.not_before),
            moment(certificate.not_after),
        );
        if time > not_after {
            return Err(CertificateError::ExpiredContext { time, not_after }.into());
        }
        if time < not_before {
            return Err(CertificateError::NotValidYetContext { time, not_before }.into());
        }
        Ok(ServerCertVerified::assertion())
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
        let inner = &self.trust.verifier;
        let mut verdict =
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if verdict.as_ref().is_err_and(verdict::is_authority_as_server)
            && self.trust.is_trusted_itself(end_entity)
        {
            verdict = Trust::check_name_and_dates(end_entity, server_name, now);
        }
        let Err(error) = verdict else { return verdict };
        let chain: Vec<&[u8]> = std::iter::once(end_entity)
            .chain(intermediates)
            .map(|certificate| certificate.as_ref())
            .collect();
        let text = verdict::text(&error, &chain, server_name);
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        if self.accept_any {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(error)
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let verdict = self
            .trust
            .verifier
            .verify_tls12_signature(message, certificate, signature);
        self.unless_any_is_accepted(verdict)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let verdict = self
            .trust
            .verifier
            .verify_tls13_signature(message, certificate, signature);
        self.unless_any_is_accepted(verdict)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.verifier.supported_verify_schemes()
    }
}
