//! AWS Signature Version 4: the canonical request, the text to sign, and the key that is derived
//! for a day, a region and a service.

use std::collections::BTreeMap;
use std::fmt::Write;

use extrack_signatures::{Algorithm, mac};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::{PayloadUse, RequestToSign, SignedPayload, SigningError};
use crate::domain::{SigV4, UnixMillis};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Header with the hash of the body, or with a word in its place.
pub(super) const CONTENT_HASH: &str = "x-amz-content-sha256";
pub(super) const TOKEN: &str = "x-amz-security-token";
/// Words of S3 for a body that no signature covers; only TLS protects it then.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const UNSIGNED_CHUNKS: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
/// Its paths are taken as they are, and its bodies may stay unsigned.
const S3: &str = "s3";

/// A client's hash is taken: the vendor compares it with the body. Only S3 takes a body that is not
/// hashed, and over TLS alone.
pub(super) fn payload_use(
    signing: &SigV4,
    sent_hash: Option<&str>,
    is_tls: bool,
) -> Result<PayloadUse, SigningError> {
    let may_pass = signing.service == S3 && is_tls;
    match sent_hash {
        Some(hash) if is_hash(hash) => Ok(PayloadUse::None),
        Some(UNSIGNED | UNSIGNED_CHUNKS) | None if may_pass => Ok(PayloadUse::None),
        Some(UNSIGNED_CHUNKS) => Err(SigningError::Request(
            "its body is in chunks of AWS, which only `s3` over `https` takes",
        )),
        Some(text) if text.starts_with("STREAMING-") => Err(SigningError::Request(
            "each chunk of its body is signed with the client's key, and can't be signed anew; have the client send the body \
             unsigned or in one piece",
        )),
        _ => Ok(PayloadUse::Whole),
    }
}

pub(super) fn sign(
    signing: &SigV4,
    request: &RequestToSign<'_>,
    now_ms: UnixMillis,
) -> Result<Vec<(String, String)>, SigningError> {
    let query = request.query.unwrap_or_default();
    if query.contains("X-Amz-Signature=") {
        return Err(SigningError::Request(
            "it has a signature in its query; such a URL needs no credential",
        ));
    }
    let moment = moment(now_ms, "%Y%m%dT%H%M%SZ")?;
    let hash = payload_hash(request)?;
    let mut added = vec![("x-amz-date".to_owned(), moment.clone())];
    if signing.service == S3 || request.header(CONTENT_HASH).is_some() {
        added.push((CONTENT_HASH.to_owned(), hash.clone()));
    }
    let token = signing.session_token.expose_secret();
    if !token.is_empty() {
        added.push((TOKEN.to_owned(), token.to_owned()));
    }
    let is_signed = |name: &str| {
        (name.starts_with("x-amz-") || matches!(name, "content-type" | "content-md5"))
            && !added.iter().any(|(known, _)| known == name)
    };
    let headers = std::iter::once(("host", request.authority))
        .chain(
            request
                .headers
                .iter()
                .copied()
                .filter(|(name, _)| is_signed(name)),
        )
        .chain(
            added
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
    let path = if signing.service == S3 {
        encode(&decode(request.path), true)
    } else {
        encode(normalized(request.path).as_bytes(), true)
    };
    let canonical = Canonical::new(request.method, &path, query, headers, &hash);
    let authorization = authorization(signing, &moment, &canonical);
    added.push(("authorization".to_owned(), authorization));
    Ok(added)
}

/// A request in the one form that both sides hash.
struct Canonical {
    text: String,
    signed_headers: String,
}

impl Canonical {
    fn new<'h>(
        method: &str,
        path: &str,
        query: &str,
        headers: impl Iterator<Item = (&'h str, &'h str)>,
        hash: &str,
    ) -> Self {
        let mut lines = BTreeMap::<String, String>::new();
        for (name, value) in headers {
            let words: Vec<&str> = value.split_ascii_whitespace().collect();
            let line = lines.entry(name.to_ascii_lowercase()).or_default();
            if !line.is_empty() {
                line.push(',');
            }
            line.push_str(&words.join(" "));
        }
        let names: Vec<&str> = lines.keys().map(String::as_str).collect();
        let signed_headers = names.join(";");
        let mut text = format!("{method}\n{path}\n{}\n", canonical_query(query));
        for (name, value) in &lines {
            let _ = writeln!(text, "{name}:{value}");
        }
        let _ = write!(text, "\n{signed_headers}\n{hash}");
        Self {
            text,
            signed_headers,
        }
    }
}

fn authorization(signing: &SigV4, moment: &str, canonical: &Canonical) -> String {
    let SigV4 {
        access_key,
        secret_key,
        region,
        service,
        session_token: _,
    } = signing;
    let day = moment.get(..8).unwrap_or(moment);
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let hash = hex::encode(Sha256::digest(&canonical.text));
    let text = format!("{ALGORITHM}\n{moment}\n{scope}\n{hash}");
    let first = format!("AWS4{}", secret_key.expose_secret()).into_bytes();
    let key = [day, region, service, "aws4_request"]
        .into_iter()
        .fold(first, |key, part| hash_with(&key, part));
    let signature = hex::encode(hash_with(&key, &text));
    format!(
        "{ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={}, Signature={signature}",
        canonical.signed_headers
    )
}

fn hash_with(key: &[u8], text: &str) -> Vec<u8> {
    mac(Algorithm::HmacSha256, key, &[text.as_bytes()])
}

fn payload_hash(request: &RequestToSign<'_>) -> Result<String, SigningError> {
    let sent = request.header(CONTENT_HASH);
    match request.payload {
        SignedPayload::Whole(body) => Ok(hex::encode(Sha256::digest(body))),
        SignedPayload::Passing => match sent {
            Some(hash) if is_hash(hash) || hash == UNSIGNED_CHUNKS => Ok(hash.to_owned()),
            _ if request.is_tls => Ok(UNSIGNED.to_owned()),
            _ => Err(SigningError::Request("its body was not read")),
        },
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Parameters in the order of their encoded names, then of their values.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(&decode(name), false), encode(&decode(value), false))
        })
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// The path without empty segments, `.` and `..` (RFC 3986, 6.2.2.3).
fn normalized(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let ends_open = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    let slash = if ends_open && !kept.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{slash}", kept.join("/"))
}

fn decode(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

/// Everything but unreserved characters, in upper-case digits.
fn encode(bytes: &[u8], keeps_slash: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        let is_unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if is_unreserved || (keeps_slash && byte == b'/') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

pub(super) fn moment(now_ms: UnixMillis, form: &str) -> Result<String, SigningError> {
    Timestamp::from_millisecond(now_ms)
        .map(|moment| moment.strftime(form).to_string())
        .map_err(|_| SigningError::Request("the clock shows no moment"))
}

#[cfg(test)]
mod tests;
