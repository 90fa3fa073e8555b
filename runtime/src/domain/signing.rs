//! Signatures that requests carry in the place of a secret: what is signed, with which key, and
//! where the signature goes.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::clear_secret;

/// HMAC (RFC 2104) over parts of a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HmacSigning {
    #[serde(with = "clear_secret")]
    pub secret: SecretString,
    pub secret_encoding: SecretEncoding,
    pub algorithm: SigningAlgorithm,
    /// Text that is signed.
    pub sign: SigningTemplate,
    /// Header of the signature, and its value.
    pub header: String,
    pub format: SigningTemplate,
    pub encoding: SignatureEncoding,
    pub timestamp: TimestampForm,
    pub timestamp_header: Option<String>,
    pub key_id: Option<String>,
    pub key_header: Option<String>,
}

/// AWS Signature Version 4, in the `Authorization` header.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SigV4 {
    pub access_key: String,
    #[serde(with = "clear_secret")]
    pub secret_key: SecretString,
    /// Empty: the keys are no temporary ones.
    #[serde(with = "clear_secret")]
    pub session_token: SecretString,
    pub region: String,
    /// As it is signed, e.g. `execute-api` or `s3`.
    pub service: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SigningAlgorithm {
    Sha1,
    Sha256,
    Sha512,
}

/// Form in which the secret is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretEncoding {
    Text,
    Hex,
    Base64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignatureEncoding {
    Hex,
    Base64,
}

/// Form of the moment at which a request was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TimestampForm {
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// ISO 8601 in UTC, with milliseconds.
    Iso8601,
}

/// Part of a request, or of its signature, that a template puts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningField {
    Method,
    Host,
    Path,
    Query,
    /// Path, and `?` with the query where there is one.
    Target,
    Timestamp,
    KeyId,
    Body,
    /// Hash of the body in lower-case hexadecimal digits, by the algorithm of the signature.
    BodyHash,
    Signature,
}

impl SigningField {
    const ALL: [(&str, SigningField); 10] = [
        ("method", SigningField::Method),
        ("host", SigningField::Host),
        ("path", SigningField::Path),
        ("query", SigningField::Query),
        ("target", SigningField::Target),
        ("timestamp", SigningField::Timestamp),
        ("keyId", SigningField::KeyId),
        ("body", SigningField::Body),
        ("bodyHash", SigningField::BodyHash),
        ("signature", SigningField::Signature),
    ];
}

/// Text with fields in braces; a brace itself is written twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SigningTemplate {
    written: String,
    parts: Vec<SigningPart>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SigningPart {
    Text(String),
    Field(SigningField),
}

impl SigningTemplate {
    /// Reads a template. The error says what stands in its way.
    pub fn parse(written: &str) -> Result<Self, String> {
        let (mut parts, mut text) = (Vec::new(), String::new());
        let mut rest = written;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                text.push_str(brace);
                rest = after;
                continue;
            }
            let name = rest
                .split_once('}')
                .filter(|_| brace == "{")
                .map(|(name, after)| {
                    rest = after;
                    name
                })
                .ok_or("has a brace without its pair; a brace itself is written twice")?;
            let (_, field) = SigningField::ALL
                .into_iter()
                .find(|(known, _)| *known == name)
                .ok_or_else(|| {
                    let known = SigningField::ALL.map(|(name, _)| format!("`{{{name}}}`"));
                    format!("has no field `{{{name}}}`; there are {}", known.join(", "))
                })?;
            if !text.is_empty() {
                parts.push(SigningPart::Text(std::mem::take(&mut text)));
            }
            parts.push(SigningPart::Field(field));
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(SigningPart::Text(text));
        }
        Ok(Self {
            written: written.to_owned(),
            parts,
        })
    }

    pub fn parts(&self) -> &[SigningPart] {
        &self.parts
    }

    pub fn has(&self, field: SigningField) -> bool {
        self.parts.contains(&SigningPart::Field(field))
    }
}

impl TryFrom<String> for SigningTemplate {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        Self::parse(&written)
    }
}

impl From<SigningTemplate> for String {
    fn from(template: SigningTemplate) -> Self {
        template.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_text_with_fields() {
        let template = SigningTemplate::parse("{{v0}}:{timestamp}\n{body}").unwrap();
        assert_eq!(
            template.parts(),
            [
                SigningPart::Text("{v0}:".to_owned()),
                SigningPart::Field(SigningField::Timestamp),
                SigningPart::Text("\n".to_owned()),
                SigningPart::Field(SigningField::Body),
            ]
        );
        assert!(template.has(SigningField::Body) && !template.has(SigningField::Path));
        let again = serde_json::to_value(&template).unwrap();
        assert_eq!(
            serde_json::from_value::<SigningTemplate>(again).unwrap(),
            template
        );
    }

    #[test]
    fn a_template_that_means_nothing_is_refused() {
        for (written, wanted) in [
            ("{method", "without its pair"),
            ("method}", "without its pair"),
            ("{nonce}", "no field `{nonce}`"),
            ("{}", "no field `{}`"),
        ] {
            let error = SigningTemplate::parse(written).unwrap_err();
            assert!(error.contains(wanted), "{written}: {error}");
        }
    }
}
