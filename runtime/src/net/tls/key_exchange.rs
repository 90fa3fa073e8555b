//! Key exchange over P-521, which `ring` has not: a TLS 1.2 server with a P-521 certificate may want
//! a client that names the curve.

use chacha20poly1305::aead::OsRng;
use p521::ecdh::EphemeralSecret;
use p521::elliptic_curve::sec1::ToEncodedPoint;
use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved};

#[derive(Debug)]
pub(super) struct Secp521r1;

impl SupportedKxGroup for Secp521r1 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = EphemeralSecret::random(&mut OsRng);
        let point = secret.public_key().to_encoded_point(false);
        Ok(Box::new(Exchange {
            secret,
            point: point.as_bytes().to_vec(),
        }))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

struct Exchange {
    secret: EphemeralSecret,
    /// Our public key, uncompressed.
    point: Vec<u8>,
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let wrong = || Error::from(PeerMisbehaved::InvalidKeyShare);
        // Uncompressed points alone are allowed (RFC 8446, 4.2.8.2; RFC 8422, 5.1.1).
        if peer.first() != Some(&0x04) {
            return Err(wrong());
        }
        let peer = p521::PublicKey::from_sec1_bytes(peer).map_err(|_| wrong())?;
        let shared = self.secret.diffie_hellman(&peer);
        Ok(SharedSecret::from(shared.raw_secret_bytes().as_slice()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.point
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}
