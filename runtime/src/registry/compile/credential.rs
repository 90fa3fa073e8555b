//! Compiles `authentication` and `credentials` into what the host adds to requests.

mod expiry;
mod oauth;
mod signing;
#[cfg(test)]
mod tests;

use http::{HeaderName, HeaderValue};
use secrecy::SecretString;

use crate::domain::fault::{FaultReport, child, list};
use crate::domain::{Credential, CredentialKind, MIN_HIDDEN_BYTES};
use crate::net::{ClientIdentity, HostRule, is_connection_header};
use crate::spec::{
    AuthenticationKind, AuthenticationPlace, AuthenticationSpec, OAuth2GrantSpec, ServiceSpec,
};

/// More is a mistake.
const MAX_CREDENTIALS: usize = 32;
const MAX_ENTRIES: usize = 32;
const MAX_SECRET_BYTES: usize = 16 * 1024;
const MAX_PEM_BYTES: usize = 64 * 1024;

/// All of a service: that of `authentication` is named `default`.
pub(super) fn credentials(
    spec: &ServiceSpec,
    at: &str,
    report: &mut FaultReport,
) -> Vec<Credential> {
    let main = spec.authentication.as_ref();
    let mut credentials: Vec<Credential> = main
        .and_then(|spec| credential(spec, "default", &child(at, "authentication"), report))
        .into_iter()
        .collect();
    let at = child(at, "credentials");
    if spec.credentials.len() > MAX_CREDENTIALS {
        report.fault(&at, format!("must have at most {MAX_CREDENTIALS} entries"));
    }
    for (name, spec) in spec.credentials.iter().take(MAX_CREDENTIALS) {
        let place = child(&at, name);
        let is_word = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if name == "default" {
            report.fault(
                &place,
                "is the name of the credential in `authentication`; write it there",
            );
        } else if name == "none" || name.is_empty() || name.len() > 64 || !name.chars().all(is_word)
        {
            report.fault(
                &place,
                "is no name for a credential; use letters, digits, `-` and `_`, at most 64, and not `none`",
            );
        } else if spec.kind == AuthenticationKind::None {
            report.fault(
                child(&place, "type"),
                "`none` is no credential; leave the entry out",
            );
        } else {
            credentials.extend(credential(spec, name, &place, report));
        }
    }
    credentials
}

/// `None` without credentials, which is a fault or a warning unless it was wanted.
fn credential(
    spec: &AuthenticationSpec,
    name: &str,
    at: &str,
    report: &mut FaultReport,
) -> Option<Credential> {
    let kind = CredentialForm::of(spec);
    kind.refuse_other_keys(spec, at, report);
    if kind == CredentialForm::None && spec.expires.is_some() {
        report.fault(child(at, "expires"), "has no meaning without a credential");
    }
    let hosts = hosts(&spec.hosts, at, report);
    let kind = match kind {
        CredentialForm::None => return None,
        CredentialForm::Header => CredentialKind::Header {
            header: header_name(spec, at, report)?,
            value: secret(spec.value.as_deref(), "value", "API key", at, report)?,
        },
        CredentialForm::Query => CredentialKind::Query {
            parameter: required(
                spec.parameter.as_deref(),
                "parameter",
                "name of the query parameter",
                at,
                report,
            )?,
            value: secret(spec.value.as_deref(), "value", "API key", at, report)?,
        },
        CredentialForm::Bearer => CredentialKind::Bearer {
            token: secret(spec.token.as_deref(), "token", "bearer token", at, report)?,
        },
        CredentialForm::Basic => CredentialKind::Basic {
            username: required(
                spec.username.as_deref(),
                "username",
                "user name",
                at,
                report,
            )?,
            // Some vendors take the key as user name and want the password empty.
            password: match spec.password.as_deref() {
                Some("") => SecretString::from(""),
                password => secret(password, "password", "password", at, report)?,
            },
        },
        CredentialForm::OAuth2 | CredentialForm::OAuth2Refresh | CredentialForm::OAuth2Jwt => {
            CredentialKind::OAuth2(oauth::oauth2(spec, at, report)?)
        }
        CredentialForm::Hmac => CredentialKind::Hmac(signing::hmac(spec, at, report)?),
        CredentialForm::SigV4 => CredentialKind::SigV4(signing::sigv4(spec, at, report)?),
        CredentialForm::Mtls => mtls(spec, at, report)?,
    };
    Some(Credential {
        name: name.to_owned(),
        expiry: expiry::expiry(spec, &kind, at, report),
        kind,
        hosts,
    })
}

