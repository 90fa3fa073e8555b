//! A private key of ours that signs texts: assertions that a token endpoint asks for (RFC 7518,
//! 3.3 and 3.4).

use std::sync::Arc;

use p256::ecdsa::Signature;
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::tls::provider;

/// Cheap to clone.
#[derive(Clone)]
pub struct SigningKey {
    key: Arc<dyn rustls::sign::SigningKey>,
    scheme: SignatureScheme,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

impl SigningKey {
    /// Reads an RSA or P-256 key (PKCS #8, PKCS #1 or SEC 1) as PEM. The error repeats nothing of it.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
            "there is no `BEGIN PRIVATE KEY` in the key, or it is encrypted".to_owned()
        })?;
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| format!("the key can't be used: {error}"))?;
        let schemes = [
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::ECDSA_NISTP256_SHA256,
        ];
        let scheme = key
            .choose_scheme(&schemes)
            .map(|signer| signer.scheme())
            .ok_or("the key is neither an RSA key nor one of the curve P-256")?;
        Ok(Self { key, scheme })
    }

    /// Returns the algorithm as a JWT names it.
    pub fn algorithm(&self) -> &'static str {
        match self.scheme {
            SignatureScheme::RSA_PKCS1_SHA256 => "RS256",
            _ => "ES256",
        }
    }

    /// Returns the signature as a JWT has it.
    pub fn sign(&self, text: &[u8]) -> Result<Vec<u8>, String> {
        let failed = |error: &dyn std::fmt::Display| format!("the key does not sign: {error}");
        let signer = self
            .key
            .choose_scheme(&[self.scheme])
            .ok_or("the key does not sign")?;
        let signed = signer.sign(text).map_err(|error| failed(&error))?;
        if self.scheme == SignatureScheme::RSA_PKCS1_SHA256 {
            return Ok(signed);
        }
        // TLS has both numbers in DER, a JWT one after the other.
        let signature = Signature::from_der(&signed).map_err(|error| failed(&error))?;
        Ok(signature.to_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::Verifier;

    use super::*;

    #[test]
    fn a_key_of_p256_signs_as_es256() {
        let pair = rcgen::KeyPair::generate().unwrap();
        let key = SigningKey::from_pem(&pair.serialize_pem()).unwrap();
        assert_eq!(key.algorithm(), "ES256");
        let signed = key.sign(b"text").unwrap();
        let signature = Signature::from_slice(&signed).unwrap();
        let known = VerifyingKey::from_sec1_bytes(pair.public_key_raw()).unwrap();
        known.verify(b"text", &signature).unwrap();
        assert!(known.verify(b"texts", &signature).is_err());
    }

    #[test]
    fn other_keys_are_refused_and_not_repeated() {
        let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let text = other.serialize_pem();
        let error = SigningKey::from_pem(&text).unwrap_err();
        assert!(error.contains("neither an RSA key"), "{error}");
        let error = SigningKey::from_pem("s3cret").unwrap_err();
        assert!(error.contains("no `BEGIN PRIVATE KEY`"), "{error}");
        assert!(!error.contains("s3cret"));
    }
}
