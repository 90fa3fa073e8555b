//! `hmac` and `aws_sigv4`: credentials that sign requests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::{checked_header, required, secret};
use crate::domain::fault::{FaultReport, child};
use crate::domain::{
    HmacSigning, SecretEncoding, SigV4, SignatureEncoding, SigningAlgorithm, SigningField,
    SigningTemplate, TimestampForm,
};
use crate::spec::AuthenticationSpec;

const MAX_TEMPLATE_BYTES: usize = 1024;
const MAX_NAME_BYTES: usize = 256;

pub(super) fn hmac(
    spec: &AuthenticationSpec,
    at: &str,
    report: &mut FaultReport,
) -> Option<HmacSigning> {
    let key = secret(
        spec.secret.as_deref(),
        "secret",
        "secret to sign with",
        at,
        report,
    )?;
    let secret_encoding = spec.secret_encoding.unwrap_or(SecretEncoding::Text);
    if !is_encoded(&key, secret_encoding) {
        let message = "is not written as `secretEncoding` has it";
        report.fault(child(at, "secret"), message);
    }
    let sign = required(spec.sign.as_deref(), "sign", "text to sign", at, report)
        .and_then(|text| template(&text, "sign", at, report));
    let format = spec.format.as_deref().unwrap_or("{signature}");
    let format = template(format, "format", at, report);
    let header = spec.header.as_deref().unwrap_or("X-Signature");
    let header = checked_header(header, "header", at, report);
    let mut optional = |name: &Option<String>, key| {
        name.as_deref()
            .and_then(|name| checked_header(name, key, at, report))
    };
    let timestamp_header = optional(&spec.timestamp_header, "timestampHeader");
    let key_header = optional(&spec.key_header, "keyHeader");
    let signing = HmacSigning {
        secret: key,
        secret_encoding,
        algorithm: spec.algorithm.unwrap_or(SigningAlgorithm::Sha256),
        sign: sign?,
        header: header?,
        format: format?,
        encoding: spec.encoding.unwrap_or(SignatureEncoding::Hex),
        timestamp: spec.timestamp.unwrap_or(TimestampForm::Seconds),
        timestamp_header,
        key_id: spec.key_id.clone(),
        key_header,
    };
    check(&signing, at, report);
    Some(signing)
}

/// Reports parts that do not belong together.
fn check(signing: &HmacSigning, at: &str, report: &mut FaultReport) {
    if signing.sign.has(SigningField::Signature) {
        report.fault(child(at, "sign"), "can't hold its own `{signature}`");
    }
    for field in [SigningField::Body, SigningField::BodyHash] {
        if signing.format.has(field) {
            let message = "is the value of a header, where no body belongs";
            report.fault(child(at, "format"), message);
        }
    }
    if !signing.format.has(SigningField::Signature) {
        report.fault(child(at, "format"), "has no `{signature}`");
    }
    let is_sent = signing.timestamp_header.is_some() || signing.format.has(SigningField::Timestamp);
    if signing.sign.has(SigningField::Timestamp) != is_sent {
        let message =
            "has a `{timestamp}` exactly if it is sent, in `timestampHeader` or in `format`";
        report.fault(child(at, "sign"), message);
    }
    let templates = [&signing.sign, &signing.format];
    let names_key = templates.iter().any(|it| it.has(SigningField::KeyId));
    match &signing.key_id {
        None if names_key || signing.key_header.is_some() => {
            report.fault(child(at, "keyId"), "is missing (name of the key)");
        }
        Some(id) if id.len() > MAX_NAME_BYTES || HeaderValue::from_str(id).is_err() => {
            report.fault(child(at, "keyId"), "can't stand in a header");
        }
        _ => {}
    }
    let others = [&signing.timestamp_header, &signing.key_header];
    let names: Vec<&String> = others
        .into_iter()
        .flatten()
        .chain([&signing.header])
        .collect();
    for (index, name) in names.iter().enumerate() {
        if names[..index]
            .iter()
            .any(|other| other.eq_ignore_ascii_case(name))
        {
            report.fault(
                child(at, "header"),
                "carries more than one of signature, timestamp and key",
            );
        }
    }
}

fn is_encoded(secret: &SecretString, encoding: SecretEncoding) -> bool {
    let text = secret.expose_secret();
    match encoding {
        SecretEncoding::Text => true,
        SecretEncoding::Hex => hex::decode(text).is_ok(),
        SecretEncoding::Base64 => STANDARD.decode(text).is_ok(),
    }
}

fn template(text: &str, key: &str, at: &str, report: &mut FaultReport) -> Option<SigningTemplate> {
    if text.len() > MAX_TEMPLATE_BYTES {
        let message = format!("is longer than {MAX_TEMPLATE_BYTES} bytes");
        report.fault(child(at, key), message);
        return None;
    }
    match SigningTemplate::parse(text) {
        Ok(template) => Some(template),
        Err(fault) => {
            report.fault(child(at, key), fault);
            None
        }
    }
}

pub(super) fn sigv4(
    spec: &AuthenticationSpec,
    at: &str,
    report: &mut FaultReport,
) -> Option<SigV4> {
    let mut word = |value: &Option<String>, key, noun, example: &str| {
        let value = required(value.as_deref(), key, noun, at, report)?;
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if value.len() <= MAX_NAME_BYTES && value.bytes().all(is_word) {
            return Some(value);
        }
        report.fault(
            child(at, key),
            format!("must be a word such as `{example}`"),
        );
        None
    };
    let access_key = word(
        &spec.access_key,
        "accessKey",
        "access key id",
        "AKIAIOSFODNN7EXAMPLE",
    );
    let region = word(&spec.region, "region", "region", "eu-central-1");
    let service = word(
        &spec.service,
        "service",
        "service that is signed for",
        "execute-api",
    );
    let secret_key = spec.secret_key.as_deref();
    let secret_key = secret(secret_key, "secretKey", "secret access key", at, report);
    let session_token = match spec.session_token.as_deref() {
        None => SecretString::from(""),
        token => secret(token, "sessionToken", "session token", at, report)?,
    };
    Some(SigV4 {
        access_key: access_key?,
        secret_key: secret_key?,
        session_token,
        region: region?,
        service: service?,
    })
}