#[derive(Clone, Copy, PartialEq)]
enum CredentialForm {
    None,
    Header,
    Query,
    Bearer,
    Basic,
    OAuth2,
    OAuth2Refresh,
    OAuth2Jwt,
    Mtls,
    Hmac,
    SigV4,
}

impl CredentialForm {
    fn of(spec: &AuthenticationSpec) -> Self {
        let in_query = match spec.place {
            Some(place) => place == AuthenticationPlace::Query,
            None => spec.parameter.is_some() && spec.header.is_none(),
        };
        match spec.kind {
            AuthenticationKind::None => Self::None,
            AuthenticationKind::ApiKey if in_query => Self::Query,
            AuthenticationKind::ApiKey => Self::Header,
            AuthenticationKind::Query => Self::Query,
            AuthenticationKind::Bearer => Self::Bearer,
            AuthenticationKind::Basic => Self::Basic,
            AuthenticationKind::Oauth2 => match oauth::grant(spec) {
                OAuth2GrantSpec::ClientCredentials => Self::OAuth2,
                OAuth2GrantSpec::RefreshToken => Self::OAuth2Refresh,
                OAuth2GrantSpec::JwtBearer => Self::OAuth2Jwt,
            },
            AuthenticationKind::Mtls => Self::Mtls,
            AuthenticationKind::Hmac => Self::Hmac,
            AuthenticationKind::AwsSigv4 => Self::SigV4,
        }
    }

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Header => &["in", "header", "value", "hosts"],
            Self::Query => &["in", "parameter", "value", "hosts"],
            Self::Bearer => &["token", "hosts"],
            Self::Basic => &["username", "password", "hosts"],
            Self::OAuth2 => &[
                "tokenUrl",
                "grant",
                "clientId",
                "clientSecret",
                "scopes",
                "audience",
                "clientAuth",
                "hosts",
            ],
            Self::OAuth2Refresh => &[
                "tokenUrl",
                "grant",
                "refreshToken",
                "clientId",
                "clientSecret",
                "scopes",
                "audience",
                "clientAuth",
                "hosts",
            ],
            Self::OAuth2Jwt => &[
                "tokenUrl",
                "grant",
                "key",
                "keyId",
                "issuer",
                "subject",
                "assertionAudience",
                "clientId",
                "clientSecret",
                "scopes",
                "audience",
                "clientAuth",
                "hosts",
            ],
            Self::Mtls => &["certificate", "key", "hosts"],
            Self::Hmac => &[
                "secret",
                "secretEncoding",
                "algorithm",
                "sign",
                "header",
                "format",
                "encoding",
                "timestamp",
                "timestampHeader",
                "keyId",
                "keyHeader",
                "hosts",
            ],
            Self::SigV4 => &[
                "accessKey",
                "secretKey",
                "sessionToken",
                "region",
                "service",
                "hosts",
            ],
        }
    }

    /// A key that this form has no use for is a misunderstanding, and one about secrets.
    fn refuse_other_keys(self, spec: &AuthenticationSpec, at: &str, report: &mut FaultReport) {
        for (key, _) in given(spec)
            .into_iter()
            .filter(|(key, given)| *given && !self.keys().contains(key))
        {
            let uses = match self.keys() {
                [] => "none".to_owned(),
                keys => list(keys.iter().copied()),
            };
            let of = if spec.kind == AuthenticationKind::Oauth2 {
                "`grant`"
            } else {
                "`type`"
            };
            report.fault(
                child(at, key),
                format!("has no meaning with this {of}, which uses {uses}"),
            );
        }
        for (key, is_given) in files(spec) {
            if is_given {
                report.fault(
                    child(at, key),
                    "is read in configuration files only; send the secret itself",
                );
            }
        }
    }
}

