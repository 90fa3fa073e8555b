//! The text that each scheme signs, and the headers with its signatures.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{Scheme, SignatureError};

/// Signatures looked at in one header: a sender that changes its secret sends two.
const SIGNATURES: usize = 16;

/// Signature of a request, as its headers have it.
pub(crate) struct Signed {
    /// Text that is signed in front of the body.
    pub(crate) before_body: String,
    /// Seconds since 1970; none where the scheme signs no moment.
    pub(crate) seconds: Option<u64>,
    pub(crate) signatures: Vec<Vec<u8>>,
}

/// Standard Webhooks has keys in base64; with the others, the key is the secret's text.
pub(crate) fn key(scheme: Scheme, secret: &str) -> Result<Vec<u8>, SignatureError> {
    if scheme != Scheme::StandardWebhooks {
        return Ok(secret.as_bytes().to_vec());
    }
    let text = secret.strip_prefix("whsec_").unwrap_or(secret);
    STANDARD.decode(text).map_err(|_| {
        SignatureError::NoSecret(
            "the secret is not one of Standard Webhooks: base64, after `whsec_`".to_owned(),
        )
    })
}

pub(crate) fn read(scheme: Scheme, headers: &[(String, String)]) -> Result<Signed, SignatureError> {
    match scheme {
        Scheme::Github => {
            let value = header(headers, "x-hub-signature-256")?;
            let signatures =
                hex_signatures([value.strip_prefix("sha256=")], "x-hub-signature-256")?;
            Ok(Signed {
                before_body: String::new(),
                seconds: None,
                signatures,
            })
        }
        Scheme::Stripe => {
            let value = header(headers, "stripe-signature")?;
            let elements = || {
                value
                    .split(',')
                    .filter_map(|element| element.trim().split_once('='))
            };
            let time = elements()
                .find(|(key, _)| *key == "t")
                .map_or("", |(_, time)| time);
            let seconds = seconds(time, "stripe-signature")?;
            let sent = elements()
                .filter(|(key, _)| *key == "v1")
                .map(|(_, signature)| Some(signature));
            let signatures = hex_signatures(sent, "stripe-signature")?;
            Ok(Signed {
                before_body: format!("{time}."),
                seconds: Some(seconds),
                signatures,
            })
        }
        Scheme::Slack => {
            let time = header(headers, "x-slack-request-timestamp")?;
            let seconds = seconds(time, "x-slack-request-timestamp")?;
            let value = header(headers, "x-slack-signature")?;
            let signatures = hex_signatures([value.strip_prefix("v0=")], "x-slack-signature")?;
            Ok(Signed {
                before_body: format!("v0:{time}:"),
                seconds: Some(seconds),
                signatures,
            })
        }
        Scheme::StandardWebhooks => {
            // Senders that stand on Svix may use its own names.
            let prefix = if has(headers, "webhook-signature") {
                "webhook"
            } else {
                "svix"
            };
            let id = header(headers, &format!("{prefix}-id"))?;
            let time = header(headers, &format!("{prefix}-timestamp"))?;
            let seconds = seconds(time, &format!("{prefix}-timestamp"))?;
            let name = format!("{prefix}-signature");
            let sent = header(headers, &name)?
                .split_whitespace()
                .filter_map(|part| part.strip_prefix("v1,"));
            let signatures: Vec<Vec<u8>> = sent
                .take(SIGNATURES)
                .filter_map(|text| STANDARD.decode(text).ok())
                .collect();
            if signatures.is_empty() {
                return Err(SignatureError::Malformed(format!(
                    "header `{name}` holds no `v1,BASE64`"
                )));
            }
            Ok(Signed {
                before_body: format!("{id}.{time}."),
                seconds: Some(seconds),
                signatures,
            })
        }
    }
}

/// Writes the headers that [`read`] reads.
pub(crate) fn headers(
    scheme: Scheme,
    id: &str,
    seconds: u64,
    sign: impl Fn(&str) -> Vec<u8>,
) -> Vec<(String, String)> {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    match scheme {
        Scheme::Github => vec![pair(
            "x-hub-signature-256",
            format!("sha256={}", hex::encode(sign(""))),
        )],
        Scheme::Stripe => {
            let signature = hex::encode(sign(&format!("{seconds}.")));
            vec![pair(
                "stripe-signature",
                format!("t={seconds},v1={signature}"),
            )]
        }
        Scheme::Slack => {
            let signature = hex::encode(sign(&format!("v0:{seconds}:")));
            vec![
                pair("x-slack-request-timestamp", seconds.to_string()),
                pair("x-slack-signature", format!("v0={signature}")),
            ]
        }
        Scheme::StandardWebhooks => {
            let signature = STANDARD.encode(sign(&format!("{id}.{seconds}.")));
            vec![
                pair("webhook-id", id.to_owned()),
                pair("webhook-timestamp", seconds.to_string()),
                pair("webhook-signature", format!("v1,{signature}")),
            ]
        }
    }
}

fn has(headers: &[(String, String)], name: &str) -> bool {
    headers
        .iter()
        .any(|(found, _)| found.eq_ignore_ascii_case(name))
}

/// Two of a name could be read differently by two readers.
fn header<'a>(headers: &'a [(String, String)], name: &str) -> Result<&'a str, SignatureError> {
    let mut found = headers
        .iter()
        .filter(|(found, _)| found.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Ok(value.trim()),
        (None, _) => Err(SignatureError::Malformed(format!(
            "there is no header `{name}`"
        ))),
        (Some(_), Some(_)) => Err(SignatureError::Malformed(format!(
            "there is more than one header `{name}`"
        ))),
    }
}

fn seconds(text: &str, header: &str) -> Result<u64, SignatureError> {
    let digits = !text.is_empty() && text.chars().all(|character| character.is_ascii_digit());
    let seconds = digits.then(|| text.parse().ok()).flatten();
    seconds.ok_or_else(|| {
        SignatureError::Malformed(format!("header `{header}` holds no time in seconds"))
    })
}

fn hex_signatures<'a>(
    sent: impl IntoIterator<Item = Option<&'a str>>,
    header: &str,
) -> Result<Vec<Vec<u8>>, SignatureError> {
    let signatures: Vec<Vec<u8>> = sent
        .into_iter()
        .flatten()
        .take(SIGNATURES)
        .filter_map(|text| hex::decode(text).ok())
        .collect();
    if signatures.is_empty() {
        return Err(SignatureError::Malformed(format!(
            "header `{header}` holds no signature of its form"
        )));
    }
    Ok(signatures)
}
