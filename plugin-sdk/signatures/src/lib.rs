//! Schemes by which senders of webhooks sign. The host checks with this what the SDK's fake host
//! computes with it: each scheme is defined once. Knows no plugin, no clock and no request, only their bytes.
//! All comparisons take the same time whatever differs.

mod mac;
mod scheme;

use std::fmt;
use std::time::Duration;

pub use mac::{Algorithm, mac};

use subtle::ConstantTimeEq;

/// Largest difference between a sender's clock and ours: that of the vendors' own libraries.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// A vendor's way of signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `x-hub-signature-256: sha256=HEX` over the body
    Github,
    /// `stripe-signature: t=SECONDS,v1=HEX` over `SECONDS.BODY`
    Stripe,
    /// `x-slack-signature: v0=HEX` over `v0:SECONDS:BODY`, with `x-slack-request-timestamp`
    Slack,
    /// `webhook-signature: v1,BASE64` over `ID.SECONDS.BODY`, with `webhook-id` and
    /// `webhook-timestamp`
    StandardWebhooks,
}

impl Scheme {
    pub const ALL: [Scheme; 4] = [
        Scheme::Github,
        Scheme::Stripe,
        Scheme::Slack,
        Scheme::StandardWebhooks,
    ];

    /// Returns the contract's name, e.g. `standard-webhooks`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Github => "github",
            Scheme::Stripe => "stripe",
            Scheme::Slack => "slack",
            Scheme::StandardWebhooks => "standard-webhooks",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.as_str() == text)
    }
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureError {
    /// A header of the scheme is not there, or not of its form.
    Malformed(String),
    /// Signed too long ago, or in the future.
    Expired(String),
    /// Signed with another secret, or changed on its way.
    Mismatch,
    /// The secret is not one the scheme can use.
    NoSecret(String),
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignatureError::Malformed(text) | SignatureError::Expired(text) | SignatureError::NoSecret(text) => {
                f.write_str(text)
            }
            SignatureError::Mismatch => {
                f.write_str("the signature does not match: another secret, or a body that was changed on its way")
            }
        }
    }
}

impl std::error::Error for SignatureError {}

/// Checks a signed request at a moment, in milliseconds since 1970. Header names may be in any
/// case.
pub fn verify(
    scheme: Scheme,
    secret: &str,
    headers: &[(String, String)],
    body: &[u8],
    now_ms: u64,
    tolerance: Duration,
) -> Result<(), SignatureError> {
    let signed = scheme::read(scheme, headers)?;
    let key = scheme::key(scheme, secret)?;
    let wanted = mac(
        Algorithm::HmacSha256,
        &key,
        &[signed.before_body.as_bytes(), body],
    );
    // The moment only after the signature: an unsigned moment proves nothing.
    let matches = signed
        .signatures
        .iter()
        .fold(false, |found, sent| bool::from(wanted.ct_eq(sent)) | found);
    if !matches {
        return Err(SignatureError::Mismatch);
    }
    let Some(seconds) = signed.seconds else {
        return Ok(());
    };
    let away = Duration::from_millis(seconds.saturating_mul(1_000).abs_diff(now_ms));
    // Whole seconds are what is sent.
    if away >= tolerance + Duration::from_secs(1) {
        return Err(SignatureError::Expired(format!(
            "signed {} s away from now, at the most {} s are taken",
            away.as_secs(),
            tolerance.as_secs()
        )));
    }
    Ok(())
}

/// Checks a plain HMAC.
pub fn verify_mac(
    algorithm: Algorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    same(&mac(algorithm, key, &[message]), signature)
}

/// Compares two texts of which one is secret.
pub fn same(wanted: &[u8], found: &[u8]) -> Result<(), SignatureError> {
    if wanted.ct_eq(found).into() {
        Ok(())
    } else {
        Err(SignatureError::Mismatch)
    }
}

/// The headers a sender would add: for tests of receivers. `id` is that of the message, where the
/// scheme signs one.
pub fn sign(
    scheme: Scheme,
    secret: &str,
    id: &str,
    body: &[u8],
    now_ms: u64,
) -> Result<Vec<(String, String)>, SignatureError> {
    let key = scheme::key(scheme, secret)?;
    Ok(scheme::headers(scheme, id, now_ms / 1_000, |before_body| {
        mac(Algorithm::HmacSha256, &key, &[before_body.as_bytes(), body])
    }))
}

#[cfg(test)]
mod tests;
