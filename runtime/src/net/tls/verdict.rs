//! Why a certificate is not accepted, for people: the value found beside the value wanted.

use rustls::CertificateError;
use rustls::pki_types::{ServerName, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::net::certificate::Certificate;

/// Names that are shown; more are counted.
const SHOWN_NAMES: usize = 5;

/// True if the server's own certificate claims to be an authority.
pub(super) fn is_authority_as_server(error: &rustls::Error) -> bool {
    other(error).is_some_and(|word| word == "CaUsedAsEndEntity")
}

/// The word of the verifier for what has no case of its own.
fn other(error: &rustls::Error) -> Option<String> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            Some(other.0.to_string())
        }
        _ => None,
    }
}

/// `chain` is what the server showed, its own certificate first.
pub(super) fn text(error: &rustls::Error, chain: &[&[u8]], wanted: &ServerName<'_>) -> String {
    let certificates: Vec<Certificate> = chain
        .iter()
        .filter_map(|der| Certificate::from_der(der))
        .collect();
    let leaf = certificates.first();
    let subject = |certificate: Option<&Certificate>| match certificate {
        Some(certificate) => format!("certificate `{}`", certificate.subject),
        None => "certificate".to_owned(),
    };
    let rustls::Error::InvalidCertificate(fault) = error else {
        return error.to_string().to_lowercase();
    };
    match fault {
        CertificateError::ExpiredContext { time, not_after } => {
            let ended = certificates
                .iter()
                .find(|certificate| seconds(*not_after) == certificate.not_after);
            format!(
                "{} expired on {}, now it is {}",
                subject(ended),
                moment(*not_after),
                moment(*time)
            )
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            let early = certificates
                .iter()
                .find(|certificate| seconds(*not_before) == certificate.not_before);
            format!(
                "{} is not valid before {}, now it is {}",
                subject(early),
                moment(*not_before),
                moment(*time)
            )
        }
        CertificateError::NotValidForNameContext { .. } | CertificateError::NotValidForName => {
            wrong_name(chain.first().copied().unwrap_or_default(), wanted)
        }
        CertificateError::UnknownIssuer => match leaf {
            Some(leaf) if leaf.subject == leaf.issuer => {
                format!(
                    "certificate `{}` is self-signed; add it to the file that `SSL_CERT_FILE` names",
                    leaf.subject
                )
            }
            Some(leaf) => format!(
                "certificate's issuer `{}` is unknown; is an intermediate certificate missing? \
                 Trust a root of your own by adding it to the file that `SSL_CERT_FILE` names",
                leaf.issuer
            ),
            None => "certificate can't be read".to_owned(),
        },
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            wrong_signature(chain)
        }
        CertificateError::InvalidPurposeContext { .. } | CertificateError::InvalidPurpose => {
            format!(
                "{} is not for servers: its extended key usage leaves out `serverAuth`",
                subject(leaf)
            )
        }
        CertificateError::BadSignature => {
            "a certificate of the chain is not signed by the key of its issuer".to_owned()
        }
        CertificateError::BadEncoding => {
            "certificate can't be read: it is not encoded as X.509 wants it".to_owned()
        }
        CertificateError::Revoked => format!("{} was revoked", subject(leaf)),
        CertificateError::Other(_) => {
            let word = other(error).unwrap_or_default();
            match word.as_str() {
                "CaUsedAsEndEntity" => format!(
                    "{} is an authority's own, not a server's (`CA:TRUE`); sign one for the server with it, or trust this \
                     one by adding it to the file that `SSL_CERT_FILE` names",
                    subject(leaf)
                ),
                "UnsupportedCertVersion" => format!(
                    "{} is of an old version of X.509, wanted version 3, with the server's names in its `subjectAltName`",
                    subject(
                        chain
                            .iter()
                            .find(|der| is_old_version(der))
                            .and_then(|der| Certificate::from_der(der))
                            .as_ref()
                    )
                ),
                "EndEntityUsedAsCa" => {
                    "a certificate of the chain is signed by one that is no authority's (`CA:FALSE`)".to_owned()
                }
                word => format!("{} is not accepted: {}", subject(leaf), words(word)),
            }
        }
        other => format!("{} is not accepted: {other}", subject(leaf)),
    }
}