/// Keys of the different forms, and whether they are given.
fn given(spec: &AuthenticationSpec) -> [(&'static str, bool); 36] {
    [
        ("in", spec.place.is_some()),
        ("header", spec.header.is_some()),
        ("parameter", spec.parameter.is_some()),
        ("value", spec.value.is_some()),
        ("username", spec.username.is_some()),
        ("password", spec.password.is_some()),
        ("token", spec.token.is_some()),
        ("tokenUrl", spec.token_url.is_some()),
        ("grant", spec.grant.is_some()),
        ("refreshToken", spec.refresh_token.is_some()),
        ("issuer", spec.issuer.is_some()),
        ("subject", spec.subject.is_some()),
        ("assertionAudience", spec.assertion_audience.is_some()),
        ("clientId", spec.client_id.is_some()),
        ("clientSecret", spec.client_secret.is_some()),
        ("scopes", !spec.scopes.is_empty()),
        ("audience", spec.audience.is_some()),
        ("clientAuth", spec.client_auth.is_some()),
        ("certificate", spec.certificate.is_some()),
        ("key", spec.key.is_some()),
        ("keyId", spec.key_id.is_some()),
        ("secret", spec.secret.is_some()),
        ("secretEncoding", spec.secret_encoding.is_some()),
        ("algorithm", spec.algorithm.is_some()),
        ("sign", spec.sign.is_some()),
        ("format", spec.format.is_some()),
        ("encoding", spec.encoding.is_some()),
        ("timestamp", spec.timestamp.is_some()),
        ("timestampHeader", spec.timestamp_header.is_some()),
        ("keyHeader", spec.key_header.is_some()),
        ("accessKey", spec.access_key.is_some()),
        ("secretKey", spec.secret_key.is_some()),
        ("sessionToken", spec.session_token.is_some()),
        ("region", spec.region.is_some()),
        ("service", spec.service.is_some()),
        ("hosts", !spec.hosts.is_empty()),
    ]
}

/// Keys that name a file or a command, and whether they are given.
fn files(spec: &AuthenticationSpec) -> [(&'static str, bool); 20] {
    [
        ("valueFile", spec.value_file.is_some()),
        ("passwordFile", spec.password_file.is_some()),
        ("tokenFile", spec.token_file.is_some()),
        ("refreshTokenFile", spec.refresh_token_file.is_some()),
        ("clientSecretFile", spec.client_secret_file.is_some()),
        ("certificateFile", spec.certificate_file.is_some()),
        ("keyFile", spec.key_file.is_some()),
        ("secretFile", spec.secret_file.is_some()),
        ("secretKeyFile", spec.secret_key_file.is_some()),
        ("sessionTokenFile", spec.session_token_file.is_some()),
        ("valueCommand", spec.value_command.is_some()),
        ("passwordCommand", spec.password_command.is_some()),
        ("tokenCommand", spec.token_command.is_some()),
        ("refreshTokenCommand", spec.refresh_token_command.is_some()),
        ("clientSecretCommand", spec.client_secret_command.is_some()),
        ("certificateCommand", spec.certificate_command.is_some()),
        ("keyCommand", spec.key_command.is_some()),
        ("secretCommand", spec.secret_command.is_some()),
        ("secretKeyCommand", spec.secret_key_command.is_some()),
        ("sessionTokenCommand", spec.session_token_command.is_some()),
    ]
}

fn mtls(spec: &AuthenticationSpec, at: &str, report: &mut FaultReport) -> Option<CredentialKind> {
    let certificate = required(
        spec.certificate.as_deref(),
        "certificate",
        "client certificate",
        at,
        report,
    );
    let key = required(spec.key.as_deref(), "key", "private key", at, report);
    let (certificate, key) = (certificate?, key?);
    if key == "***" {
        report.fault(child(at, "key"), nothing_kept());
        return None;
    }
    if certificate.len().max(key.len()) > MAX_PEM_BYTES {
        report.fault(
            at,
            format!("has a certificate or key of more than {MAX_PEM_BYTES} bytes"),
        );
        return None;
    }
    match ClientIdentity::from_pem(&certificate, &key) {
        Ok(_) => Some(CredentialKind::Mtls {
            certificate,
            key: key.into(),
        }),
        Err(fault) => {
            report.fault(at, fault);
            None
        }
    }
}

/// Returns hosts in the form in which they are compared.
pub(super) fn hosts(written: &[String], at: &str, report: &mut FaultReport) -> Vec<String> {
    let at = child(at, "hosts");
    if written.len() > MAX_ENTRIES {
        report.fault(&at, format!("must have at most {MAX_ENTRIES} entries"));
    }
    let mut hosts = Vec::new();
    for (index, host) in written.iter().take(MAX_ENTRIES).enumerate() {
        match HostRule::parse(host) {
            Ok(rule) => hosts.push(rule.to_string()),
            Err(error) => report.fault(child(&at, index), error.to_string()),
        }
    }
    hosts
}

fn required(
    value: Option<&str>,
    key: &str,
    noun: &str,
    at: &str,
    report: &mut FaultReport,
) -> Option<String> {
    match value {
        Some(value) if !value.is_empty() => Some(value.to_owned()),
        _ => {
            report.fault(child(at, key), format!("is missing ({noun})"));
            None
        }
    }
}

fn nothing_kept() -> &'static str {
    "`***` stands for a secret that is kept, but there is none to keep; write it out"
}

/// Returns the secret, or warns: without it the service is watched all the same, as the seed's
/// example has none.
fn secret(
    value: Option<&str>,
    key: &str,
    noun: &str,
    at: &str,
    report: &mut FaultReport,
) -> Option<SecretString> {
    match value {
        None | Some("") => {
            let place = if value.is_some() {
                child(at, key)
            } else {
                at.to_owned()
            };
            report.warn(
                place,
                format!(
                    "there is no {noun}, so requests go without it; set `{key}: \"${{VARIABLE}}\"` or `{key}File: PATH`"
                ),
            );
            None
        }
        Some("***") => {
            report.fault(child(at, key), nothing_kept());
            None
        }
        Some(text) if text.len() > MAX_SECRET_BYTES => {
            report.fault(
                child(at, key),
                format!("is longer than {MAX_SECRET_BYTES} bytes"),
            );
            None
        }
        Some(text) if HeaderValue::from_str(text).is_err() => {
            report.fault(
                child(at, key),
                "holds characters that a header can't carry, such as a line break",
            );
            None
        }
        Some(text) => {
            if text.len() < MIN_HIDDEN_BYTES {
                let message = format!(
                    "is shorter than {MIN_HIDDEN_BYTES} characters: easily guessed, and not taken out of answers and logs"
                );
                report.warn(child(at, key), message);
            }
            Some(SecretString::from(text))
        }
    }
}

fn header_name(spec: &AuthenticationSpec, at: &str, report: &mut FaultReport) -> Option<String> {
    let name = spec.header.as_deref().unwrap_or("X-API-Key");
    checked_header(name, "header", at, report)
}

/// Returns the header if it can carry a part of a credential.
fn checked_header(name: &str, key: &str, at: &str, report: &mut FaultReport) -> Option<String> {
    let message = match HeaderName::from_bytes(name.as_bytes()) {
        Err(_) => format!("`{name}` is not the name of a header"),
        // Headers that describe how the message is carried.
        Ok(parsed)
            if is_connection_header(parsed.as_str())
                || matches!(parsed.as_str(), "host" | "content-length") =>
        {
            format!("`{name}` can't carry a credential")
        }
        Ok(_) => return Some(name.to_owned()),
    };
    report.fault(child(at, key), message);
    None
}
