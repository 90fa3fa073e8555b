//! How a sender proves that it knows the secret: by a vendor's scheme, by an HMAC of its own
//! making, or by sending the secret.

use extrack_plugin::prelude::*;
use extrack_plugin::signatures;

/// How the sender proves that it knows the secret. Without any of it, the secret stands in
/// `Authorization: Bearer`.
#[derive(Default, Settings)]
pub(crate) struct Proof {
    /// A scheme that is known as a whole.
    scheme: Option<KnownScheme>,
    /// Header that holds the signature, or without an `algorithm` the secret itself.
    header: Option<String>,
    /// Parameter of the URL that holds the secret itself.
    query: Option<String>,
    /// Algorithm of the signature in `header`.
    algorithm: Option<Mac>,
    /// Encoding of the signature in `header`. Default: `hex`.
    encoding: Option<Encoding>,
    /// Text before the signature in `header`, e.g. `sha256=`.
    prefix: Option<String>,
    /// Text that is signed, with `{body}` and `{timestamp}` in it. Default: `{body}`.
    signed: Option<String>,
    /// Header that holds the time in seconds or milliseconds that is signed; one that is more than
    /// 300 s away is refused.
    timestamp_header: Option<String>,
}

#[derive(Clone, Copy, Settings)]
enum KnownScheme {
    Github,
    Stripe,
    Slack,
    #[setting(name = "standard-webhooks")]
    StandardWebhooks,
}

#[derive(Clone, Copy, Settings)]
enum Mac {
    #[setting(name = "hmac-sha1")]
    Sha1,
    #[setting(name = "hmac-sha256")]
    Sha256,
    #[setting(name = "hmac-sha512")]
    Sha512,
}

#[derive(Clone, Copy, Settings)]
enum Encoding {
    Hex,
    Base64,
}

const TOLERANCE_MS: u64 = 300_000;
const BODY: &str = "{body}";
const TIMESTAMP: &str = "{timestamp}";

impl Proof {
    pub(crate) fn verify(&self, delivery: &Delivery, secret: &Secrets) -> Result<(), Reject> {
        if let Some(scheme) = self.scheme {
            let scheme = match scheme {
                KnownScheme::Github => Scheme::Github,
                KnownScheme::Stripe => Scheme::Stripe,
                KnownScheme::Slack => Scheme::Slack,
                KnownScheme::StandardWebhooks => Scheme::StandardWebhooks,
            };
            return Ok(delivery.verify(scheme, secret)?);
        }
        if let Some(name) = &self.query {
            return Ok(delivery.verify_query(name, secret)?);
        }
        let header = self.header.as_deref().unwrap_or("authorization");
        match self.algorithm {
            Some(algorithm) => self.verify_mac(algorithm, header, delivery, secret),
            None => Ok(delivery.verify_header(header, secret)?),
        }
    }

    fn verify_mac(
        &self,
        algorithm: Mac,
        header: &str,
        delivery: &Delivery,
        secret: &Secrets,
    ) -> Result<(), Reject> {
        let algorithm = match algorithm {
            Mac::Sha1 => Algorithm::HmacSha1,
            Mac::Sha256 => Algorithm::HmacSha256,
            Mac::Sha512 => Algorithm::HmacSha512,
        };
        let unproven = |message: String| Reject::Unauthenticated(message);
        let value = delivery
            .header(header)
            .ok_or_else(|| unproven(format!("there is no header `{header}`")))?;
        let text = value
            .trim()
            .strip_prefix(self.prefix.as_deref().unwrap_or_default());
        let signature = text.and_then(|text| match self.encoding.unwrap_or(Encoding::Hex) {
            Encoding::Hex => from_hex(text),
            Encoding::Base64 => from_base64(text),
        });
        let signature = signature
            .ok_or_else(|| unproven(format!("header `{header}` holds no signature of its form")))?;
        let timestamp = self
            .timestamp_header
            .as_deref()
            .map(|name| delivery.header(name).unwrap_or_default());
        let message = message(
            self.signed.as_deref().unwrap_or(BODY),
            timestamp.unwrap_or_default(),
            &delivery.body,
        );
        signatures::verify_hmac(algorithm, secret, &message, &signature)?;
        let Some(timestamp) = timestamp else {
            return Ok(());
        };
        let moment = time::moment_of(&json::Value::from(timestamp));
        match moment.map(|ms| ms.abs_diff(delivery.received_ms)) {
            Some(away_ms) if away_ms <= TOLERANCE_MS => Ok(()),
            Some(away_ms) => Err(unproven(format!(
                "signed {} s away from now",
                away_ms / 1_000
            ))),
            None => Err(unproven("the signed time is none".to_owned())),
        }
    }

