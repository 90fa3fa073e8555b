//! Deliveries for tests, signed as a vendor would sign them, and signatures that are really
//! computed.

use std::time::Duration;

use extrack_signatures as real;
use serde_json::json;

use super::{Host, State};
use crate::signatures::Scheme;
use crate::webhook::Delivery;
use crate::wit::signatures::SignatureError;

/// A `POST` of this body.
pub fn delivery(body: impl Into<Vec<u8>>) -> Delivery {
    Delivery {
        service: "test".to_owned(),
        method: "POST".to_owned(),
        path: String::new(),
        query: String::new(),
        headers: Vec::new(),
        body: body.into(),
        received_ms: super::START_MS,
        timeout: Duration::from_secs(10),
    }
}

impl Delivery {
    /// Adds a header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_lowercase(), value.to_owned()));
        self
    }

    /// Sets the query, without its `?`.
    pub fn with_query(mut self, query: &str) -> Self {
        self.query = query.to_owned();
        self
    }
}

impl Host {
    /// Signs a delivery by the vendor's rule, at the host's time. Settings of the test hold the
    /// same secret as it is.
    pub fn signed(&self, delivery: Delivery, scheme: Scheme, secret: &str) -> Delivery {
        let scheme = real::Scheme::parse(scheme.as_str()).expect("the schemes are the same");
        let headers = real::sign(scheme, secret, "msg_1", &delivery.body, self.now_ms());
        let headers = headers.expect("a secret of Standard Webhooks is base64");
        headers.iter().fold(delivery, |delivery, (name, value)| {
            delivery.with_header(name, value)
        })
    }

    /// The raw bytes of a plain HMAC.
    pub fn hmac(
        &self,
        algorithm: crate::signatures::Algorithm,
        secret: &str,
        message: &[u8],
    ) -> Vec<u8> {
        let algorithm =
            real::Algorithm::parse(algorithm.as_str()).expect("the algorithms are the same");
        real::mac(algorithm, secret.as_bytes(), &[message])
    }
}

/// In a test, the placeholder is the secret.
impl State {
    pub(crate) fn verify(
        &mut self,
        scheme: &str,
        secret: &str,
        headers: &[(String, String)],
        body: &[u8],
        tolerance_seconds: Option<u32>,
    ) -> Result<(), SignatureError> {
        let asked = json!({
            "scheme": scheme, "secret": secret, "headers": headers, "body": body, "tolerance_seconds": tolerance_seconds,
        });
        if let Some(verified) = self.recorded("signatures.verify", &asked) {
            return verified;
        }
        let scheme = real::Scheme::parse(scheme)
            .ok_or_else(|| SignatureError::Unsupported(scheme.to_owned()))?;
        let tolerance = tolerance_seconds.map_or(real::TOLERANCE, |seconds| {
            Duration::from_secs(seconds.into())
        });
        real::verify(scheme, secret, headers, body, self.now_ms, tolerance).map_err(guest)
    }

    pub(crate) fn verify_hmac(
        &mut self,
        algorithm: &str,
        secret: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let asked = json!({"algorithm": algorithm, "secret": secret, "message": message, "signature": signature});
        if let Some(verified) = self.recorded("signatures.verify-hmac", &asked) {
            return verified;
        }
        let algorithm = real::Algorithm::parse(algorithm)
            .ok_or_else(|| SignatureError::Unsupported(algorithm.to_owned()))?;
        real::verify_mac(algorithm, secret.as_bytes(), message, signature).map_err(guest)
    }

    pub(crate) fn verify_secret(&mut self, secret: &str, sent: &str) -> Result<(), SignatureError> {
        if let Some(verified) = self.recorded(
            "signatures.verify-secret",
            &json!({"secret": secret, "sent": sent}),
        ) {
            return verified;
        }
        real::same(secret.as_bytes(), sent.as_bytes()).map_err(guest)
    }
}

fn guest(error: real::SignatureError) -> SignatureError {
    match error {
        real::SignatureError::Malformed(text) => SignatureError::Malformed(text),
        real::SignatureError::Expired(text) => SignatureError::Expired(text),
        real::SignatureError::Mismatch => SignatureError::Mismatch,
        real::SignatureError::NoSecret(text) => SignatureError::NoSecret(text),
    }
}
