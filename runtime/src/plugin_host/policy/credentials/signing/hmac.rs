//! HMAC over what a template names.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use extrack_signatures::{Algorithm, mac};
use secrecy::ExposeSecret;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::{RequestToSign, SignedPayload, SigningError};
use crate::domain::{
    HmacSigning, SecretEncoding, SignatureEncoding, SigningAlgorithm, SigningField, SigningPart,
    SigningTemplate, TimestampForm, UnixMillis,
};

pub(super) fn sign(
    signing: &HmacSigning,
    request: &RequestToSign<'_>,
    now_ms: UnixMillis,
) -> Result<Vec<(String, String)>, SigningError> {
    let timestamp = timestamp(signing.timestamp, now_ms)?;
    let fields = Fields {
        signing,
        request,
        timestamp: &timestamp,
        signature: "",
    };
    let message = fields.fill(&signing.sign)?;
    let signed = mac(algorithm(signing.algorithm), &key(signing)?, &[&message]);
    let signature = match signing.encoding {
        SignatureEncoding::Hex => hex::encode(signed),
        SignatureEncoding::Base64 => STANDARD.encode(signed),
    };
    let fields = Fields {
        signature: &signature,
        ..fields
    };
    let value = String::from_utf8(fields.fill(&signing.format)?)
        .map_err(|_| SigningError::Credential("the value of its header is no text"))?;
    let mut headers = vec![(signing.header.clone(), value)];
    if let Some(header) = &signing.timestamp_header {
        headers.push((header.clone(), timestamp));
    }
    if let (Some(header), Some(id)) = (&signing.key_header, &signing.key_id) {
        headers.push((header.clone(), id.clone()));
    }
    Ok(headers)
}

/// Reads the key from the secret as it is written.
fn key(signing: &HmacSigning) -> Result<Vec<u8>, SigningError> {
    let text = signing.secret.expose_secret();
    match signing.secret_encoding {
        SecretEncoding::Text => Some(text.as_bytes().to_vec()),
        SecretEncoding::Hex => hex::decode(text).ok(),
        SecretEncoding::Base64 => STANDARD.decode(text).ok(),
    }
    .ok_or(SigningError::Credential(
        "the secret is not of its `secretEncoding`",
    ))
}

struct Fields<'a> {
    signing: &'a HmacSigning,
    request: &'a RequestToSign<'a>,
    timestamp: &'a str,
    signature: &'a str,
}

impl Fields<'_> {
    fn fill(&self, template: &SigningTemplate) -> Result<Vec<u8>, SigningError> {
        let mut text = Vec::new();
        for part in template.parts() {
            match part {
                SigningPart::Text(part) => text.extend_from_slice(part.as_bytes()),
                SigningPart::Field(field) => self.put(*field, &mut text)?,
            }
        }
        Ok(text)
    }

    fn put(&self, field: SigningField, text: &mut Vec<u8>) -> Result<(), SigningError> {
        let request = self.request;
        let hash;
        let value: &[u8] = match field {
            SigningField::Method => request.method.as_bytes(),
            SigningField::Host => request.authority.as_bytes(),
            SigningField::Path => request.path.as_bytes(),
            SigningField::Query => request.query.unwrap_or_default().as_bytes(),
            SigningField::Target => {
                text.extend_from_slice(request.path.as_bytes());
                if let Some(query) = request.query {
                    text.push(b'?');
                    text.extend_from_slice(query.as_bytes());
                }
                return Ok(());
            }
            SigningField::Timestamp => self.timestamp.as_bytes(),
            SigningField::KeyId => self
                .signing
                .key_id
                .as_deref()
                .unwrap_or_default()
                .as_bytes(),
            SigningField::Body => self.body()?,
            SigningField::BodyHash => {
                hash = hash_of(self.signing.algorithm, self.body()?);
                hash.as_bytes()
            }
            SigningField::Signature => self.signature.as_bytes(),
        };
        text.extend_from_slice(value);
        Ok(())
    }

    fn body(&self) -> Result<&[u8], SigningError> {
        match self.request.payload {
            SignedPayload::Whole(body) => Ok(body),
            SignedPayload::Passing => Err(SigningError::Request("its body was not read")),
        }
    }
}

fn algorithm(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::Sha1 => Algorithm::HmacSha1,
        SigningAlgorithm::Sha256 => Algorithm::HmacSha256,
        SigningAlgorithm::Sha512 => Algorithm::HmacSha512,
    }
}

fn hash_of(algorithm: SigningAlgorithm, body: &[u8]) -> String {
    match algorithm {
        SigningAlgorithm::Sha1 => hex::encode(Sha1::digest(body)),
        SigningAlgorithm::Sha256 => hex::encode(Sha256::digest(body)),
        SigningAlgorithm::Sha512 => hex::encode(Sha512::digest(body)),
    }
}

fn timestamp(form: TimestampForm, now_ms: UnixMillis) -> Result<String, SigningError> {
    match form {
        TimestampForm::Seconds => Ok(now_ms.div_euclid(1_000).to_string()),
        TimestampForm::Milliseconds => Ok(now_ms.to_string()),
        TimestampForm::Iso8601 => super::sigv4::moment(now_ms, "%Y-%m-%dT%H:%M:%S%.3fZ"),
    }
}
