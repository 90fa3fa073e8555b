//! Deliveries for tests, signed as a vendor would sign them, and signatures that are really
//! computed.

use std::time::Duration;

use extrack_signatures as real;
use serde_json::json;

use super::{Host, State};
use crate::settings::Secret;
use crate::signatures::{Place, Scheme};
use crate::webhook::{Delivery, decode};
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
        attributes: Vec::new(),
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

impl State {
    pub(crate) fn verify(
        &mut self,
        scheme: &str,
        secret: &Secret,
        headers: &[(String, String)],
        body: &[u8],
        tolerance_seconds: Option<u32>,
    ) -> Result<(), SignatureError> {
        let asked = json!({
            "scheme": scheme, "secret": secret.pointer(), "headers": headers, "body": body, "tolerance_seconds": tolerance_seconds,
        });
        if let Some(verified) = self.recorded("signatures.verify", &asked) {
            return verified;
        }
        let scheme = real::Scheme::parse(scheme)
            .ok_or_else(|| SignatureError::Unsupported(scheme.to_owned()))?;
        let tolerance = tolerance_seconds.map_or(real::TOLERANCE, |seconds| {
            Duration::from_secs(seconds.into())
        });
        real::verify(
            scheme,
            secret.value(),
            headers,
            body,
            self.now_ms,
            tolerance,
        )
        .map_err(guest)
    }

    pub(crate) fn verify_hmac(
        &mut self,
        algorithm: &str,
        secret: &Secret,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let asked = json!({"algorithm": algorithm, "secret": secret.pointer(), "message": message, "signature": signature});
        if let Some(verified) = self.recorded("signatures.verify-hmac", &asked) {
            return verified;
        }
        let algorithm = real::Algorithm::parse(algorithm)
            .ok_or_else(|| SignatureError::Unsupported(algorithm.to_owned()))?;
        real::verify_mac(algorithm, secret.value().as_bytes(), message, signature).map_err(guest)
    }

    pub(crate) fn verify_sent(
        &mut self,
        delivery: &Delivery,
        secret: &Secret,
        place: Place<'_>,
    ) -> Result<(), SignatureError> {
        let asked = json!({"secret": secret.pointer(), "place": place.to_wit()});
        if let Some(verified) = self.recorded("signatures.verify-sent", &asked) {
            return verified;
        }
        let is_it = |sent: &str| real::same(secret.value().as_bytes(), sent.as_bytes());
        let found = match place {
            Place::Header(name) => {
                let sent = delivery.header(name).ok_or_else(|| {
                    SignatureError::Malformed(format!("there is no header `{name}`"))
                })?;
                let last_word = sent.rsplit(' ').next().unwrap_or(sent);
                is_it(last_word).or_else(|_| is_it(sent))
            }
            Place::Query(name) => {
                let sent = delivery.query(name).ok_or_else(|| {
                    SignatureError::Malformed(format!("the URL has no `{name}=`"))
                })?;
                is_it(&sent)
            }
            Place::Path => delivery
                .path
                .split('/')
                .find_map(|segment| is_it(&decode(segment)).ok())
                .ok_or(real::SignatureError::Mismatch),
        };
        found.map_err(guest)
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
