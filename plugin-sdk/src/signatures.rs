//! Who sent a delivery. The host holds the secrets and compares in constant time; a plugin hands it
//! placeholders.

use std::fmt;
use std::time::Duration;

use crate::settings::Secret;
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
    /// As the contract has it.
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
    /// As the contract has it.
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
    /// The host does not know the scheme or the algorithm.
    Unsupported(String),
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignatureError::Malformed(text)
            | SignatureError::Expired(text)
            | SignatureError::NoSecret(text)
            | SignatureError::Unsupported(text) => f.write_str(text),
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

/// Compares a secret that was sent as it is, for senders that can't sign.
pub fn verify_secret(secrets: impl AsRef<[Secret]>, sent: &str) -> Result<(), SignatureError> {
    one_of(secrets.as_ref(), |secret| {
        #[cfg(target_arch = "wasm32")]
        return wit::verify_secret(secret, sent);
        #[cfg(not(target_arch = "wasm32"))]
        crate::fake::with(|host| host.verify_secret(secret, sent))
    })
}

/// With no secret right, what the last one was told.
fn one_of(
    secrets: &[Secret],
    check: impl Fn(&str) -> Result<(), wit::SignatureError>,
) -> Result<(), SignatureError> {
    let mut last = SignatureError::NoSecret("there is no secret in the settings".to_owned());
    for secret in secrets {
        match check(secret.placeholder()) {
            Ok(()) => return Ok(()),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}
