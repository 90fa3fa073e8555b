//! Checks of who sent a delivery. The host holds the secrets and compares in constant time.

use std::fmt;
use std::time::Duration;

use crate::settings::Secret;
#[cfg(target_arch = "wasm32")]
use crate::wit::secrets;
use crate::wit::signatures as wit;

/// A vendor's way of signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `x-hub-signature-256`
    Github,
    /// `stripe-signature`, with its moment
    Stripe,
    /// `x-slack-signature`, with its moment
    Slack,
    /// `webhook-signature`, with its moment, or the same as `svix-…`; the secret is base64, after
    /// an optional `whsec_`
    StandardWebhooks,
}

impl Scheme {
    /// Name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Github => "github",
            Scheme::Stripe => "stripe",
            Scheme::Slack => "slack",
            Scheme::StandardWebhooks => "standard-webhooks",
        }
    }
}

/// A plain HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    HmacSha1,
    HmacSha256,
    HmacSha512,
}

impl Algorithm {
    /// Name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::HmacSha1 => "hmac-sha1",
            Algorithm::HmacSha256 => "hmac-sha256",
            Algorithm::HmacSha512 => "hmac-sha512",
        }
    }
}

/// Why nothing proves who sent a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureError {
    /// A header is not there, or not of its form.
    Malformed(String),
    /// Signed too long ago, or in the future.
    Expired(String),
    /// Signed with another secret, or changed on its way.
    Mismatch,
    /// The setting is not a secret, or not one the scheme can use.
    NoSecret(String),
    /// The host does not have the scheme, the algorithm or the place.
    Unsupported(String),
    Other(String),
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignatureError::Malformed(text)
            | SignatureError::Expired(text)
            | SignatureError::NoSecret(text)
            | SignatureError::Unsupported(text)
            | SignatureError::Other(text) => f.write_str(text),
            SignatureError::Mismatch => f.write_str("the signature does not match"),
        }
    }
}

impl std::error::Error for SignatureError {}

impl From<wit::SignatureError> for SignatureError {
    fn from(error: wit::SignatureError) -> Self {
        match error {
            wit::SignatureError::Malformed(text) => SignatureError::Malformed(text),
            wit::SignatureError::Expired(text) => SignatureError::Expired(text),
            wit::SignatureError::Mismatch => SignatureError::Mismatch,
            wit::SignatureError::NoSecret(text) => SignatureError::NoSecret(text),
            wit::SignatureError::Unsupported(text) => SignatureError::Unsupported(text),
            wit::SignatureError::Other(text) => SignatureError::Other(text),
        }
    }
}

/// Checks the signature of a request with one secret after the other. Without a tolerance, 300 s.
pub fn verify(
    scheme: Scheme,
    secrets: impl AsRef<[Secret]>,
    headers: &[(String, String)],
    body: &[u8],
    tolerance: Option<Duration>,
) -> Result<(), SignatureError> {
    let seconds = tolerance.map(|tolerance| u32::try_from(tolerance.as_secs()).unwrap_or(u32::MAX));
    one_of(secrets.as_ref(), |secret| {
        #[cfg(target_arch = "wasm32")]
        return wit::verify(scheme.as_str(), secret, headers, body, seconds);
        #[cfg(not(target_arch = "wasm32"))]
        crate::fake::with(|host| host.verify(scheme.as_str(), secret, headers, body, seconds))
    })
}

/// Checks a plain HMAC, for senders with a scheme of their own. `signature` is the raw bytes.
pub fn verify_hmac(
    algorithm: Algorithm,
    secrets: impl AsRef<[Secret]>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    one_of(secrets.as_ref(), |secret| {
        #[cfg(target_arch = "wasm32")]
        return wit::verify_hmac(algorithm.as_str(), secret, message, signature);
        #[cfg(not(target_arch = "wasm32"))]
        crate::fake::with(|host| host.verify_hmac(algorithm.as_str(), secret, message, signature))
    })
}

/// Where a sender puts a secret that it sends as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    Header(&'a str),
    Query(&'a str),
    Path,
}

impl Place<'_> {
    pub(crate) fn to_wit(self) -> wit::Place {
        match self {
            Place::Header(name) => wit::Place::Header(name.to_owned()),
            Place::Query(name) => wit::Place::Query(name.to_owned()),
            Place::Path => wit::Place::Path,
        }
    }
}

/// Checks a secret that was sent as it is, for senders that can't sign. The host compares with the
/// delivery as it came; a plugin sees `***` there.
pub(crate) fn verify_sent(
    delivery: &crate::webhook::Delivery,
    secrets: &[Secret],
    place: Place<'_>,
) -> Result<(), SignatureError> {
    #[cfg(target_arch = "wasm32")]
    let _ = delivery;
    one_of(secrets, |secret| {
        #[cfg(target_arch = "wasm32")]
        return wit::verify_sent(secret, &place.to_wit());
        #[cfg(not(target_arch = "wasm32"))]
        crate::fake::with(|host| host.verify_sent(delivery, secret, place))
    })
}

/// Key of a check: the handle, or in a test the secret.
#[cfg(target_arch = "wasm32")]
type Key = secrets::Secret;
#[cfg(not(target_arch = "wasm32"))]
type Key = Secret;

/// Checks with one secret after the other; if none is right, the error is that of the last one.
fn one_of(
    secrets: &[Secret],
    check: impl Fn(&Key) -> Result<(), wit::SignatureError>,
) -> Result<(), SignatureError> {
    let mut last = SignatureError::NoSecret("there is no secret in the settings".to_owned());
    for secret in secrets {
        #[cfg(target_arch = "wasm32")]
        let Some(handle) = secret.open() else {
            continue;
        };
        #[cfg(target_arch = "wasm32")]
        let secret = &handle;
        match check(secret) {
            Ok(()) => return Ok(()),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}