fn wrong_name(leaf: &[u8], wanted: &ServerName<'_>) -> String {
    let wanted_text = wanted.to_str();
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
        return "certificate can't be read".to_owned();
    };
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let names = alternative
        .map(|names| names.value.general_names.as_slice())
        .unwrap_or_default();
    let is_address_as_name = matches!(wanted, ServerName::IpAddress(_))
        && names
            .iter()
            .any(|name| matches!(name, GeneralName::DNSName(text) if *text == wanted_text));
    if is_address_as_name {
        return format!(
            "certificate has the address `{wanted_text}` as a DNS name (`DNS:{wanted_text}`), wanted `IP:{wanted_text}` in its \
             `subjectAltName`"
        );
    }
    let names = Certificate::from_der(leaf)
        .map(|certificate| certificate.names)
        .unwrap_or_default();
    let found = match names.as_slice() {
        [] => {
            let common = certificate
                .subject()
                .iter_common_name()
                .filter_map(|name| name.as_str().ok())
                .next();
            return match common {
                Some(common) => format!(
                    "certificate is for no name, not for `{wanted_text}`: it has none in a `subjectAltName`, and its common \
                     name `{common}` does not count"
                ),
                None => format!(
                    "certificate is for no name, not for `{wanted_text}`: it has no `subjectAltName`"
                ),
            };
        }
        names if names.len() > SHOWN_NAMES => {
            format!(
                "`{}` and {} more",
                names[..SHOWN_NAMES].join("`, `"),
                names.len() - SHOWN_NAMES
            )
        }
        names => format!("`{}`", names.join("`, `")),
    };
    format!("certificate is for {found}, not for `{wanted_text}`")
}

/// Describes the first certificate of the chain whose kind of signature should not be trusted, or
/// the first of all.
fn wrong_signature(chain: &[&[u8]]) -> String {
    let parsed: Vec<X509Certificate<'_>> = chain
        .iter()
        .filter_map(|der| X509Certificate::from_der(der).ok())
        .map(|(_, certificate)| certificate)
        .collect();
    let weak = parsed
        .iter()
        .find_map(|certificate| Some((certificate, weak_name(certificate)?)));
    match (weak, parsed.first()) {
        (Some((certificate, name)), _) => format!(
            "certificate `{}` is signed with {name}, which is not safe any more; wanted SHA-256 or better",
            certificate.subject()
        ),
        (None, Some(certificate)) => format!(
            "a certificate of the chain of `{}` is signed in a way that is not known ({}); known are RSA, ECDSA by P-256, P-384 \
             and P-521, and Ed25519, over SHA-256, SHA-384 or SHA-512",
            certificate.subject(),
            certificate.signature_algorithm.algorithm
        ),
        (None, None) => "certificate can't be read".to_owned(),
    }
}

/// Name of a weak signature, found by its object identifier.
fn weak_name(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    match certificate
        .signature_algorithm
        .algorithm
        .to_id_string()
        .as_str()
    {
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.3.14.3.2.29" | "1.2.840.10040.4.3" => {
            Some("SHA-1")
        }
        "1.2.840.113549.1.1.4" => Some("MD5"),
        "1.2.840.113549.1.1.2" => Some("MD2"),
        _ => None,
    }
}

fn is_old_version(der: &[u8]) -> bool {
    X509Certificate::from_der(der)
        .is_ok_and(|(_, certificate)| certificate.version() != x509_parser::x509::X509Version::V3)
}

/// `NameConstraintViolation` as words.
fn words(word: &str) -> String {
    let mut text = String::new();
    for character in word.chars() {
        if character.is_ascii_uppercase() && !text.is_empty() && !text.ends_with(' ') {
            text.push(' ');
        }
        text.push(character.to_ascii_lowercase());
    }
    text
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn moment(time: UnixTime) -> String {
    let seconds = seconds(time);
    jiff::Timestamp::from_second(seconds).map_or_else(
        |_| format!("{seconds} s after 1970"),
        |time| time.to_string(),
    )
}