    /// Pointer and message of what makes no sense together.
    pub(crate) fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let ways = [
            self.scheme.is_some(),
            self.query.is_some(),
            self.header.is_some(),
        ];
        if ways.iter().filter(|given| **given).count() > 1 {
            faults.push((
                "/proof",
                "has more than one of `scheme`, `query` and `header`; one is looked at".to_owned(),
            ));
        }
        if self.algorithm.is_some() && self.header.is_none() {
            faults.push((
                "/proof/header",
                "is missing: where does the signature stand?".to_owned(),
            ));
        }
        let of_a_mac = [
            ("/proof/encoding", self.encoding.is_some()),
            ("/proof/prefix", self.prefix.is_some()),
            ("/proof/signed", self.signed.is_some()),
            ("/proof/timestampHeader", self.timestamp_header.is_some()),
        ];
        if self.algorithm.is_none() {
            let useless = of_a_mac.into_iter().filter(|(_, is_given)| *is_given);
            faults.extend(
                useless.map(|(path, _)| (path, "is of use with an `algorithm` only".to_owned())),
            );
        }
        let signed = self.signed.as_deref().unwrap_or(BODY);
        if !signed.contains(BODY) {
            faults.push((
                "/proof/signed",
                format!("has no `{BODY}`: anything could be sent with an old signature"),
            ));
        }
        // A moment that is not signed can be changed when the delivery is repeated.
        if self.timestamp_header.is_some() != signed.contains(TIMESTAMP) {
            faults.push((
                "/proof/signed",
                format!("needs `{TIMESTAMP}` if there is a `timestampHeader`, and only then"),
            ));
        }
        faults
    }
}

/// The body is bytes, not text.
fn message(template: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    let template = template.replace(TIMESTAMP, timestamp);
    let (before, after) = template.split_once(BODY).unwrap_or((&template, ""));
    [before.as_bytes(), body, after.as_bytes()].concat()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len().is_multiple_of(2))?;
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| (pair[0] * 16 + pair[1]) as u8)
            .collect(),
    )
}

/// Either alphabet, with or without padding.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_signatures_in_either_spelling() {
        for (text, bytes) in [
            ("00ff10", Some(vec![0, 255, 16])),
            ("00FF", Some(vec![0, 255])),
            ("0", None),
            ("", None),
            ("zz", None),
            ("é0", None),
        ] {
            assert_eq!(from_hex(text), bytes, "{text}");
        }
        for (text, bytes) in [
            ("aGk=", Some(b"hi".to_vec())),
            ("aGk", Some(b"hi".to_vec())),
            ("//79", Some(vec![255, 254, 253])),
            ("__79", Some(vec![255, 254, 253])),
            ("", None),
            ("a b", None),
        ] {
            assert_eq!(from_base64(text), bytes, "{text}");
        }
    }

    #[test]
    fn a_message_is_put_together_from_bytes() {
        assert_eq!(
            message("v0:{timestamp}:{body}", "12", b"\xff{timestamp}"),
            b"v0:12:\xff{timestamp}"
        );
        assert_eq!(message("{body}.{timestamp}", "12", b"a"), b"a.12");
    }
}
