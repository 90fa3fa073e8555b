//! The cryptography of TLS: that of `ring`, and what browsers know and it does not: signatures by
//! P-521 keys and by other ECDSA keys over SHA-512, and keys that are agreed on over P-521.

use std::sync::{Arc, LazyLock};

use ecdsa::signature::hazmat::PrehashVerifier;
use rustls::SignatureScheme;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::key_exchange::Secp521r1;

type Algorithm = &'static dyn SignatureVerificationAlgorithm;

/// Provider of all our connections.
pub(in crate::net) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(made()));
    PROVIDER.clone()
}

fn made() -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    // Last: only who knows no other curve takes it.
    provider.kx_groups.push(&Secp521r1);
    let rings = provider.signature_verification_algorithms;
    let mut mapping = rings.mapping.to_vec();
    // In TLS 1.2 a scheme names the hash alone, and a server picks one for the key it has. In 1.3
    // the first algorithm counts.
    for (scheme, algorithms) in &mut mapping {
        let more: Option<Algorithm> = match *scheme {
            SignatureScheme::ECDSA_NISTP256_SHA256 => Some(&P521_SHA256),
            SignatureScheme::ECDSA_NISTP384_SHA384 => Some(&P521_SHA384),
            _ => None,
        };
        if let Some(more) = more {
            *algorithms = [*algorithms, &[more]].concat().leak();
        }
    }
    let with_sha512: [Algorithm; 3] = [&P521_SHA512, &P384_SHA512, &P256_SHA512];
    mapping.push((
        SignatureScheme::ECDSA_NISTP521_SHA512,
        with_sha512.to_vec().leak(),
    ));
    let more: [Algorithm; 5] = [
        &P521_SHA512,
        &P521_SHA384,
        &P521_SHA256,
        &P384_SHA512,
        &P256_SHA512,
    ];
    // Made once in the life of the program.
    provider.signature_verification_algorithms = WebPkiSupportedAlgorithms {
        all: [rings.all, &more].concat().leak(),
        mapping: mapping.leak(),
    };
    provider
}

static P521_SHA512: Ecdsa = Ecdsa {
    key: alg_id::ECDSA_P521,
    signature: alg_id::ECDSA_SHA512,
    verify: |key, message, signature| p521(key, &Sha512::digest(message), signature),
};
static P521_SHA384: Ecdsa = Ecdsa {
    key: alg_id::ECDSA_P521,
    signature: alg_id::ECDSA_SHA384,
    verify: |key, message, signature| p521(key, &Sha384::digest(message), signature),
};
static P521_SHA256: Ecdsa = Ecdsa {
    key: alg_id::ECDSA_P521,
    signature: alg_id::ECDSA_SHA256,
    verify: |key, message, signature| p521(key, &Sha256::digest(message), signature),
};
static P384_SHA512: Ecdsa = Ecdsa {
    key: alg_id::ECDSA_P384,
    signature: alg_id::ECDSA_SHA512,
    verify: |key, message, signature| {
        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
        let signature = p384::ecdsa::Signature::from_der(signature).ok()?;
        key.verify_prehash(&Sha512::digest(message), &signature)
            .ok()
    },
};
static P256_SHA512: Ecdsa = Ecdsa {
    key: alg_id::ECDSA_P256,
    signature: alg_id::ECDSA_SHA512,
    verify: |key, message, signature| {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
        let signature = p256::ecdsa::Signature::from_der(signature).ok()?;
        key.verify_prehash(&Sha512::digest(message), &signature)
            .ok()
    },
};

/// Takes the public key (SEC 1), the message and its signature (DER).
type Verify = fn(&[u8], &[u8], &[u8]) -> Option<()>;

/// One kind of key with one hash.
#[derive(Debug)]
struct Ecdsa {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    verify: Verify,
}

impl SignatureVerificationAlgorithm for Ecdsa {
    fn verify_signature(
        &self,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        (self.verify)(key, message, signature).ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

/// A digest shorter than half the curve's field is refused by the crate, though the standard takes
/// its number as it is: zeros before it leave that number unchanged.
fn p521(key: &[u8], digest: &[u8], signature: &[u8]) -> Option<()> {
    let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
    let signature = p521::ecdsa::Signature::from_der(signature).ok()?;
    let mut number = [0; 64];
    number[64 - digest.len()..].copy_from_slice(digest);
    key.verify_prehash(&number, &signature).ok()
}
